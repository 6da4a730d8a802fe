//! Values of messages, and of what leads to them.

mod former;

use bytes::Bytes;

use crate::{
    codec::{self, CodecError, Decode, Encode},
    key::queue::{Arrival, MessageState, Priority},
    record::{
        header,
        message::former::{
            MessageHeaderV1, MessageHeaderV2, MessageHeaderV3, MessageHeaderV4, QueueOutboxHeaderV1,
        },
        record,
    },
};

/// A message: a small header, then the payload as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    /// When it was accepted.
    pub pushed_at_ms: u64,
    /// How often it was delivered.
    pub deliveries: u32,
    /// What it waits for.
    pub state: MessageStateRecord,
    /// When its time to live ends, if it does.
    pub expires_at_ms: Option<u64>,
    /// What few messages have.
    pub note: Option<Box<Annotation>>,
    /// The payload, byte for byte.
    pub payload: Bytes,
}

/// What a message waits for, with what belongs to that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum MessageStateRecord {
    /// To be taken.
    #[default]
    Ready,
    /// For its time.
    Scheduled {
        /// When that is.
        ready_at_ms: u64,
        /// Since when it waits.
        since_ms: u64,
        /// Whether an exclusive queue gives nothing else meanwhile.
        is_holding: bool,
    },
    /// For whoever holds its lease.
    Leased(LeaseRecord),
}

impl MessageStateRecord {
    /// The part of the key.
    pub fn of_key(&self) -> MessageState {
        match self {
            Self::Ready => MessageState::Ready,
            Self::Scheduled { .. } => MessageState::Scheduled,
            Self::Leased(_) => MessageState::Leased,
        }
    }
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeaseRecord {
    /// The secret of this delivery.
    pub nonce: [u8; 16],
    /// When it was given.
    pub leased_at_ms: u64,
    /// When it ends.
    pub expires_at_ms: u64,
    /// Who has it, if that was said.
    pub worker: Option<String>,
    /// What it holds at a gate, if the queue has one.
    pub permit: Option<PermitRecord>,
    /// Which life of the worker it was, if that was said.
    pub life: Option<u64>,
}

/// A permit of a gate that a lease holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PermitRecord {
    /// The id of the gate.
    pub gate: String,
    /// Whose it is there.
    pub owner: String,
}

/// What few messages have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Annotation {
    /// The deduplication key it was pushed with.
    pub dedup_key: Option<String>,
    /// Why it was given back last.
    pub reason: Option<String>,
    /// Where it died, for a dead letter.
    pub death: Option<DeathRecord>,
    /// When its deduplication key is forgotten, if the queue remembers that.
    pub forget_at_ms: Option<u64>,
    /// The priority it came with, if it has another one now.
    pub came_with: Option<Priority>,
}

/// What a dead letter was.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeathRecord {
    /// The id of the queue it died in.
    pub origin: String,
    /// Its arrival number there.
    pub arrival: u64,
    /// Why it died.
    pub reason: String,
    /// How often it had been delivered.
    pub deliveries: u32,
    /// When it had been accepted there.
    pub pushed_at_ms: u64,
    /// When it died.
    pub died_at_ms: u64,
}

#[derive(Encode, Decode)]
struct MessageHeader {
    pushed_at_ms: u64,
    deliveries: u32,
    state: MessageStateRecord,
    expires_at_ms: Option<u64>,
    note: Option<Box<Annotation>>,
}

header!(
    MessageHeader, "message", 5,
    from MessageHeaderV1, MessageHeaderV2, MessageHeaderV3, MessageHeaderV4
);

impl MessageRecord {
    /// A message that was never delivered and is ready now.
    pub fn ready(pushed_at_ms: u64, payload: Bytes) -> Self {
        let state = MessageStateRecord::Ready;
        Self { pushed_at_ms, deliveries: 0, state, expires_at_ms: None, note: None, payload }
    }

    /// The value as the store keeps it.
    pub fn encode(self) -> Bytes {
        let Self { pushed_at_ms, deliveries, state, expires_at_ms, note, payload } = self;
        let header = MessageHeader { pushed_at_ms, deliveries, state, expires_at_ms, note };
        codec::encode(&header, &payload)
    }

    /// The value read back; the payload shares the bytes given.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are of an unknown format or damaged.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (header, tail) = codec::decode::<MessageHeader>(bytes)?;
        let MessageHeader { pushed_at_ms, deliveries, state, expires_at_ms, note } = header;
        let payload = bytes.slice(tail..);
        Ok(Self { pushed_at_ms, deliveries, state, expires_at_ms, note, payload })
    }

    /// When something is due for the message, if anything is: it becomes ready, its lease ends, or
    /// its time to live does.
    pub fn due_ms(&self) -> Option<u64> {
        match &self.state {
            MessageStateRecord::Ready => self.expires_at_ms,
            MessageStateRecord::Scheduled { ready_at_ms, .. } => {
                Some(self.expires_at_ms.map_or(*ready_at_ms, |end| end.min(*ready_at_ms)))
            }
            MessageStateRecord::Leased(lease) => Some(lease.expires_at_ms),
        }
    }
}

/// A message on its way from one queue to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOutboxRecord {
    /// Its urgency.
    pub priority: Priority,
    /// What goes with it.
    pub note: Option<Box<Annotation>>,
    /// The payload, byte for byte.
    pub payload: Bytes,
}

#[derive(Encode, Decode)]
struct QueueOutboxHeader {
    priority: u32,
    note: Option<Box<Annotation>>,
}

header!(QueueOutboxHeader, "letter to a queue", 2, from QueueOutboxHeaderV1);

impl QueueOutboxRecord {
    /// The content of the letter.
    pub fn encode(self) -> Bytes {
        let Self { priority, note, payload } = self;
        codec::encode(&QueueOutboxHeader { priority: priority.get(), note }, &payload)
    }

    /// The content read back; the payload shares the bytes given.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are of an unknown format or damaged.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (QueueOutboxHeader { priority, note }, tail) = codec::decode(bytes)?;
        let priority = Priority::new(priority).unwrap_or(Priority::MAX);
        Ok(Self { priority, note, payload: bytes.slice(tail..) })
    }
}

/// The message that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DueEntry {
    priority: u32,
    /// The state in which it is.
    pub state: MessageState,
}

impl DueEntry {
    /// The entry of a message of this priority, in this state.
    pub fn new(priority: Priority, state: MessageState) -> Self {
        Self { priority: priority.get(), state }
    }

    /// The priority of the message.
    pub fn priority(&self) -> Priority {
        Priority::new(self.priority).unwrap_or(Priority::MAX)
    }
}

record!(DueEntry, "due message", 1);

/// The message that was pushed with a deduplication key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DedupRecord {
    arrival: u64,
    priority: u32,
    /// When the key is forgotten.
    pub forget_at_ms: u64,
    /// What became of the message, once it is gone from its queue and that was written.
    pub ending: Option<KeyOutcome>,
}

/// How a message left its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum KeyOutcome {
    /// It was taken for good, or the work on it was done.
    Done,
    /// It is a dead letter.
    Dead,
    /// Its time to live ended.
    Expired,
    /// It gave way to a more urgent one.
    Evicted,
}

#[derive(Encode, Decode)]
struct DedupRecordV1 {
    arrival: u64,
    priority: u32,
    forget_at_ms: u64,
}

impl From<DedupRecordV1> for DedupRecord {
    fn from(DedupRecordV1 { arrival, priority, forget_at_ms }: DedupRecordV1) -> Self {
        Self { arrival, priority, forget_at_ms, ending: None }
    }
}

impl DedupRecord {
    /// The record of the message at this place.
    pub fn new(priority: Priority, arrival: Arrival, forget_at_ms: u64) -> Self {
        Self { arrival: arrival.0, priority: priority.get(), forget_at_ms, ending: None }
    }

    /// Priority and arrival of the message.
    pub fn position(&self) -> (Priority, Arrival) {
        (Priority::new(self.priority).unwrap_or(Priority::MAX), Arrival(self.arrival))
    }
}

record!(DedupRecord, "deduplication key", 2, from DedupRecordV1);

/// Where a message is that has another priority than the one it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MovedRecord {
    /// The priority it has now.
    pub priority: Priority,
    /// The priority it came with.
    pub came_with: Priority,
}

record!(MovedRecord, "moved message", 1);

/// Where the messages of a queue are delivered to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SinkRecord {
    /// The address that is posted to.
    pub url: String,
    /// Deliveries under way at once, at most.
    pub concurrency_max: u32,
    /// How long a delivery may take.
    pub lease_ttl_ms: u64,
    /// Headers that are sent with each message, by their names.
    pub headers: Vec<(String, String)>,
}

record!(SinkRecord, "sink", 2, from SinkRecordV1);

#[derive(Encode, Decode)]
struct SinkRecordV1 {
    url: String,
    concurrency_max: u32,
    lease_ttl_ms: u64,
}

impl From<SinkRecordV1> for SinkRecord {
    fn from(old: SinkRecordV1) -> Self {
        let SinkRecordV1 { url, concurrency_max, lease_ttl_ms } = old;
        Self { url, concurrency_max, lease_ttl_ms, headers: Vec::new() }
    }
}
