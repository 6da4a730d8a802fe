//! The whole key table: which bytes stand for what. Nothing outside this file knows.
//!
//! | tag | key | value ([`crate::record`]) |
//! |---|---|---|
//! | `01` | actor kind `00` actor key | [`ActorState`](crate::record::ActorState) |
//! | `02` | due (u64) kind `00` actor key `00` name | [`ReminderRecord`](crate::record::ReminderRecord) |
//! | `03` | kind `00` actor key `00` name | [`ReminderDue`](crate::record::ReminderDue) |
//! | `10` | queue id | [`QueueEntry`](crate::record::QueueEntry) |
//! | `11` | queue (u64) | [`QueueMeta`](crate::record::QueueMeta) |
//! | `12` | queue (u64) | [`QueueSettings`](crate::record::QueueSettings) |
//! | `13` | queue (u64) priority (u32) | [`LaneMeta`](crate::record::LaneMeta) |
//! | `14` | queue (u64) state (u8) priority (u32) arrival (u64) | [`MessageRecord`](crate::record::MessageRecord) |
//!
//! Numbers are big-endian, so that byte order is numeric order. Kinds, keys and names cannot hold a
//! zero byte ([`name_is_valid`]).

use std::fmt;

use smallvec::SmallVec;

/// A key of the store: opaque bytes with an order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(SmallVec<[u8; 24]>);

impl Key {
    /// The bytes, for an engine.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key read back from an engine.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }

    /// The smallest key greater than this one.
    fn next(&self) -> Self {
        let mut bytes = self.0.clone();
        bytes.push(0);
        Self(bytes)
    }

    /// The smallest key greater than every key that begins with this one.
    fn after_prefix(&self) -> Self {
        let mut bytes = self.0.clone();
        while let Some(last) = bytes.pop() {
            if last < u8::MAX {
                bytes.push(last + 1);
                break;
            }
        }
        Self(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// Keys from `start` on and before `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that may be returned.
    pub start: Key,
    /// The first key that may not.
    pub end: Key,
}

impl KeyRange {
    fn prefix(prefix: &Key) -> Self {
        Self { start: prefix.clone(), end: prefix.after_prefix() }
    }

    /// The part of this range after `key`.
    #[must_use]
    pub fn after(self, key: &Key) -> Self {
        Self { start: self.start.max(key.next()), end: self.end }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &Key) -> bool {
        *key >= self.start && *key < self.end
    }
}

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

/// Whether a name can be part of a key: not empty, at most 255 bytes, no zero byte.
pub fn name_is_valid(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.as_bytes().contains(&0)
}

mod tag {
    pub(super) const ACTOR: u8 = 0x01;
    pub(super) const REMINDER: u8 = 0x02;
    pub(super) const REMINDER_DUE: u8 = 0x03;
    pub(super) const QUEUE_ENTRY: u8 = 0x10;
    pub(super) const QUEUE_META: u8 = 0x11;
    pub(super) const QUEUE_SETTINGS: u8 = 0x12;
    pub(super) const LANE: u8 = 0x13;
    pub(super) const MESSAGE: u8 = 0x14;
}

fn key(tag: u8, parts: &[&[u8]]) -> Key {
    let mut bytes = SmallVec::new();
    bytes.push(tag);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    Key(bytes)
}

/// The state of an actor.
pub fn actor(kind: &str, actor_key: &str) -> Key {
    key(tag::ACTOR, &[kind.as_bytes(), &[0], actor_key.as_bytes()])
}

/// A reminder in the order of due times (Unix milliseconds).
pub fn reminder(due_ms: u64, kind: &str, actor_key: &str, name: &str) -> Key {
    let due = due_ms.to_be_bytes();
    let names = [kind.as_bytes(), &[0], actor_key.as_bytes(), &[0], name.as_bytes()].concat();
    key(tag::REMINDER, &[&due, &names])
}

/// Every reminder due at or before an instant (Unix milliseconds), earliest first.
pub fn reminders_due_by(due_ms: u64) -> KeyRange {
    let end = key(tag::REMINDER, &[&due_ms.to_be_bytes()]).after_prefix();
    KeyRange { start: key(tag::REMINDER, &[]), end }
}

/// Every reminder, earliest first.
pub fn reminders() -> KeyRange {
    KeyRange::prefix(&key(tag::REMINDER, &[]))
}

/// When the reminder of this name is due.
pub fn reminder_due(kind: &str, actor_key: &str, name: &str) -> Key {
    let names = [kind.as_bytes(), &[0], actor_key.as_bytes(), &[0], name.as_bytes()].concat();
    key(tag::REMINDER_DUE, &[&names])
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

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// The state of an actor: kind and key.
    Actor(&'a str, &'a str),
    /// A reminder in the order of due times.
    Reminder,
    /// When a reminder is due: kind and key of its actor, its name.
    ReminderDue(&'a str, &'a str, &'a str),
    QueueEntry(&'a str),
    QueueMeta(QueueNo),
    QueueSettings(QueueNo),
    Lane(QueueNo, Priority),
    Message(QueueNo, Priority, Arrival),
}

/// What a key stands for, or `None` if no function of this file makes such a key.
pub(crate) fn meaning(key: &Key) -> Option<Meaning<'_>> {
    let (&first, rest) = key.as_bytes().split_first()?;
    let queue = |bytes: &[u8]| Some(QueueNo(u64::from_be_bytes(bytes.try_into().ok()?)));
    match first {
        tag::ACTOR => {
            let (kind, actor_key) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
            Some(Meaning::Actor(kind, actor_key))
        }
        tag::REMINDER => rest.len().checked_sub(8).map(|_| Meaning::Reminder),
        tag::REMINDER_DUE => {
            let (kind, rest) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
            let (actor_key, name) = rest.split_once('\0')?;
            Some(Meaning::ReminderDue(kind, actor_key, name))
        }
        tag::QUEUE_ENTRY => Some(Meaning::QueueEntry(std::str::from_utf8(rest).ok()?)),
        tag::QUEUE_META => queue(rest).map(Meaning::QueueMeta),
        tag::QUEUE_SETTINGS => queue(rest).map(Meaning::QueueSettings),
        tag::LANE => Some(Meaning::Lane(queue(rest.get(..8)?)?, priority_of_lane(key)?)),
        tag::MESSAGE => {
            let (priority, arrival) = place_of(key)?;
            let is_known = rest[8] == MessageState::Ready as u8;
            is_known.then_some(Meaning::Message(queue(&rest[..8])?, priority, arrival))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(priority: u32, arrival: u64) -> Key {
        let priority = Priority::new(priority).expect("in bounds");
        message(QueueNo(7), MessageState::Ready, priority, Arrival(arrival))
    }

    #[test]
    fn messages_sort_by_priority_and_then_by_arrival() {
        let mut keys = [place(2, 1), place(0, 300), place(256, 0), place(0, 2), place(2, 0)];
        keys.sort();
        let places: Vec<_> =
            keys.iter().map(|key| place_of(key).map(|(p, a)| (p.get(), a.0))).collect();
        assert_eq!(
            places,
            [Some((0, 2)), Some((0, 300)), Some((2, 0)), Some((2, 1)), Some((256, 0))]
        );
    }

    #[test]
    fn a_range_holds_its_prefix_and_nothing_else() {
        let range = messages(QueueNo(7), MessageState::Ready);
        assert!(range.contains(&place(0, 0)));
        assert!(range.contains(&place(Priority::MAX.get(), u64::MAX)));
        let other = message(QueueNo(8), MessageState::Ready, Priority::default(), Arrival(0));
        assert!(!range.contains(&other));
        assert!(!range.clone().after(&place(0, 0)).contains(&place(0, 0)));
        assert!(range.after(&place(0, 0)).contains(&place(0, 1)));
    }

    #[test]
    fn every_key_says_what_it_stands_for() {
        let (queue, priority) = (QueueNo(9), Priority::default());
        let keys = [
            (actor("k", "a"), Meaning::Actor("k", "a")),
            (reminder(5, "k", "a", "n"), Meaning::Reminder),
            (reminder_due("k", "a", "n"), Meaning::ReminderDue("k", "a", "n")),
            (queue_entry("q"), Meaning::QueueEntry("q")),
            (queue_meta(queue), Meaning::QueueMeta(queue)),
            (queue_settings(queue), Meaning::QueueSettings(queue)),
            (lane(queue, priority), Meaning::Lane(queue, priority)),
            (
                message(queue, MessageState::Ready, priority, Arrival(4)),
                Meaning::Message(queue, priority, Arrival(4)),
            ),
        ];
        for (key, expected) in keys {
            assert_eq!(meaning(&key), Some(expected));
            assert_eq!(
                meaning(&Key::from_bytes(&key.as_bytes()[..1])).is_some(),
                key.as_bytes()[0] == tag::QUEUE_ENTRY
            );
        }
        assert_eq!(meaning(&Key::from_bytes(&[])), None);
        assert_eq!(meaning(&Key::from_bytes(&[0x77, 1])), None);
    }

    #[test]
    fn a_prefix_of_ids_selects_those_ids() {
        let range = queue_entries("tenant-7.");
        assert!(range.contains(&queue_entry("tenant-7.orders")));
        assert!(!range.contains(&queue_entry("tenant-70.orders")));
        assert_eq!(queue_id_of(&queue_entry("a.b")), Some("a.b"));
        assert_eq!(queue_id_of(&queue_meta(QueueNo(1))), None);
    }

    #[test]
    fn reminders_due_by_an_instant_include_that_millisecond() {
        let range = reminders_due_by(1_000);
        assert!(range.contains(&reminder(1_000, "k", "a", "n")));
        assert!(!range.contains(&reminder(1_001, "k", "a", "n")));
        assert!(reminders().contains(&reminder(u64::MAX, "k", "a", "n")));
    }
}
