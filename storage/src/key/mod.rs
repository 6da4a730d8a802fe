//! The table of all keys. No other module knows their bytes.
//!
//! | tag | key | value ([`crate::record`]) |
//! |---|---|---|
//! | `01` | actor kind `00` actor key | [`ActorState`](crate::record::actor::ActorState) |
//! | `02` | due (u64) kind `00` actor key `00` name | [`ReminderRecord`](crate::record::actor::ReminderRecord) |
//! | `03` | kind `00` actor key `00` name | [`ReminderDue`](crate::record::actor::ReminderDue) |
//! | `04` | number (u64) | [`OutboxRecord`](crate::record::actor::OutboxRecord) |
//! | `05` | empty | [`ClockRecord`](crate::record::node::ClockRecord) |
//! | `10` | queue id | [`QueueEntry`](crate::record::queue::QueueEntry) |
//! | `11` | queue (u64) | [`QueueMeta`](crate::record::queue::QueueMeta) |
//! | `12` | queue (u64) | [`QueueSettings`](crate::record::queue::QueueSettings) |
//! | `13` | queue (u64) priority (u32) | [`PriorityMeta`](crate::record::queue::PriorityMeta) |
//! | `14` | queue (u64) state (u8) priority (u32) arrival (u64) | [`MessageRecord`](crate::record::message::MessageRecord) |
//! | `15` | queue (u64) due (u48) arrival (u64) | [`DueEntry`](crate::record::message::DueEntry) |
//! | `16` | queue (u64) deduplication key | [`DedupRecord`](crate::record::message::DedupRecord) |
//! | `17` | queue (u64) due (u64) deduplication key | empty |
//! | `18` | queue id | [`SinkRecord`](crate::record::message::SinkRecord) |
//! | `19` | worker id `00` queue (u64) priority (u32) arrival (u64) | [`WorkerLease`](crate::record::worker::WorkerLease) |
//! | `1a` | queue (u64) arrival (u64) | [`MovedRecord`](crate::record::message::MovedRecord) |
//! | `20` | gate id | [`GateMeta`](crate::record::gate::GateMeta) |
//! | `21` | gate id `00` owner | [`EntryRecord`](crate::record::gate::EntryRecord) |
//! | `22` | gate id | [`GatePolicyRecord`](crate::record::gate::GatePolicyRecord) |
//! | `23` | gate id | [`GateUsage`](crate::record::gate::GateUsage) |
//! | `24` | gate id | [`GateWaits`](crate::record::gate::GateWaits) |
//! | `25` | worker id `00` gate id `00` owner | empty |
//! | `30` | worker id | [`WorkerRecord`](crate::record::worker::WorkerRecord) |
//! | `31` | worker id | [`WorkerMeta`](crate::record::worker::WorkerMeta) |
//! | `32` | departure (u64) | [`DepartureRecord`](crate::record::worker::DepartureRecord) |
//! | `40` | topic | [`StreamSettings`](crate::record::stream::StreamSettings) |
//! | `41` | topic `00` number (u64) | [`RetainedMessage`](crate::record::stream::RetainedMessage) |
//!
//! Numbers are big-endian, so that byte order is numeric order. Kinds, keys and names cannot hold a
//! zero byte ([`name_is_valid`]).

pub(crate) mod actor;
pub(crate) mod decode;
pub(crate) mod gate;
mod node;
pub(crate) mod queue;
pub(crate) mod stream;
pub(crate) mod worker;

use std::fmt;

use smallvec::SmallVec;

pub use actor::{
    actor, letter_number, letters_between, outbox_message, reminder, reminder_due, reminders,
    reminders_due_by,
};
pub use gate::{
    gate_id_of, gate_meta, gate_metas, gate_place, gate_places, gate_policy, gate_usage,
    gate_waits, owner_of, worker_place, worker_place_of, worker_places,
};
pub use node::clock;
pub use queue::{
    Arrival, MessageState, Priority, QueueNo, dedup, dedup_due, dedup_due_of, dedup_dues,
    dedup_dues_by, due, due_of, dues, dues_by, message, messages, messages_of, moved, place_of,
    priority_count, priority_counts, priority_of_lane, queue_entries, queue_entry, queue_id_of,
    queue_id_of_sink, queue_meta, queue_settings, sink, sinks, worker_lease, worker_lease_of,
    worker_leases,
};
pub use stream::{stream_retained, stream_retained_all, stream_seq_of, stream_settings};
pub use worker::{
    DepartureNo, departure, departures, number_of_departure, worker, worker_id_of, worker_meta,
    worker_metas, workers,
};

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
    pub fn next(&self) -> Self {
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
    /// The first key in the range.
    pub start: Key,
    /// The first key after the range.
    pub end: Key,
}

impl KeyRange {
    fn prefix(prefix: &Key) -> Self {
        Self { start: prefix.clone(), end: prefix.after_prefix() }
    }

    /// The part of the range after `key`.
    #[must_use]
    pub fn after(self, key: &Key) -> Self {
        Self { start: self.start.max(key.next()), end: self.end }
    }

    /// Extends the range to begin at `key`, if it begins after it.
    pub fn reach_back_to(&mut self, key: &Key) {
        if *key < self.start {
            self.start = key.clone();
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &Key) -> bool {
        *key >= self.start && *key < self.end
    }
}

/// Whether a name can be part of a key: not empty, at most 255 bytes, no zero byte.
pub fn name_is_valid(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.as_bytes().contains(&0)
}

mod tag {
    pub(crate) const ACTOR: u8 = 0x01;
    pub(crate) const REMINDER: u8 = 0x02;
    pub(crate) const REMINDER_DUE: u8 = 0x03;
    pub(crate) const LETTER: u8 = 0x04;
    pub(crate) const CLOCK: u8 = 0x05;
    pub(crate) const QUEUE_ENTRY: u8 = 0x10;
    pub(crate) const QUEUE_META: u8 = 0x11;
    pub(crate) const QUEUE_SETTINGS: u8 = 0x12;
    pub(crate) const LANE: u8 = 0x13;
    pub(crate) const MESSAGE: u8 = 0x14;
    pub(crate) const DUE: u8 = 0x15;
    pub(crate) const DEDUP: u8 = 0x16;
    pub(crate) const DEDUP_DUE: u8 = 0x17;
    pub(crate) const SINK: u8 = 0x18;
    pub(crate) const WORKER_LEASE: u8 = 0x19;
    pub(crate) const MOVED: u8 = 0x1a;
    pub(crate) const GATE_META: u8 = 0x20;
    pub(crate) const GATE_PLACE: u8 = 0x21;
    pub(crate) const GATE_POLICY: u8 = 0x22;
    pub(crate) const GATE_USAGE: u8 = 0x23;
    pub(crate) const GATE_WAITS: u8 = 0x24;
    pub(crate) const WORKER_PLACE: u8 = 0x25;
    pub(crate) const STREAM_SETTINGS: u8 = 0x40;
    pub(crate) const STREAM_RETAINED: u8 = 0x41;
    pub(crate) const WORKER: u8 = 0x30;
    pub(crate) const WORKER_META: u8 = 0x31;
    pub(crate) const DEPARTURE: u8 = 0x32;
}

fn key(tag: u8, parts: &[&[u8]]) -> Key {
    let mut bytes = SmallVec::new();
    bytes.push(tag);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    Key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::decode::{DecodedKey, meaning};

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
            (actor("k", "a"), DecodedKey::Actor("k", "a")),
            (reminder(5, "k", "a", "n"), DecodedKey::Reminder),
            (reminder_due("k", "a", "n"), DecodedKey::ReminderDue("k", "a", "n")),
            (queue_entry("q"), DecodedKey::QueueEntry("q")),
            (queue_meta(queue), DecodedKey::QueueMeta(queue)),
            (queue_settings(queue), DecodedKey::QueueSettings(queue)),
            (priority_count(queue, priority), DecodedKey::Lane(queue, priority)),
            (
                message(queue, MessageState::Leased, priority, Arrival(4)),
                DecodedKey::Message(queue, MessageState::Leased, priority, Arrival(4)),
            ),
            (stream_settings("t"), DecodedKey::StreamSettings("t")),
            (stream_retained("t", 7), DecodedKey::StreamRetained("t")),
            (worker("w"), DecodedKey::Worker("w")),
            (worker_meta("w"), DecodedKey::WorkerMeta("w")),
            (departure(DepartureNo(7)), DecodedKey::Departure),
            (gate_meta("g"), DecodedKey::GateMeta("g")),
            (gate_place("g", "o"), DecodedKey::GatePlace("g", "o")),
            (gate_policy("g"), DecodedKey::GatePolicy("g")),
            (gate_usage("g"), DecodedKey::GateUsage("g")),
            (gate_waits("g"), DecodedKey::GateWaits("g")),
            (outbox_message(5), DecodedKey::Letter(5)),
            (clock(), DecodedKey::Clock),
            (worker_place("w", "g", "o"), DecodedKey::WorkerPlace("w", "g", "o")),
        ];
        for (key, expected) in keys {
            assert_eq!(meaning(&key), Some(expected));
            // An empty id is refused before it becomes a key.
            let is_named_alone = matches!(
                key.as_bytes()[0],
                tag::CLOCK
                    | tag::QUEUE_ENTRY
                    | tag::GATE_META
                    | tag::GATE_POLICY
                    | tag::GATE_USAGE
                    | tag::GATE_WAITS
                    | tag::STREAM_SETTINGS
                    | tag::WORKER
                    | tag::WORKER_META
            );
            assert_eq!(meaning(&Key::from_bytes(&key.as_bytes()[..1])).is_some(), is_named_alone);
        }
        assert_eq!(meaning(&Key::from_bytes(&[])), None);
        assert_eq!(meaning(&Key::from_bytes(&[0x77, 1])), None);
    }

    #[test]
    fn every_key_of_a_message_says_what_it_stands_for() {
        let (queue, priority) = (QueueNo(9), Priority::default());
        let keys = [
            (due(queue, 77, Arrival(4)), DecodedKey::Due(queue, 77, Arrival(4))),
            (dedup(queue, "once"), DecodedKey::Dedup(queue, "once")),
            (dedup_due(queue, 77, "once"), DecodedKey::DedupDue(queue, 77, "once")),
            (sink("q"), DecodedKey::Sink("q")),
            (
                worker_lease("w", queue, priority, Arrival(4)),
                DecodedKey::WorkerLease(queue, priority, Arrival(4)),
            ),
        ];
        for (key, expected) in keys {
            assert_eq!(meaning(&key), Some(expected));
            let is_named_alone = key.as_bytes()[0] == tag::SINK;
            assert_eq!(meaning(&Key::from_bytes(&key.as_bytes()[..1])).is_some(), is_named_alone);
        }
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
    fn the_places_of_a_gate_are_its_own() {
        let range = gate_places("a");
        assert!(range.contains(&gate_place("a", "x")));
        assert!(!range.contains(&gate_place("a.b", "x")));
        assert_eq!(owner_of(&gate_place("a", "x")), Some("x"));
        assert_eq!(owner_of(&gate_meta("a")), None);
        assert!(gate_metas("a.").contains(&gate_meta("a.b")));
        assert_eq!(gate_id_of(&gate_meta("a.b")), Some("a.b"));
        assert_eq!(gate_id_of(&gate_policy("a.b")), None);
    }

    #[test]
    fn what_is_due_by_an_instant_includes_that_millisecond() {
        let queue = QueueNo(7);
        let range = dues_by(queue, 1_000);
        assert!(range.contains(&due(queue, 1_000, Arrival(u64::MAX))));
        assert!(!range.contains(&due(queue, 1_001, Arrival(0))));
        assert!(!range.contains(&due(QueueNo(6), 5, Arrival(0))));
        let range = dedup_dues_by(queue, 1_000);
        assert!(range.contains(&dedup_due(queue, 1_000, "zzz")));
        assert!(!range.contains(&dedup_due(queue, 1_001, "a")));
    }

    #[test]
    fn reminders_due_by_an_instant_include_that_millisecond() {
        let range = reminders_due_by(1_000);
        assert!(range.contains(&reminder(1_000, "k", "a", "n")));
        assert!(!range.contains(&reminder(1_001, "k", "a", "n")));
        assert!(reminders().contains(&reminder(u64::MAX, "k", "a", "n")));
    }
}
