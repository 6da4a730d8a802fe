//! What a queue can be told about itself.

use lanekeeper_storage::{Durability, record::QueueSettings};
use std::time::Duration;

use crate::{
    actor::id::check_id,
    node::{builder::NodeBuilder, lifecycle::Node},
    queue::api::error::QueueError,
};

pub use lanekeeper_storage::record::{OnExpire, OnFull, Rate};

/// The settings of a queue; they survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueConfig {
    /// Messages the queue holds at most (1 or more); unbounded if `None`.
    pub capacity: Option<u64>,
    /// What a push into a full queue does.
    pub on_full: OnFull,
    /// The durability of this queue, if not the node's. Leaving or entering
    /// [`Durability::Memory`] is possible only while the queue is empty.
    pub durability: Option<Durability>,
    /// Deliveries (1 or more) after which a message that is given back or whose lease ends goes to
    /// the dead-letter queue; it never does if `None`.
    pub max_deliveries: Option<u32>,
    /// How long a lease lasts for which nothing else is asked: 1 s to 12 h, 30 s if `None`.
    pub lease_ttl: Option<Duration>,
    /// How long a message lives that does not say so itself: 1 ms to a year, forever if `None`.
    /// Messages pushed before keep theirs.
    pub message_ttl: Option<Duration>,
    /// What happens to a message then.
    pub on_expire: OnExpire,
    /// How long the key of a message is remembered: up to a year, 5 minutes if `None`, not at all
    /// if zero.
    pub dedup_window: Option<Duration>,
    /// Whether there is one batch of leases at a time, so that the order is strict across failures:
    /// until the last of them is settled or ends, others are refused or wait.
    pub exclusive: bool,
    /// How often messages are accepted.
    pub push_rate: Option<Rate>,
    /// How often messages are popped or leased.
    pub pop_rate: Option<Rate>,
    /// After how long a message that waits rises by one priority: 1 ms to a year, never if `None`.
    /// A peek shows the priorities and the order as they were pushed.
    pub aging: Option<Duration>,
    /// The id of the gate of whose permits every lease holds one, until it is settled or ends: so
    /// many messages of all queues with this gate are under work at a time as its policy allows.
    /// Leases beyond that are refused or wait. Pops hold none.
    pub gate: Option<String>,
}

impl From<&QueueSettings> for QueueConfig {
    fn from(settings: &QueueSettings) -> Self {
        let span = |ms: Option<u64>| ms.map(Duration::from_millis);
        Self {
            capacity: settings.capacity,
            on_full: settings.on_full,
            durability: settings.durability.map(Durability::from),
            max_deliveries: settings.deliveries_max,
            lease_ttl: span(settings.lease_ttl_ms),
            message_ttl: span(settings.message_ttl_ms),
            on_expire: settings.on_expire,
            dedup_window: span(settings.dedup_window_ms),
            exclusive: settings.is_exclusive,
            push_rate: settings.push_rate,
            pop_rate: settings.pop_rate,
            aging: span(settings.aging_ms),
            gate: settings.gate.as_deref().map(String::from),
        }
    }
}

/// The longest time of anything about a message.
pub(crate) const SPAN_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);
/// The shortest and the longest lease.
pub(crate) const LEASE_TTL: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(12 * 3_600));
/// The most that may happen each second, or at once.
const RATE_MAX: u32 = 1_000_000_000;

fn is_rate(rate: Rate) -> bool {
    let millionths_max = u64::from(RATE_MAX) * 1_000_000;
    (1..=millionths_max).contains(&rate.millionths()) && (1..=RATE_MAX).contains(&rate.burst)
}

impl QueueConfig {
    /// The settings that keep this, if it is within the bounds.
    ///
    /// # Errors
    /// [`QueueError::InvalidConfig`] with the field and its bound.
    pub(crate) fn checked(&self, before: &QueueSettings) -> Result<QueueSettings, QueueError> {
        let refuse = |field, reason| Err(QueueError::InvalidConfig { field, reason });
        if self.capacity == Some(0) {
            return refuse("capacity", "must be at least 1");
        }
        if self.max_deliveries == Some(0) {
            return refuse("max_deliveries", "must be at least 1");
        }
        let is_lease_ttl = |ttl: Duration| (LEASE_TTL.0..=LEASE_TTL.1).contains(&ttl);
        if !self.lease_ttl.is_none_or(is_lease_ttl) {
            return refuse("lease_ttl_ms", "must be from 1000 (1 s) to 43200000 (12 h)");
        }
        let is_span = |span: Duration| span.as_millis() > 0 && span <= SPAN_MAX;
        let year = "must be from 1 to 31622400000 (366 days)";
        for (field, span) in [("message_ttl_ms", self.message_ttl), ("aging_ms", self.aging)] {
            if !span.is_none_or(is_span) {
                return refuse(field, year);
            }
        }
        if self.dedup_window.is_some_and(|window| window > SPAN_MAX) {
            return refuse("dedup_window_ms", "must be from 0 to 31622400000 (366 days)");
        }
        for (field, rate) in [("push_rate", self.push_rate), ("pop_rate", self.pop_rate)] {
            if !rate.is_none_or(is_rate) {
                return refuse(
                    field,
                    "per_second must be from 0.000001, burst from 1 to 1000000000",
                );
            }
        }
        if self.gate.as_deref().is_some_and(|gate| check_id(gate).is_err()) {
            return refuse("gate", "must be an id: 1 to 128 characters of A-Z a-z 0-9 . _ : -");
        }
        let ms = |span: Option<Duration>| span.map(|span| span.as_millis() as u64);
        Ok(QueueSettings {
            capacity: self.capacity,
            on_full: self.on_full,
            durability: self.durability.map(Into::into),
            deliveries_max: self.max_deliveries,
            lease_ttl_ms: ms(self.lease_ttl),
            message_ttl_ms: ms(self.message_ttl),
            on_expire: self.on_expire,
            dedup_window_ms: ms(self.dedup_window),
            is_exclusive: self.exclusive,
            push_rate: self.push_rate,
            pop_rate: self.pop_rate,
            aging_ms: ms(self.aging),
            gate: self.gate.as_deref().map(Box::from),
            is_push_paused: before.is_push_paused,
            is_pop_paused: before.is_pop_paused,
        })
    }

    /// Whether messages may die of what this says.
    pub(crate) fn has_dead_letters(&self) -> bool {
        self.max_deliveries.is_some() || self.on_expire == OnExpire::DeadLetter
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

impl From<&QueueSettings> for Paused {
    fn from(settings: &QueueSettings) -> Self {
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
