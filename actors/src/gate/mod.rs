//! The gate: a virtual actor that admits at most so many at a time, in strict order.
//!
//! ```text
//!   acquire ──► waiting ──► granted ──► released · expired        (gone)
//!      │           └──► timed out · cancelled · gave way           (gone)
//!      └──► granted, if a permit is free and nobody waits for it
//! ```
//!
//! `rules` decides, `crowd` keeps the order, `actor` writes and answers, `handle` and `verb` are
//! what users call.

mod acquire;
mod actor;
mod board;
mod change;
mod change_policy;
mod counter;
mod crowd;
mod deadline;
mod deletion;
mod departure;
mod error;
mod group;
mod handle;
mod handler;
mod line;
mod list;
mod listener;
#[cfg(test)]
mod model;
mod pace;
mod permit;
mod place;
mod policy;
mod rare;
mod record;
mod restore;
mod rules;
mod several;
mod stats;
mod tally;
#[cfg(test)]
mod trial;
mod usage;
mod verb;
mod view;
mod waits;

use std::time::Duration;

pub(crate) use actor::GateActor;
pub(crate) use board::Board;
pub(crate) use deletion::{forget, idle};
pub(crate) use departure::follow;
pub use error::{BlockedBy, GateError};
pub use handle::Gate;
pub use list::{GateList, GateSummary, ListGates};
pub use permit::{Permit, PermitGuard};
pub(crate) use policy::TIMEOUT_MAX;
pub use policy::{
    AppliedPolicy, GatePolicy, GroupLimit, OnFull, Period, PolicySource, Quota, Rate,
};
pub use stats::{AgeCount, GateStats, Released, Ticket, TicketState};
pub use tally::GateTotals;
pub use verb::{Acquire, TakeTicket};
pub use waits::WaitStats;

/// A duration in whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
