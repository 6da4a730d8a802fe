//! What a queue can be told about itself.

use std::time::Duration;

pub use lanekeeper_storage::record::OnFull;
use lanekeeper_storage::{Durability, record::QueueSettings};

use crate::{Node, NodeBuilder};

/// The settings of a queue; they survive a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueConfig {
    /// Messages the queue holds at most (1 or more); unbounded if `None`.
    pub capacity: Option<u64>,
    /// What a push into a full queue does.
    pub on_full: OnFull,
    /// The durability of this queue, if not the node's. Leaving or entering
    /// [`Durability::Memory`] is possible only while the queue is empty.
    pub durability: Option<Durability>,
}

impl From<QueueSettings> for QueueConfig {
    fn from(settings: QueueSettings) -> Self {
        let QueueSettings { capacity, on_full, durability, .. } = settings;
        Self { capacity, on_full, durability: durability.map(Durability::from) }
    }
}

/// Which verbs a queue refuses for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paused {
    /// Pushes are refused.
    pub push: bool,
    /// Pops are refused.
    pub pop: bool,
}

impl From<QueueSettings> for Paused {
    fn from(settings: QueueSettings) -> Self {
        Self { push: settings.is_push_paused, pop: settings.is_pop_paused }
    }
}

/// The bounds of every queue of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Size of one payload.
    pub item_bytes_max: usize,
    /// Messages in one push.
    pub items_max: usize,
    /// Messages in one pop or page.
    pub depth_max: usize,
    /// The longest wait of a pop.
    pub wait_max: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            item_bytes_max: 1 << 20,
            items_max: 1000,
            depth_max: 100,
            wait_max: Duration::from_secs(60),
        }
    }
}

impl NodeBuilder {
    /// The bounds of every queue.
    #[must_use]
    pub fn queue_limits(self, limits: QueueLimits) -> Self {
        self.setting(limits)
    }
}

impl Node {
    /// The bounds of every queue of this node.
    pub fn queue_limits(&self) -> QueueLimits {
        self.runtime().settings.get().copied().unwrap_or_default()
    }
}
