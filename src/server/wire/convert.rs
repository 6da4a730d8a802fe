//! From what the handles give to what the wire carries, and back.

use std::time::{Duration, SystemTime};

use lanekeeper_actors::{Durability as Level, queue};
use serde_json::value::RawValue;

use super::{Config, Durability, Message, OnFull, Page, PriorityStats, QueueList, Stats, Verbs};

/// A duration as it is written: whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An instant as it is written: Unix milliseconds.
pub(crate) fn unix_millis(instant: SystemTime) -> u64 {
    instant.duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

impl From<&queue::Message> for Message {
    fn from(message: &queue::Message) -> Self {
        let item = message.item.as_str().to_owned();
        Self {
            id: message.id.to_string(),
            priority: message.priority,
            item: RawValue::from_string(item).expect("an item is valid JSON"),
            pushed_at: unix_millis(message.pushed_at),
            deliveries: message.deliveries,
            state: None,
        }
    }
}

impl From<queue::Page> for Page {
    fn from(page: queue::Page) -> Self {
        let messages: Vec<Message> = page.messages.iter().map(Message::from).collect();
        Self { count: messages.len(), messages, next: page.next.map(|id| id.to_string()) }
    }
}

impl From<queue::QueueStats> for Stats {
    fn from(stats: queue::QueueStats) -> Self {
        let row =
            |row: &queue::PriorityStats| PriorityStats { priority: row.priority, ready: row.ready };
        Self {
            ready: stats.ready,
            scheduled: 0,
            leased: 0,
            dead: 0,
            by_priority: stats.by_priority.iter().map(row).collect(),
            bytes: stats.bytes,
            oldest_ready_age_ms: stats.oldest_ready_age.map_or(0, millis),
            oldest_leased_age_ms: 0,
            pushed: stats.pushed,
            popped: stats.popped,
            acked: 0,
            nacked: 0,
            expired: 0,
            dead_lettered: 0,
            rejected: stats.rejected,
            evicted: stats.evicted,
            cancelled: stats.cancelled,
            purged: stats.purged,
            paused: stats.paused.into(),
            durability: stats.durability.into(),
            loss_window_ms: stats.loss_window.map(millis),
        }
    }
}

impl From<queue::Paused> for Verbs {
    fn from(paused: queue::Paused) -> Self {
        Self { push: paused.push, pop: paused.pop }
    }
}

impl From<queue::QueueList> for QueueList {
    fn from(list: queue::QueueList) -> Self {
        Self { count: list.ids.len(), queues: list.ids, next: list.next }
    }
}

impl From<queue::QueueConfig> for Config {
    fn from(config: queue::QueueConfig) -> Self {
        Self {
            capacity: config.capacity,
            on_full: match config.on_full {
                queue::OnFull::Reject => OnFull::Reject,
                queue::OnFull::EvictLowest => OnFull::EvictLowest,
            },
            durability: config.durability.map(Durability::from),
        }
    }
}

impl From<Config> for queue::QueueConfig {
    fn from(config: Config) -> Self {
        Self {
            capacity: config.capacity,
            on_full: match config.on_full {
                OnFull::Reject => queue::OnFull::Reject,
                OnFull::EvictLowest => queue::OnFull::EvictLowest,
            },
            durability: config.durability.map(Level::from),
        }
    }
}

impl From<Level> for Durability {
    fn from(level: Level) -> Self {
        match level {
            Level::Memory => Self::Memory,
            Level::Relaxed => Self::Relaxed,
            Level::Durable => Self::Durable,
        }
    }
}

impl From<Durability> for Level {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Memory => Self::Memory,
            Durability::Relaxed => Self::Relaxed,
            Durability::Durable => Self::Durable,
        }
    }
}
