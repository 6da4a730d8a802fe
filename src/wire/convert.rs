//! From what the handles give to what the wire carries, and back.

use std::time::{Duration, SystemTime};

use lanekeeper_actors::{Durability as Level, queue};
use serde_json::value::RawValue;

use crate::wire::{
    queue::{
        Config, DeadLetter, Duplicate, Durability, Message, OnExpire, OnFull, Page, PriorityStats,
        Pushed, QueueDepth, QueueDepths, QueueList, Rate, Stats, Verbs,
    },
    rate::PerSecond,
};

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
            expires_at: message.expires_at.map(unix_millis),
            reason: message.reason.clone(),
            dead_letter: message.dead_letter.as_deref().map(DeadLetter::from),
            state: None,
            ready_at: None,
            lease_expires_at: None,
            worker: None,
        }
    }
}

impl From<&[queue::Pushed]> for Pushed {
    fn from(pushed: &[queue::Pushed]) -> Self {
        let duplicate = |(index, one): (usize, &queue::Pushed)| {
            let state = one.duplicate?.as_str().to_owned();
            Some(Duplicate { index, id: one.id.to_string(), state })
        };
        let duplicates: Vec<_> = pushed.iter().enumerate().filter_map(duplicate).collect();
        Self {
            success: true,
            count: pushed.len() - duplicates.len(),
            ids: pushed.iter().map(|one| one.id.to_string()).collect(),
            duplicates,
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
        let totals = stats.totals;
        let row =
            |row: &queue::PriorityStats| PriorityStats { priority: row.priority, ready: row.ready };
        Self {
            ready: stats.ready,
            scheduled: stats.scheduled,
            leased: stats.leased,
            dead: stats.dead,
            by_priority: stats.by_priority.iter().map(row).collect(),
            bytes: stats.bytes,
            oldest_ready_age_ms: stats.oldest_ready_age.map_or(0, millis),
            oldest_leased_age_ms: stats.oldest_leased_age.map_or(0, millis),
            pushed: totals.pushed,
            received: totals.received,
            popped: totals.popped,
            acked: totals.acked,
            nacked: totals.nacked,
            expired: totals.expired,
            dropped: totals.dropped,
            dead_lettered: totals.dead_lettered,
            redriven: totals.redriven,
            rejected: totals.rejected,
            duplicates: totals.duplicates,
            evicted: totals.evicted,
            cancelled: totals.cancelled,
            purged: totals.purged,
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

impl QueueDepths {
    /// A page of queues, with the depths of as many.
    pub(crate) fn new(list: queue::QueueList, depths: Vec<queue::QueueCounts>) -> Self {
        let row = |(id, depth): (String, queue::QueueCounts)| {
            let queue::QueueCounts { ready, scheduled, leased, dead } = depth;
            QueueDepth { id, ready, scheduled, leased, dead }
        };
        let queues: Vec<_> = list.ids.into_iter().zip(depths).map(row).collect();
        Self { count: queues.len(), queues, next: list.next }
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
            max_deliveries: config.max_deliveries,
            lease_ttl_ms: config.lease_ttl.map(millis),
            message_ttl_ms: config.message_ttl.map(millis),
            on_expire: match config.on_expire {
                queue::OnExpire::Drop => OnExpire::Drop,
                queue::OnExpire::DeadLetter => OnExpire::DeadLetter,
            },
            dedup_window_ms: config.dedup_window.map(millis),
            exclusive: config.exclusive,
            push_rate: config.push_rate.map(Rate::from),
            pop_rate: config.pop_rate.map(Rate::from),
            aging_ms: config.aging.map(millis),
            gate: config.gate,
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
            max_deliveries: config.max_deliveries,
            lease_ttl: config.lease_ttl_ms.map(Duration::from_millis),
            message_ttl: config.message_ttl_ms.map(Duration::from_millis),
            on_expire: match config.on_expire {
                OnExpire::Drop => queue::OnExpire::Drop,
                OnExpire::DeadLetter => queue::OnExpire::DeadLetter,
            },
            dedup_window: config.dedup_window_ms.map(Duration::from_millis),
            exclusive: config.exclusive,
            push_rate: config.push_rate.map(queue::Rate::from),
            pop_rate: config.pop_rate.map(queue::Rate::from),
            aging: config.aging_ms.map(Duration::from_millis),
            gate: config.gate,
        }
    }
}

impl From<queue::Rate> for Rate {
    fn from(rate: queue::Rate) -> Self {
        Self { per_second: PerSecond(rate.millionths()), burst: rate.burst }
    }
}

impl From<Rate> for queue::Rate {
    fn from(Rate { per_second: PerSecond(millionths), burst }: Rate) -> Self {
        Self::millionths_per_second(millionths, burst)
    }
}

impl From<&queue::DeadLetter> for DeadLetter {
    fn from(letter: &queue::DeadLetter) -> Self {
        Self {
            origin: letter.origin.clone(),
            id: letter.id.to_string(),
            reason: letter.reason.clone(),
            deliveries: letter.deliveries,
            pushed_at: unix_millis(letter.pushed_at),
            died_at: unix_millis(letter.died_at),
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
