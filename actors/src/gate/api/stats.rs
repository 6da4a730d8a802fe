//! What a gate says of itself and of an owner.

use std::time::{Duration, SystemTime};

use crate::gate::{
    api::{error::BlockedBy, policy::PolicySource},
    state::wait_histogram::WaitStats,
};

/// The counts and totals of a gate; zeros if it was never used.
#[derive(Clone, Debug, PartialEq)]
pub struct GateStats {
    /// Waiting owners, of all groups together.
    pub queue_length: u64,
    /// Permits held, of all groups together.
    pub active_count: u64,
    /// Permits at once by the policy; unlimited if `None`.
    pub max_concurrent: Option<u32>,
    /// The start of the longest present wait.
    pub oldest_enqueued_at: Option<SystemTime>,
    /// Owners accepted since creation, granted at once or queued.
    pub total_enqueued: u64,
    /// Permits granted since creation.
    pub total_granted: u64,
    /// Permits released since creation.
    pub total_completed: u64,
    /// Permits that ended by their ttl, or with their worker, since creation.
    pub total_expired: u64,
    /// Owners whose wait timed out since creation.
    pub total_timed_out: u64,
    /// Owners that stopped waiting since creation.
    pub total_cancelled: u64,
    /// Owners removed from a full wait queue for newcomers since creation.
    pub total_evicted: u64,
    /// Owners refused since creation.
    pub total_rejected: u64,
    /// The time of the last change.
    pub last_updated: Option<SystemTime>,
    /// The waits of owners granted over the last 5 to 10 minutes.
    pub waits: WaitStats,
    /// The waiting owners by the time they have waited; the last range is open.
    pub ages: Vec<AgeCount>,
    /// The recent rate of ending permits per second while owners wait; `None` if it is not known.
    pub releases_per_second: Option<f64>,
    /// The estimated wait of a newcomer of priority 1; `None` if it is not known.
    pub eta: Option<Duration>,
    /// The source of the policy.
    pub policy: PolicySource,
    /// Whether the gate is paused.
    pub is_paused: bool,
}

/// The waiting owners in a range of ages: longer than the previous one, up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeCount {
    /// The upper end of the range; `None`: none.
    pub up_to: Option<Duration>,
    /// The number of owners.
    pub count: u64,
}

/// The ages that are told apart.
pub(crate) const AGES_S: [u64; 6] = [1, 10, 60, 300, 900, 3_600];

/// An owner at a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The owner.
    pub owner: String,
    /// Whether it waits or holds a permit.
    pub state: TicketState,
    /// The time it has waited so far, or had waited when it got its permit.
    pub waited: Duration,
    /// The end of its permit by its ttl; `None` without one.
    pub expires_at: Option<SystemTime>,
}

/// The state of an owner at a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketState {
    /// It holds a permit.
    Granted,
    /// It waits.
    Queued {
        /// Its position in the wait queue: 1 is next.
        position: u32,
        /// The estimated time until it is granted, by the rate of ending permits; `None` if it is
        /// not known.
        eta: Option<Duration>,
        /// The reason why it waits.
        blocked_by: BlockedBy,
    },
}

/// The result of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Whether the owner held a permit.
    pub released: bool,
    /// The owners that were granted a permit instead, in order.
    pub granted: Vec<String>,
}
