//! The values of the store. Times are Unix milliseconds.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::{
    Durability,
    codec::{self, CodecError, Format},
    key::QueueNo,
};

/// Implements encoding and decoding for a record without a tail.
macro_rules! record {
    ($type:ty, $name:literal, $format:literal) => {
        impl Format for $type {
            const NAME: &'static str = $name;
            const FORMAT: u8 = $format;
        }

        impl $type {
            /// The value as the store keeps it.
            pub fn encode(&self) -> Bytes {
                codec::encode(self, &[])
            }

            /// The value read back.
            ///
            /// # Errors
            /// [`CodecError`] if the bytes are of an unknown format or damaged.
            pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                Ok(codec::decode(bytes)?.0)
            }
        }
    };
}

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

/// The state of a user's actor: the version its type had, then its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorState {
    /// The version of the actor's type that wrote it.
    pub version: u32,
    /// The state, as [`encode_state`](crate::encode_state) made it.
    pub state: Bytes,
}

#[derive(Encode, Decode)]
struct ActorStateHeader {
    version: u32,
}

impl Format for ActorStateHeader {
    const NAME: &'static str = "actor state";
    const FORMAT: u8 = 1;
}

impl ActorState {
    /// The value as the store keeps it.
    pub fn encode(&self) -> Bytes {
        codec::encode(&ActorStateHeader { version: self.version }, &self.state)
    }

    /// The value read back; the state shares the bytes given.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are of an unknown format or damaged.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (ActorStateHeader { version }, tail) = codec::decode(bytes)?;
        Ok(Self { version, state: bytes.slice(tail..) })
    }
}

/// A reminder: whom it wakes, and what it was due for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReminderRecord {
    /// The kind of the actor.
    pub kind: String,
    /// The key of the actor.
    pub actor_key: String,
    /// The name of the reminder, unique to the actor.
    pub name: String,
    /// When it is due.
    pub due_ms: u64,
    /// How long after that it is due again, if it repeats.
    pub period_ms: Option<u64>,
}

record!(ReminderRecord, "reminder", 1);

/// Where a reminder stands in the order of due times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReminderDue {
    /// When it is due.
    pub due_ms: u64,
}

record!(ReminderDue, "reminder due time", 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_payload_byte_for_byte() {
        let payload = Bytes::from_static(b"{ \"a\" :\t1 }");
        let message = MessageRecord { pushed_at_ms: 1_800_000_000_000, deliveries: 3, payload };
        assert_eq!(MessageRecord::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn an_unknown_format_is_refused_by_name() {
        let mut bytes = QueueMeta::default().encode().to_vec();
        bytes[0] = 9;
        assert_eq!(
            QueueMeta::decode(&bytes),
            Err(CodecError::UnknownFormat { record: "queue metadata", found: 9, newest: 1 })
        );
    }

    #[test]
    fn a_short_record_is_malformed_and_no_panic() {
        let bytes = QueueEntry::new(QueueNo(1 << 40), 1).encode();
        for length in 0..bytes.len() {
            let error = QueueEntry::decode(&bytes[..length]);
            assert!(matches!(error, Err(CodecError::Malformed { .. })), "{length}: {error:?}");
        }
    }
}
