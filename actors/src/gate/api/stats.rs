//! What a gate says of itself and of an owner.

use std::time::{Duration, SystemTime};

use crate::gate::{
    api::{error::BlockedBy, policy::PolicySource},
    state::wait_histogram::WaitStats,
};

/// A gate in numbers. One never used answers zeros.
#[derive(Clone, Debug, PartialEq)]
pub struct GateStats {
    /// Owners that wait, of all groups together.
    pub queue_length: u64,
    /// Permits that are held, of all groups together.
    pub active_count: u64,
    /// Permits at a time, as the policy has it.
    pub max_concurrent: Option<u32>,
    /// Since when the one that has waited longest does.
    pub oldest_enqueued_at: Option<SystemTime>,
    /// Owners accepted since creation, at once or into the line.
    pub total_enqueued: u64,
    /// Permits granted since creation.
    pub total_granted: u64,
    /// Permits released since creation.
    pub total_completed: u64,
    /// Permits that ended by their ttl, or with their worker, since creation.
    pub total_expired: u64,
    /// Owners that waited too long since creation.
    pub total_timed_out: u64,
    /// Owners that left the line since creation.
    pub total_cancelled: u64,
    /// Owners that gave way to newcomers since creation.
    pub total_evicted: u64,
    /// Owners refused since creation.
    pub total_rejected: u64,
    /// When the gate changed last.
    pub last_updated: Option<SystemTime>,
    /// How long those who were let in over the last 5 to 10 minutes had waited.
    pub waits: WaitStats,
    /// How long those who wait have waited: counts up to each age, the last without bound.
    pub ages: Vec<AgeCount>,
    /// Permits that end per second while somebody waits, lately; `None` if not known.
    pub releases_per_second: Option<f64>,
    /// When a newcomer of priority 1 is likely to be let in, if it had to wait and that is known.
    pub eta: Option<Duration>,
    /// Whose policy applies.
    pub policy: PolicySource,
    /// Whether nobody is let in for now.
    pub is_paused: bool,
}

/// Owners that have waited at most so long, and longer than the age before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeCount {
    /// The age; `None`: any.
    pub up_to: Option<Duration>,
    /// How many.
    pub count: u64,
}

/// The ages that are told apart.
pub(crate) const AGES_S: [u64; 6] = [1, 10, 60, 300, 900, 3_600];

/// What an owner has at a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The owner.
    pub owner: String,
    /// Whether it waits or holds a permit.
    pub state: TicketState,
    /// How long it has waited so far, or had when it got its permit.
    pub waited: Duration,
    /// When its permit ends by itself, if it holds one that does.
    pub expires_at: Option<SystemTime>,
}

/// Whether an owner waits or holds a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketState {
    /// It holds a permit.
    Granted,
    /// It waits.
    Queued {
        /// How many are served up to it, itself included: 1 is next.
        position: u32,
        /// When its turn is likely to come, by the pace at which permits end, if that is known.
        eta: Option<Duration>,
        /// What holds it up.
        blocked_by: BlockedBy,
    },
}

/// What a release did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Whether the owner held a permit.
    pub released: bool,
    /// Who got a permit for it, in order.
    pub granted: Vec<String>,
}
