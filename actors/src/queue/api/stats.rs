//! What a queue says of itself.

use std::time::Duration;

use lanekeeper_storage::Durability;

use crate::queue::api::config::Paused;

pub use lanekeeper_storage::record::QueueTotals;

/// The counts and totals of a queue; zeros if it was never used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Ready messages.
    pub ready: u64,
    /// Scheduled messages.
    pub scheduled: u64,
    /// Leased messages.
    pub leased: u64,
    /// Messages in its dead-letter queue.
    pub dead: u64,
    /// Ready messages by priority, most urgent first; at most the first 1,000 priorities.
    pub by_priority: Vec<PriorityStats>,
    /// Bytes of all payloads, of ready, scheduled and leased messages.
    pub bytes: u64,
    /// The age of the oldest ready message.
    pub oldest_ready_age: Option<Duration>,
    /// The age of the oldest lease among the first 1,000 leased messages in pop order.
    pub oldest_leased_age: Option<Duration>,
    /// The totals since creation.
    pub totals: QueueTotals,
    /// The verbs that are paused.
    pub paused: Paused,
    /// The durability in force.
    pub durability: Durability,
    /// The time before a power cut whose acknowledged work is lost: zero if none, `None` if all.
    pub loss_window: Option<Duration>,
}

/// The count of one priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorityStats {
    /// The priority.
    pub priority: u32,
    /// Ready messages.
    pub ready: u64,
}
