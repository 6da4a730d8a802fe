//! What a queue says of itself.

use std::time::Duration;

use lanekeeper_storage::Durability;

use crate::queue::api::config::Paused;

pub use lanekeeper_storage::record::QueueTotals;

/// The state of a queue in numbers. A queue never used answers zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Messages ready to be taken.
    pub ready: u64,
    /// Messages that wait for their time.
    pub scheduled: u64,
    /// Messages that are leased.
    pub leased: u64,
    /// Messages in the dead-letter queue of this one.
    pub dead: u64,
    /// The ready ones by priority, most urgent first; at most the first 1,000 priorities.
    pub by_priority: Vec<PriorityStats>,
    /// Bytes of all payloads, of ready, scheduled and leased messages.
    pub bytes: u64,
    /// How long the oldest ready message has waited.
    pub oldest_ready_age: Option<Duration>,
    /// How long ago the oldest lease began, of the first 1,000 leased messages in pop order.
    pub oldest_leased_age: Option<Duration>,
    /// What happened since creation.
    pub totals: QueueTotals,
    /// Which verbs are paused.
    pub paused: Paused,
    /// When a push is acknowledged.
    pub durability: Durability,
    /// How much acknowledged work a power cut can take: zero if none, `None` if everything.
    pub loss_window: Option<Duration>,
}

/// One priority in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorityStats {
    /// The priority.
    pub priority: u32,
    /// Messages ready to be taken.
    pub ready: u64,
}
