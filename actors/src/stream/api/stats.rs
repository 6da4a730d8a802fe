//! What a stream says of itself.

use std::time::Duration;

use crate::stream::api::{
    event::SubscriberId,
    priority_class::{Class, PerClass},
};

/// The bounds by which the times of sends are counted.
pub const SEND_BOUNDS: [Duration; 12] = [
    Duration::from_micros(10),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// How a subscriber fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubscriberStatus {
    /// It keeps up.
    Healthy,
    /// Eight tenths of its queue are taken.
    Backpressure,
    /// It was slow more than five times in a row.
    Slow,
}

impl SubscriberStatus {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Backpressure => "backpressure",
            Self::Slow => "slow",
        }
    }
}

/// What happened to the messages of a subscriber, or of all subscribers of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages delivered.
    pub sent: PerClass<u64>,
    /// Messages that gave way to others.
    pub evicted: PerClass<u64>,
    /// Messages refused at the door: no room, shed or sampled.
    pub refused: PerClass<u64>,
    /// Messages that waited when their subscriber left.
    pub abandoned: u64,
    /// Bytes of the payloads delivered.
    pub bytes: u64,
    /// Sends that took longer than half a second.
    pub slow_events: u64,
    /// How often eight tenths of a queue were reached.
    pub backpressure_events: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent.add(&other.sent);
        self.evicted.add(&other.evicted);
        self.refused.add(&other.refused);
        self.abandoned += other.abandoned;
        self.bytes += other.bytes;
        self.slow_events += other.slow_events;
        self.backpressure_events += other.backpressure_events;
    }
}

/// One subscriber in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberStats {
    /// Which one.
    pub id: SubscriberId,
    /// How it fares.
    pub status: SubscriberStatus,
    /// Messages that wait for it.
    pub waiting: PerClass<u64>,
    /// Messages that may wait for it.
    pub queue_max: usize,
    /// What happened to the messages it was offered.
    pub counts: Counts,
    /// How long a send takes on average.
    pub send_mean: Duration,
    /// What 99 of 100 sends stay below, to within a fourth.
    pub send_p99: Duration,
}

impl SubscriberStats {
    /// How much of its queue is taken: 1 if it is full, more if control took more than that.
    pub fn fill(&self) -> f64 {
        self.waiting.total() as f64 / self.queue_max as f64
    }
}

/// A stream in numbers; totals count from its activation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Subscribers there are.
    pub subscriber_count: u64,
    /// Those of them that are slow.
    pub slow_count: u64,
    /// Those of them that are under backpressure.
    pub backpressure_count: u64,
    /// Messages published to all or to one.
    pub published: PerClass<u64>,
    /// What happened to them at all subscribers together, those that left included.
    pub counts: Counts,
    /// Messages kept for those who come late.
    pub retained_count: u64,
    /// The number of the last message.
    pub seq_last: u64,
    /// The subscribers one by one, at most the first 1,000.
    pub subscribers: Vec<SubscriberStats>,
}

impl StreamStats {
    /// Counts a subscriber in.
    pub(crate) fn add(&mut self, subscriber: SubscriberStats) {
        const LISTED_MAX: usize = 1_000;
        self.subscriber_count += 1;
        match subscriber.status {
            SubscriberStatus::Healthy => {}
            SubscriberStatus::Backpressure => self.backpressure_count += 1,
            SubscriberStatus::Slow => self.slow_count += 1,
        }
        self.counts.add(&subscriber.counts);
        if self.subscribers.len() < LISTED_MAX {
            self.subscribers.push(subscriber);
        }
    }
}

/// What a publish came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The number that the message got.
    pub seq: u64,
    /// Subscribers that it was offered to.
    pub subscribers: u64,
    /// Those of them for whom it waits now.
    pub queued: u64,
    /// Messages that gave way to it.
    pub evicted: u64,
    /// Subscribers that had no room for it; with a control message, they are disconnected.
    pub refused: u64,
}

/// The streams of a node in numbers, since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamTotals {
    /// Subscribers there are.
    pub subscriber_count: u64,
    /// Subscribers there ever were.
    pub subscribed: u64,
    /// Messages published.
    pub published: PerClass<u64>,
    /// Messages queued for a subscriber.
    pub queued: u64,
    /// Messages delivered to a subscriber.
    pub delivered: u64,
    /// Messages that gave way to others.
    pub evicted: PerClass<u64>,
    /// Messages refused at a subscriber's door.
    pub refused: PerClass<u64>,
    /// Subscribers that became slow.
    pub slowed: u64,
    /// Sends that took longer than half a second.
    pub slow_events: u64,
    /// How often eight tenths of a subscriber's queue were reached.
    pub backpressure_events: u64,
    /// Bytes of the payloads delivered.
    pub delivered_bytes: u64,
    /// Sends that ended, by the first of the [`SEND_BOUNDS`] that they did not exceed, and those
    /// that exceeded all of them. A send carries what waits, up to a bound.
    pub sends: [u64; SEND_BOUNDS.len() + 1],
    /// How long they took together.
    pub send_time: Duration,
    /// Subscribers that ended, by their reason.
    pub ended: Vec<(crate::stream::api::event::End, u64)>,
}

impl StreamTotals {
    /// The published, evicted and refused messages of a class.
    pub fn of(&self, class: Class) -> [u64; 3] {
        [&self.published, &self.evicted, &self.refused].map(|per_class| *per_class.of(class))
    }
}
