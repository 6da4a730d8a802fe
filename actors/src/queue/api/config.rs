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
    /// The largest number of messages in the queue (1 or more); unlimited if `None`.
    pub capacity: Option<u64>,
    /// The effect of a push into a full queue.
    pub on_full: OnFull,
    /// The durability of this queue; the node's if `None`. It enters or leaves
    /// [`Durability::Memory`] only while it is empty.
    pub durability: Option<Durability>,
    /// Deliveries (1 or more) after which a message that is nacked or whose lease expires moves to
    /// the dead-letter queue; never if `None`.
    pub max_deliveries: Option<u32>,
    /// The duration of a lease that does not set one: 1 s to 12 h, 30 s if `None`.
    pub lease_ttl: Option<Duration>,
    /// The time to live of a message that does not set one: 1 ms to a year, forever if `None`.
    /// Messages pushed earlier keep theirs.
    pub message_ttl: Option<Duration>,
    /// The effect of the end of the time to live.
    pub on_expire: OnExpire,
    /// The time a deduplication key is remembered: up to a year, 5 minutes if `None`, not at all if
    /// zero.
    pub dedup_window: Option<Duration>,
    /// Whether only one batch of leases is given out at a time, for strict order across failures.
    /// Until the last of them is settled or expires, other calls are refused or wait.
    pub exclusive: bool,
    /// The rate of accepted messages; unlimited if `None`.
    pub push_rate: Option<Rate>,
    /// The rate of popped or leased messages; unlimited if `None`.
    pub pop_rate: Option<Rate>,
    /// The time after which a waiting message rises by one priority: 1 ms to a year, never if
    /// `None`. A peek shows the priorities and the order as pushed.
    pub aging: Option<Duration>,
    /// The gate whose permits the leases hold, one each until it is settled or expires: its policy
    /// limits the leased messages of all queues with this gate together. Leases beyond that are
    /// refused or wait. Pops hold no permit.
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
        if self.dedup_window.is_some_and(|head_cache| head_cache > SPAN_MAX) {
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

/// The verbs that are paused.
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

/// The limits of every queue of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The largest payload in bytes.
    pub item_bytes_max: usize,
    /// The largest number of messages in one push.
    pub items_max: usize,
    /// The largest number of messages in one pop or page.
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
