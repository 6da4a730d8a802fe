//! What a queue says of itself.

use std::time::Duration;

use lanekeeper_storage::Durability;

use super::Paused;

/// The state of a queue in numbers. A queue never used answers zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Messages ready to be taken.
    pub ready: u64,
    /// The same, by priority, most urgent first; at most the first 1,000 priorities.
    pub by_priority: Vec<PriorityStats>,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// How long the oldest ready message has waited.
    pub oldest_ready_age: Option<Duration>,
    /// Messages accepted since creation.
    pub pushed: u64,
    /// Messages popped since creation.
    pub popped: u64,
    /// Messages refused since creation: because the queue was full or paused.
    pub rejected: u64,
    /// Messages that gave way to more urgent ones since creation.
    pub evicted: u64,
    /// Messages cancelled by id since creation.
    pub cancelled: u64,
    /// Messages purged since creation.
    pub purged: u64,
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
