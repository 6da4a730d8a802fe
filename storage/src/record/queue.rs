//! Values of queues and their messages.

use crate::{
    codec::{Decode, Encode},
    engine::seam::Durability,
    key::queue::QueueNo,
    record::{
        rate::{Rate, RateV1},
        record,
    },
};

/// The directory's entry for a queue id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QueueEntry {
    number: u64,
    /// When the queue was first written to.
    pub created_at_ms: u64,
}

impl QueueEntry {
    /// The entry of a queue that gets this number.
    pub fn new(queue: QueueNo, created_at_ms: u64) -> Self {
        Self { number: queue.0, created_at_ms }
    }

    /// The number the id is interned to.
    pub fn queue(&self) -> QueueNo {
        QueueNo(self.number)
    }
}

record!(QueueEntry, "queue entry", 1);

/// What a queue knows of itself without looking at its messages. Written with every change, hence
/// small, whatever the number of messages and priorities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct QueueMeta {
    /// The arrival number the next message gets.
    pub arrival_next: u64,
    /// Messages ready to be taken.
    pub ready_count: u64,
    /// Messages that wait for their time.
    pub scheduled_count: u64,
    /// Messages that are leased.
    pub leased_count: u64,
    /// Bytes of the payloads of all of them.
    pub bytes: u64,
    /// When the queue has itself woken for the next thing that is due, if it does.
    pub wake_at_ms: Option<u64>,
    /// When the last of the leases under way ends, at most.
    pub locked_until_ms: u64,
    /// When the last of those is ready that hold an exclusive queue back, at most.
    pub held_back_until_ms: u64,
    /// Scheduled messages that hold an exclusive queue back.
    pub holding_count: u64,
    /// When this was written.
    pub written_at_ms: u64,
    /// What happened since creation.
    pub totals: QueueTotals,
}

record!(QueueMeta, "queue metadata", 3, from QueueMetaV1, QueueMetaV2);

#[derive(Encode, Decode)]
struct QueueMetaV2 {
    arrival_next: u64,
    ready_count: u64,
    scheduled_count: u64,
    leased_count: u64,
    bytes: u64,
    wake_at_ms: Option<u64>,
    locked_until_ms: u64,
    held_back_until_ms: u64,
    totals: QueueTotals,
}

impl From<QueueMetaV2> for QueueMeta {
    fn from(old: QueueMetaV2) -> Self {
        // No message says that it holds the queue back: what did is first in it, and stays that.
        Self {
            arrival_next: old.arrival_next,
            ready_count: old.ready_count,
            scheduled_count: old.scheduled_count,
            leased_count: old.leased_count,
            bytes: old.bytes,
            wake_at_ms: old.wake_at_ms,
            locked_until_ms: old.locked_until_ms,
            totals: old.totals,
            ..Self::default()
        }
    }
}

/// What happened to the messages of a queue since its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct QueueTotals {
    /// Messages accepted from users.
    pub pushed: u64,
    /// Messages accepted from other queues.
    pub received: u64,
    /// Messages taken for good.
    pub popped: u64,
    /// Leases settled as done.
    pub acked: u64,
    /// Leases given back.
    pub nacked: u64,
    /// Leases that ended, and messages whose time to live did.
    pub expired: u64,
    /// Messages dropped because their time to live had ended.
    pub dropped: u64,
    /// Messages handed to the dead-letter queue.
    pub dead_lettered: u64,
    /// Messages handed back to the queue they came from.
    pub redriven: u64,
    /// Messages refused, as far as a later change wrote it.
    pub rejected: u64,
    /// Messages recognised as pushed before.
    pub duplicates: u64,
    /// Messages that gave way to more urgent ones.
    pub evicted: u64,
    /// Messages cancelled by id.
    pub cancelled: u64,
    /// Messages purged.
    pub purged: u64,
}

#[derive(Encode, Decode)]
struct QueueMetaV1 {
    arrival_next: u64,
    ready_count: u64,
    ready_bytes: u64,
    pushed_total: u64,
    popped_total: u64,
    rejected_total: u64,
    evicted_total: u64,
    cancelled_total: u64,
    purged_total: u64,
}

impl From<QueueMetaV1> for QueueMeta {
    fn from(old: QueueMetaV1) -> Self {
        let totals = QueueTotals {
            pushed: old.pushed_total,
            popped: old.popped_total,
            rejected: old.rejected_total,
            evicted: old.evicted_total,
            cancelled: old.cancelled_total,
            purged: old.purged_total,
            ..QueueTotals::default()
        };
        let QueueMetaV1 { arrival_next, ready_count, ready_bytes: bytes, .. } = old;
        Self { arrival_next, ready_count, bytes, totals, ..Self::default() }
    }
}

/// What happens to a push into a full queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum OnFull {
    /// The push is refused.
    #[default]
    Reject,
    /// The newest of the least urgent messages gives way, never for an equal or less urgent one.
    EvictLowest,
}

/// The durability a queue chose for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum QueueDurability {
    /// As [`Durability::Memory`].
    Memory,
    /// As [`Durability::Relaxed`].
    Relaxed,
    /// As [`Durability::Durable`].
    Durable,
}

impl From<QueueDurability> for Durability {
    fn from(chosen: QueueDurability) -> Self {
        match chosen {
            QueueDurability::Memory => Self::Memory,
            QueueDurability::Relaxed => Self::Relaxed,
            QueueDurability::Durable => Self::Durable,
        }
    }
}

impl From<Durability> for QueueDurability {
    fn from(level: Durability) -> Self {
        match level {
            Durability::Memory => Self::Memory,
            Durability::Relaxed => Self::Relaxed,
            Durability::Durable => Self::Durable,
        }
    }
}

/// What happens to a message at the end of its time to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum OnExpire {
    /// It is gone.
    #[default]
    Drop,
    /// It goes to the dead-letter queue.
    DeadLetter,
}

/// The settings of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct QueueSettings {
    /// Messages the queue holds at most.
    pub capacity: Option<u64>,
    /// What happens at the capacity.
    pub on_full: OnFull,
    /// The durability, if not the node's.
    pub durability: Option<QueueDurability>,
    /// Whether pushes are refused for now.
    pub is_push_paused: bool,
    /// Whether pops are refused for now.
    pub is_pop_paused: bool,
    /// Deliveries after which a message is a dead letter.
    pub deliveries_max: Option<u32>,
    /// How long a lease lasts if nothing else is said.
    pub lease_ttl_ms: Option<u64>,
    /// How long a message lives if nothing else is said.
    pub message_ttl_ms: Option<u64>,
    /// What happens then.
    pub on_expire: OnExpire,
    /// How long a deduplication key is remembered; 0 for not at all.
    pub dedup_window_ms: Option<u64>,
    /// Whether there is one batch of leases at a time.
    pub is_exclusive: bool,
    /// How often messages are accepted.
    pub push_rate: Option<Rate>,
    /// How often messages are given.
    pub pop_rate: Option<Rate>,
    /// After how long a message that waits rises by one priority.
    pub aging_ms: Option<u64>,
    /// The gate of whose permits every lease holds one.
    pub gate: Option<Box<str>>,
}

record!(QueueSettings, "queue settings", 4, from QueueSettingsV1, QueueSettingsV2, QueueSettingsV3);

#[derive(Encode, Decode)]
struct QueueSettingsV3 {
    v2: QueueSettingsV2,
    gate: Option<Box<str>>,
}

impl From<QueueSettingsV3> for QueueSettings {
    fn from(QueueSettingsV3 { v2, gate }: QueueSettingsV3) -> Self {
        Self { gate, ..v2.into() }
    }
}

#[derive(Encode, Decode)]
struct QueueSettingsV2 {
    v1: QueueSettingsV1,
    deliveries_max: Option<u32>,
    lease_ttl_ms: Option<u64>,
    message_ttl_ms: Option<u64>,
    on_expire: OnExpire,
    dedup_window_ms: Option<u64>,
    is_exclusive: bool,
    push_rate: Option<RateV1>,
    pop_rate: Option<RateV1>,
    aging_ms: Option<u64>,
}

impl From<QueueSettingsV2> for QueueSettings {
    fn from(old: QueueSettingsV2) -> Self {
        Self {
            deliveries_max: old.deliveries_max,
            lease_ttl_ms: old.lease_ttl_ms,
            message_ttl_ms: old.message_ttl_ms,
            on_expire: old.on_expire,
            dedup_window_ms: old.dedup_window_ms,
            is_exclusive: old.is_exclusive,
            push_rate: old.push_rate.map(Rate::from),
            pop_rate: old.pop_rate.map(Rate::from),
            aging_ms: old.aging_ms,
            ..old.v1.into()
        }
    }
}

#[derive(Encode, Decode)]
struct QueueSettingsV1 {
    capacity: Option<u64>,
    on_full: OnFull,
    durability: Option<QueueDurability>,
    is_push_paused: bool,
    is_pop_paused: bool,
}

impl From<QueueSettingsV1> for QueueSettings {
    fn from(old: QueueSettingsV1) -> Self {
        let QueueSettingsV1 { capacity, on_full, durability, is_push_paused, is_pop_paused } = old;
        Self { capacity, on_full, durability, is_push_paused, is_pop_paused, ..Self::default() }
    }
}

/// The counts of one priority of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct PriorityMeta {
    /// Messages ready to be taken.
    pub ready_count: u64,
}

record!(PriorityMeta, "lane", 1);
