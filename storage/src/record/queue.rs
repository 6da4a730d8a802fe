//! Values of queues and their messages.

use bytes::Bytes;

use super::record;
use crate::{
    Durability,
    codec::{self, CodecError, Decode, Encode, Format},
    key::QueueNo,
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
    /// Bytes of their payloads.
    pub ready_bytes: u64,
    /// Messages accepted since creation.
    pub pushed_total: u64,
    /// Messages taken for good since creation.
    pub popped_total: u64,
    /// Messages refused since creation, as far as a later change wrote it.
    pub rejected_total: u64,
    /// Messages that gave way to more urgent ones since creation.
    pub evicted_total: u64,
    /// Messages cancelled by id since creation.
    pub cancelled_total: u64,
    /// Messages purged since creation.
    pub purged_total: u64,
}

record!(QueueMeta, "queue metadata", 1);

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

/// The settings of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
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
}

record!(QueueSettings, "queue settings", 1);

/// The counts of one priority of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LaneMeta {
    /// Messages ready to be taken.
    pub ready_count: u64,
}

record!(LaneMeta, "lane", 1);

/// A message: a small header, then the payload as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    /// When it was accepted.
    pub pushed_at_ms: u64,
    /// How often it was delivered.
    pub deliveries: u32,
    /// The payload, byte for byte.
    pub payload: Bytes,
}

#[derive(Encode, Decode)]
struct MessageHeader {
    pushed_at_ms: u64,
    deliveries: u32,
}

impl Format for MessageHeader {
    const NAME: &'static str = "message";
    const FORMAT: u8 = 1;
}

impl MessageRecord {
    /// The value as the store keeps it.
    pub fn encode(&self) -> Bytes {
        let header = MessageHeader { pushed_at_ms: self.pushed_at_ms, deliveries: self.deliveries };
        codec::encode(&header, &self.payload)
    }

    /// The value read back; the payload shares the bytes given.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are of an unknown format or damaged.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (MessageHeader { pushed_at_ms, deliveries }, tail) = codec::decode(bytes)?;
        Ok(Self { pushed_at_ms, deliveries, payload: bytes.slice(tail..) })
    }
}
