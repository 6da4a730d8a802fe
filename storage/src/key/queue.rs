//! Keys of queues and their messages.

use smallvec::SmallVec;

use super::{Key, KeyRange, key, tag};

/// The number a queue id is interned to: short in keys, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueNo(pub u64);

/// The urgency of a message: 0 is the most urgent, at most 2,147,483,647.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u32);

impl Priority {
    /// The least urgent priority there is.
    pub const MAX: Self = Self(i32::MAX as u32);

    /// The priority with this number, or `None` if it is out of bounds.
    pub fn new(number: u32) -> Option<Self> {
        (number <= Self::MAX.0).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(1)
    }
}

/// The place of a message in the order in which its queue accepted messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arrival(pub u64);

/// What a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MessageState {
    /// To be taken.
    Ready = 1,
}

/// The entry of a queue id in the directory of queues.
pub fn queue_entry(queue_id: &str) -> Key {
    key(tag::QUEUE_ENTRY, &[queue_id.as_bytes()])
}

/// The directory entries of all queue ids that begin with `prefix`, in the order of the ids.
pub fn queue_entries(prefix: &str) -> KeyRange {
    KeyRange::prefix(&queue_entry(prefix))
}

/// The queue id of a directory key, or `None` if it is no such key.
pub fn queue_id_of(entry: &Key) -> Option<&str> {
    let (&first, id) = entry.as_bytes().split_first()?;
    (first == tag::QUEUE_ENTRY).then(|| std::str::from_utf8(id).ok()).flatten()
}

/// The counts and totals of a queue.
pub fn queue_meta(queue: QueueNo) -> Key {
    key(tag::QUEUE_META, &[&queue.0.to_be_bytes()])
}

/// The settings of a queue.
pub fn queue_settings(queue: QueueNo) -> Key {
    key(tag::QUEUE_SETTINGS, &[&queue.0.to_be_bytes()])
}

/// The counts of one priority of a queue.
pub fn lane(queue: QueueNo, priority: Priority) -> Key {
    key(tag::LANE, &[&queue.0.to_be_bytes(), &priority.0.to_be_bytes()])
}

/// The counts of every priority of a queue, most urgent first.
pub fn lanes(queue: QueueNo) -> KeyRange {
    KeyRange::prefix(&key(tag::LANE, &[&queue.0.to_be_bytes()]))
}

/// The priority of a lane key, or `None` if it is no such key.
pub fn priority_of_lane(lane: &Key) -> Option<Priority> {
    let rest = lane.as_bytes().strip_prefix(&[tag::LANE])?.get(8..)?;
    Priority::new(u32::from_be_bytes(rest.try_into().ok()?))
}

/// A message.
pub fn message(queue: QueueNo, state: MessageState, priority: Priority, arrival: Arrival) -> Key {
    let mut bytes = [0; 22];
    bytes[0] = tag::MESSAGE;
    bytes[1..9].copy_from_slice(&queue.0.to_be_bytes());
    bytes[9] = state as u8;
    bytes[10..14].copy_from_slice(&priority.0.to_be_bytes());
    bytes[14..].copy_from_slice(&arrival.0.to_be_bytes());
    Key(SmallVec::from_slice(&bytes))
}

/// Every message of a queue in one state, in the order of priority and arrival.
pub fn messages(queue: QueueNo, state: MessageState) -> KeyRange {
    KeyRange::prefix(&key(tag::MESSAGE, &[&queue.0.to_be_bytes(), &[state as u8]]))
}

/// The messages of one priority of a queue in one state, in the order of arrival.
pub fn messages_of(queue: QueueNo, state: MessageState, priority: Priority) -> KeyRange {
    let parts: [&[u8]; 3] = [&queue.0.to_be_bytes(), &[state as u8], &priority.0.to_be_bytes()];
    KeyRange::prefix(&key(tag::MESSAGE, &parts))
}

/// Priority and arrival of a message key, or `None` if it is no such key.
pub fn place_of(message: &Key) -> Option<(Priority, Arrival)> {
    let bytes: &[u8; 22] = message.as_bytes().try_into().ok()?;
    let priority = u32::from_be_bytes(bytes[10..14].try_into().ok()?);
    let arrival = u64::from_be_bytes(bytes[14..].try_into().ok()?);
    (bytes[0] == tag::MESSAGE).then_some((Priority::new(priority)?, Arrival(arrival)))
}
