//! Keys of actors and their reminders.

use crate::key::{Key, KeyRange, key, tag};

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

/// A letter from one actor to another, in the order in which letters were sent.
pub fn outbox_message(number: u64) -> Key {
    key(tag::LETTER, &[&number.to_be_bytes()])
}

/// The letters from the number `first` on, up to and without `end`.
pub fn letters_between(first: u64, end: u64) -> KeyRange {
    KeyRange { start: outbox_message(first), end: outbox_message(end) }
}

/// The number of a letter's key, or `None` for any other key.
pub fn letter_number(outbox_message: &Key) -> Option<u64> {
    let number = outbox_message.as_bytes().strip_prefix(&[tag::LETTER])?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}
