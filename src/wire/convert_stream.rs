//! From what the handle of a stream gives to what the wire carries, and back.

use std::time::Duration;

use lanekeeper_actors::stream;

use crate::wire::stream::{
    Class, Counts, OnSlow, PerClass, Published, StreamConfig, StreamStats, SubscriberStats,
};

impl From<Class> for stream::Class {
    fn from(class: Class) -> Self {
        match class {
            Class::Control => Self::Control,
            Class::Critical => Self::Critical,
            Class::Important => Self::Important,
            Class::Bulk => Self::Bulk,
        }
    }
}

impl From<stream::Published> for Published {
    fn from(done: stream::Published) -> Self {
        let stream::Published { subscribers, queued, evicted, refused, .. } = done;
        Self { subscribers, queued, evicted, refused }
    }
}

impl From<stream::StreamConfig> for StreamConfig {
    fn from(config: stream::StreamConfig) -> Self {
        let on_slow = match config.on_slow {
            stream::OnSlow::Warn => OnSlow::Warn,
            stream::OnSlow::Throttle => OnSlow::Throttle,
            stream::OnSlow::Disconnect => OnSlow::Disconnect,
        };
        Self { retain: config.retain, persist: config.persist, on_slow }
    }
}

impl From<StreamConfig> for stream::StreamConfig {
    fn from(config: StreamConfig) -> Self {
        let on_slow = match config.on_slow {
            OnSlow::Warn => stream::OnSlow::Warn,
            OnSlow::Throttle => stream::OnSlow::Throttle,
            OnSlow::Disconnect => stream::OnSlow::Disconnect,
        };
        Self { retain: config.retain, persist: config.persist, on_slow }
    }
}

impl From<&stream::PerClass<u64>> for PerClass {
    fn from(counts: &stream::PerClass<u64>) -> Self {
        let [control, critical, important, bulk] =
            stream::Class::ALL.map(|class| *counts.of(class));
        Self { control, critical, important, bulk }
    }
}

impl From<&stream::Counts> for Counts {
    fn from(counts: &stream::Counts) -> Self {
        Self {
            sent: (&counts.sent).into(),
            evicted: (&counts.evicted).into(),
            refused: (&counts.refused).into(),
            abandoned: counts.abandoned,
            bytes: counts.bytes,
            slow_events: counts.slow_events,
            backpressure_events: counts.backpressure_events,
        }
    }
}

impl From<&stream::SubscriberStats> for SubscriberStats {
    fn from(stats: &stream::SubscriberStats) -> Self {
        Self {
            id: stats.id.0,
            status: stats.status.as_str().to_owned(),
            fill: stats.fill(),
            waiting: (&stats.waiting).into(),
            queue_max: stats.queue_max as u64,
            counts: (&stats.counts).into(),
            send_mean_micros: micros(stats.send_mean),
            send_p99_micros: micros(stats.send_p99),
        }
    }
}

impl From<stream::StreamStats> for StreamStats {
    fn from(stats: stream::StreamStats) -> Self {
        Self {
            subscribers: stats.subscriber_count,
            slow: stats.slow_count,
            backpressure: stats.backpressure_count,
            published: (&stats.published).into(),
            counts: (&stats.counts).into(),
            retained: stats.retained_count,
            seq: stats.seq_last,
            by_subscriber: stats.subscribers.iter().map(SubscriberStats::from).collect(),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
