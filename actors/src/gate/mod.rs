//! The gate: a virtual actor that admits at most so many at a time, in strict order.
//!
//! ```text
//!   acquire ──► waiting ──► granted ──► released · expired        (gone)
//!      │           └──► timed out · cancelled · gave way           (gone)
//!      └──► granted, if a permit is free and nobody waits for it
//! ```
//!
//! `state` has the rules, `verb` what a gate is asked, `actor` writes and answers, and `api` is
//! what users hold.

pub(crate) mod actor;
pub(crate) mod api;
mod load;
mod pending_replies;
pub(crate) mod policy_cache;
mod state;
#[cfg(test)]
mod testing;
pub(crate) mod verb;

use std::time::Duration;

pub use api::{
    acquire_options::{Acquire, TakeTicket},
    error::{BlockedBy, GateError},
    handle::Gate,
    list::{GateList, GateSummary, ListGates},
    metrics::GateTotals,
    permit::{Permit, PermitGuard},
    policy::{AppliedPolicy, GatePolicy, GroupLimit, OnFull, Period, PolicySource, Quota, Rate},
    stats::{AgeCount, GateStats, Released, Ticket, TicketState},
};
pub use state::wait_histogram::WaitStats;

/// A duration in whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
