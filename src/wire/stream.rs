//! What is said of streams and their subscribers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The class of a message of a stream, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Always accepted, within a limit of its own.
    Control,
    /// Removed only for control messages.
    Critical,
    /// Removed for more urgent messages.
    Important,
    /// Removed first.
    Bulk,
}

/// The answer to a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// Subscribers it was offered to.
    pub subscribers: u64,
    /// Subscribers that have it queued.
    pub queued: u64,
    /// Messages removed for it.
    pub evicted: u64,
    /// Subscribers without room for it.
    pub refused: u64,
}

/// The action on a slow subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnSlow {
    /// It gets a notice.
    #[default]
    Warn,
    /// It gets a notice, and one of ten bulk messages until it keeps up again.
    Throttle,
    /// It is disconnected.
    Disconnect,
}

/// The settings of a stream. A field left out of a `PUT` gets its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// The number of past messages a new subscriber gets first.
    #[schema(maximum = 1000)]
    pub retain: u32,
    /// Whether these survive a restart.
    pub persist: bool,
    /// The action on a slow subscriber.
    pub on_slow: OnSlow,
}

/// A count for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PerClass {
    /// Of `control`.
    pub control: u64,
    /// Of `critical`.
    pub critical: u64,
    /// Of `important`.
    pub important: u64,
    /// Of `bulk`.
    pub bulk: u64,
}

/// The totals of one subscriber, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Messages delivered.
    pub sent: PerClass,
    /// Messages removed for more urgent ones.
    pub evicted: PerClass,
    /// Messages refused because the queue was full.
    pub refused: PerClass,
    /// Messages still queued when their subscriber left.
    pub abandoned: u64,
    /// Bytes of the payloads delivered.
    pub bytes: u64,
    /// Sends of more than 500 ms.
    pub slow_events: u64,
    /// The number of times a queue became 80 % full.
    pub backpressure_events: u64,
}

/// The counts and totals of a stream since its activation; zeros if it was never used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StreamStats {
    /// Subscribers.
    pub subscribers: u64,
    /// Slow subscribers.
    pub slow: u64,
    /// Subscribers under backpressure.
    pub backpressure: u64,
    /// Messages published.
    pub published: PerClass,
    /// The totals of all subscribers, including those that left.
    #[serde(flatten)]
    pub counts: Counts,
    /// Messages retained for new subscribers.
    pub retained: u64,
    /// The number of the last message.
    pub seq: u64,
    /// Each subscriber; at most the first 1,000.
    pub by_subscriber: Vec<SubscriberStats>,
}

/// The counts and totals of a subscriber.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubscriberStats {
    /// Its number, as in the header `Lanekeeper-Subscriber`.
    pub id: u64,
    /// `healthy`, `backpressure` or `slow`.
    pub status: String,
    /// The fill of its queue: 1 is full.
    pub fill: f64,
    /// Messages queued for it.
    pub waiting: PerClass,
    /// The limit of its queue.
    pub queue_max: u64,
    /// Its totals.
    #[serde(flatten)]
    pub counts: Counts,
    /// The average duration of a send, in microseconds.
    pub send_mean_micros: u64,
    /// The 99th percentile of the duration of a send, in microseconds.
    pub send_p99_micros: u64,
}
