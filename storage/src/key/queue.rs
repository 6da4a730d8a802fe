//! Keys of queues and their messages.

use smallvec::SmallVec;

use crate::{
    codec::{Decode, Encode},
    key::{Key, KeyRange, key, tag},
};

/// The number a queue id is interned to: short in keys, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueNo(pub u64);

/// The urgency of a message: 0 is the most urgent, at most 2,147,483,647.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
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

/// The number of a message in the order in which its queue accepted messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arrival(pub u64);

/// The state of a message in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[repr(u8)]
pub enum MessageState {
    /// Ready to be popped or leased.
    Ready = 1,
    /// Waiting for its time.
    Scheduled = 2,
    /// Under a lease.
    Leased = 3,
}

impl MessageState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Scheduled, Self::Leased];

    /// The state with this number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }
}

/// The entry of a queue id in the directory of queues.
pub fn queue_entry(queue_id: &str) -> Key {
    key(tag::QUEUE_ENTRY, &[queue_id.as_bytes()])
}

/// The directory entries of all queue ids that begin with `prefix`, in the order of the ids.
pub fn queue_entries(prefix: &str) -> KeyRange {
    KeyRange::prefix(&queue_entry(prefix))
}

/// The queue id of a directory key, or `None` for any other key.
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
pub fn priority_count(queue: QueueNo, priority: Priority) -> Key {
    key(tag::LANE, &[&queue.0.to_be_bytes(), &priority.0.to_be_bytes()])
}

/// The counts of every priority of a queue, most urgent first.
pub fn priority_counts(queue: QueueNo) -> KeyRange {
    KeyRange::prefix(&key(tag::LANE, &[&queue.0.to_be_bytes()]))
}

/// The priority of a lane key, or `None` for any other key.
pub fn priority_of_lane(priority_count: &Key) -> Option<Priority> {
    let rest = priority_count.as_bytes().strip_prefix(&[tag::LANE])?.get(8..)?;
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

/// Priority and arrival of a message key, or `None` for any other key.
pub fn place_of(message: &Key) -> Option<(Priority, Arrival)> {
    let bytes: &[u8; 22] = message.as_bytes().try_into().ok()?;
    let priority = u32::from_be_bytes(bytes[10..14].try_into().ok()?);
    let arrival = u64::from_be_bytes(bytes[14..].try_into().ok()?);
    (bytes[0] == tag::MESSAGE).then_some((Priority::new(priority)?, Arrival(arrival)))
}

/// The last instant that can be due (Unix milliseconds): six bytes of it keep the key short.
const DUE_MS_MAX: u64 = (1 << 48) - 1;

/// The time at which a message is due: an entry in the index of its queue by time (Unix
/// milliseconds).
pub fn due(queue: QueueNo, due_ms: u64, arrival: Arrival) -> Key {
    let mut bytes = [0; 23];
    bytes[0] = tag::DUE;
    bytes[1..9].copy_from_slice(&queue.0.to_be_bytes());
    bytes[9..15].copy_from_slice(&due_ms.min(DUE_MS_MAX).to_be_bytes()[2..]);
    bytes[15..].copy_from_slice(&arrival.0.to_be_bytes());
    Key(SmallVec::from_slice(&bytes))
}

/// All due messages of a queue, earliest first.
pub fn dues(queue: QueueNo) -> KeyRange {
    KeyRange::prefix(&key(tag::DUE, &[&queue.0.to_be_bytes()]))
}

/// The messages of a queue due at or before an instant (Unix milliseconds), earliest first.
pub fn dues_by(queue: QueueNo, due_ms: u64) -> KeyRange {
    let last = due(queue, due_ms, Arrival(u64::MAX));
    KeyRange { start: dues(queue).start, end: last.after_prefix() }
}

/// Due time and message of a due key, or `None` for any other key.
pub fn due_of(due: &Key) -> Option<(u64, Arrival)> {
    let bytes: &[u8; 23] = due.as_bytes().try_into().ok()?;
    let mut due_ms = [0; 8];
    due_ms[2..].copy_from_slice(&bytes[9..15]);
    let arrival = u64::from_be_bytes(bytes[15..].try_into().ok()?);
    let entry = (u64::from_be_bytes(due_ms), Arrival(arrival));
    (bytes[0] == tag::DUE).then_some(entry)
}

/// The message pushed last with a deduplication key.
pub fn dedup(queue: QueueNo, dedup_key: &str) -> Key {
    key(tag::DEDUP, &[&queue.0.to_be_bytes(), dedup_key.as_bytes()])
}

/// The time at which a deduplication key is forgotten: an index entry by time (Unix milliseconds).
pub fn dedup_due(queue: QueueNo, due_ms: u64, dedup_key: &str) -> Key {
    let (queue, due) = (queue.0.to_be_bytes(), due_ms.to_be_bytes());
    key(tag::DEDUP_DUE, &[&queue, &due, dedup_key.as_bytes()])
}

/// The deduplication keys of a queue in the order in which they are forgotten.
pub fn dedup_dues(queue: QueueNo) -> KeyRange {
    KeyRange::prefix(&key(tag::DEDUP_DUE, &[&queue.0.to_be_bytes()]))
}

/// The deduplication keys to be forgotten at or before an instant (Unix milliseconds).
pub fn dedup_dues_by(queue: QueueNo, due_ms: u64) -> KeyRange {
    let last = key(tag::DEDUP_DUE, &[&queue.0.to_be_bytes(), &due_ms.to_be_bytes()]);
    KeyRange { start: dedup_dues(queue).start, end: last.after_prefix() }
}

/// Time and deduplication key of such an entry, or `None` for any other key.
pub fn dedup_due_of(entry: &Key) -> Option<(u64, &str)> {
    let rest = entry.as_bytes().strip_prefix(&[tag::DEDUP_DUE])?.get(8..)?;
    let (due_ms, dedup_key) = rest.split_at_checked(8)?;
    let due_ms = u64::from_be_bytes(due_ms.try_into().ok()?);
    Some((due_ms, std::str::from_utf8(dedup_key).ok()?))
}

/// A message leased to a named worker: an entry in the worker's index.
pub fn worker_lease(worker: &str, queue: QueueNo, priority: Priority, arrival: Arrival) -> Key {
    let place = [&queue.0.to_be_bytes()[..], &priority.0.to_be_bytes(), &arrival.0.to_be_bytes()];
    key(tag::WORKER_LEASE, &[worker.as_bytes(), &[0], &place.concat()])
}

/// All messages leased to a worker.
pub fn worker_leases(worker: &str) -> KeyRange {
    KeyRange::prefix(&key(tag::WORKER_LEASE, &[worker.as_bytes(), &[0]]))
}

/// The queue and the message of an entry of a worker's index, or `None` for any other key.
pub fn worker_lease_of(entry: &Key) -> Option<(QueueNo, Priority, Arrival)> {
    let bytes = entry.as_bytes().strip_prefix(&[tag::WORKER_LEASE])?;
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let place: &[u8; 20] = bytes[end + 1..].try_into().ok()?;
    let queue = u64::from_be_bytes(place[..8].try_into().ok()?);
    let priority = u32::from_be_bytes(place[8..12].try_into().ok()?);
    let arrival = u64::from_be_bytes(place[12..].try_into().ok()?);
    Some((QueueNo(queue), Priority::new(priority)?, Arrival(arrival)))
}

/// The present priority of a message that was pushed with another one.
pub fn moved(queue: QueueNo, arrival: Arrival) -> Key {
    key(tag::MOVED, &[&queue.0.to_be_bytes(), &arrival.0.to_be_bytes()])
}

/// The queue and the message of such a key, or `None` for any other key.
pub(crate) fn moved_of(moved: &Key) -> Option<(QueueNo, Arrival)> {
    let bytes: &[u8; 16] = moved.as_bytes().strip_prefix(&[tag::MOVED])?.try_into().ok()?;
    let queue = u64::from_be_bytes(bytes[..8].try_into().ok()?);
    let arrival = u64::from_be_bytes(bytes[8..].try_into().ok()?);
    Some((QueueNo(queue), Arrival(arrival)))
}

/// The webhook of a queue.
pub fn sink(queue_id: &str) -> Key {
    key(tag::SINK, &[queue_id.as_bytes()])
}

/// The sinks of all queues whose ids begin with `prefix`, in the order of the ids.
pub fn sinks(prefix: &str) -> KeyRange {
    KeyRange::prefix(&sink(prefix))
}

/// The queue id of a sink's key, or `None` for any other key.
pub fn queue_id_of_sink(sink: &Key) -> Option<&str> {
    std::str::from_utf8(sink.as_bytes().strip_prefix(&[tag::SINK])?).ok()
}
