//! What is said of streams and their subscribers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How urgent a message of a stream is, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Always taken, within a bound of its own.
    Control,
    /// Gives way to control alone.
    Critical,
    /// Gives way to what is more urgent.
    Important,
    /// The first to give way.
    Bulk,
}

/// The answer to a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// Subscribers that it was offered to.
    pub subscribers: u64,
    /// Those of them for whom it waits now.
    pub queued: u64,
    /// Messages that gave way to it.
    pub evicted: u64,
    /// Subscribers that had no room for it.
    pub refused: u64,
}

/// What happens to a subscriber that is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnSlow {
    /// It is told.
    #[default]
    Warn,
    /// It is told, and gets one of ten bulk messages until it keeps up again.
    Throttle,
    /// It is disconnected.
    Disconnect,
}

/// The settings of a stream. A field that a `PUT` leaves out takes its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Messages that a late subscriber gets first.
    #[schema(maximum = 1000)]
    pub retain: u32,
    /// Whether those survive a restart.
    pub persist: bool,
    /// What happens to a subscriber that is slow.
    pub on_slow: OnSlow,
}

/// One count for each class.
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

/// What happened to the messages of a subscriber, or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Messages delivered.
    pub sent: PerClass,
    /// Messages that gave way to others.
    pub evicted: PerClass,
    /// Messages refused at the door.
    pub refused: PerClass,
    /// Messages that waited when their subscriber left.
    pub abandoned: u64,
    /// Bytes of the payloads delivered.
    pub bytes: u64,
    /// Sends of more than 500 ms.
    pub slow_events: u64,
    /// How often eight tenths of a queue were reached.
    pub backpressure_events: u64,
}

/// A stream in numbers, counted since its activation. One never used answers zeros.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StreamStats {
    /// Subscribers there are.
    pub subscribers: u64,
    /// Those of them that are slow.
    pub slow: u64,
    /// Those of them under backpressure.
    pub backpressure: u64,
    /// Messages published.
    pub published: PerClass,
    /// What happened to them, at those that left too.
    #[serde(flatten)]
    pub counts: Counts,
    /// Messages kept for late subscribers.
    pub retained: u64,
    /// The number of the last message.
    pub seq: u64,
    /// The subscribers one by one; at most the first 1,000.
    pub by_subscriber: Vec<SubscriberStats>,
}

/// One subscriber in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubscriberStats {
    /// Its number, as `Lanekeeper-Subscriber` told it.
    pub id: u64,
    /// `healthy`, `backpressure` or `slow`.
    pub status: String,
    /// How much of its queue is taken: 1 if it is full.
    pub fill: f64,
    /// Messages that wait for it.
    pub waiting: PerClass,
    /// Messages that may.
    pub queue_max: u64,
    /// What happened to its messages.
    #[serde(flatten)]
    pub counts: Counts,
    /// What a send takes on average, in microseconds.
    pub send_mean_micros: u64,
    /// What 99 of 100 sends stay below, in microseconds.
    pub send_p99_micros: u64,
}
