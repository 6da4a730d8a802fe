//! Records that must have another one: what is found by time must be found by name, and the other
//! way round.

use bytes::Bytes;

use crate::{
    check::CheckReport,
    embedded::commit::memtable::Memtable,
    error::LoadError,
    key::{
        self, Key,
        decode::DecodedKey,
        queue::{Arrival, MessageState, Priority, QueueNo},
    },
    record::{
        actor::{ReminderDue, ReminderRecord},
        message::{
            DedupRecord, DueEntry, LeaseRecord, MessageRecord, MessageStateRecord, MovedRecord,
        },
    },
};

/// Looks for the counterpart of a record, if it needs one.
pub(crate) fn check(
    records: &Memtable,
    key: &Key,
    meaning: DecodedKey<'_>,
    value: &Bytes,
    report: &mut CheckReport,
) -> Result<(), LoadError> {
    let has = |key: &Key| Ok::<_, LoadError>(records.get(key)?.is_some());
    let (what, is_there) = match meaning {
        DecodedKey::Reminder => ("reminder", has_reminder_due(records, key, value)?),
        DecodedKey::ReminderDue(kind, actor_key, name) => {
            let due_ms = ReminderDue::decode(value)?.due_ms;
            ("reminder", has(&key::actor::reminder(due_ms, kind, actor_key, name))?)
        }
        DecodedKey::Message(queue, state, priority, arrival) => {
            let message = MessageRecord::decode(value)?;
            let place = (queue, state, priority, arrival);
            ("message", has_indexes(records, place, &message)?)
        }
        DecodedKey::Due(queue, due_ms, arrival) => {
            let entry = DueEntry::decode(value)?;
            let message = key::queue::message(queue, entry.state, entry.priority(), arrival);
            let found = records.get(&message)?;
            let found = found.map(|found| MessageRecord::decode(&found)).transpose()?;
            ("due message", found.and_then(|found| found.due_ms()) == Some(due_ms))
        }
        DecodedKey::Dedup(queue, dedup_key) => {
            let forget_at_ms = DedupRecord::decode(value)?.forget_at_ms;
            ("deduplication key", has(&key::queue::dedup_due(queue, forget_at_ms, dedup_key))?)
        }
        DecodedKey::DedupDue(queue, due_ms, dedup_key) => {
            let found = records.get(&key::queue::dedup(queue, dedup_key))?;
            let found = found.map(|found| DedupRecord::decode(&found)).transpose()?;
            ("deduplication key", found.is_some_and(|found| found.forget_at_ms == due_ms))
        }
        DecodedKey::WorkerLease(queue, priority, arrival) => {
            let leased = MessageState::Leased;
            ("lease of a worker", has(&key::queue::message(queue, leased, priority, arrival))?)
        }
        DecodedKey::Moved(queue, arrival) => {
            let moved = MovedRecord::decode(value)?;
            ("moved message", has_moved(records, (queue, arrival), moved)?)
        }
        _ => return Ok(()),
    };
    if !is_there {
        report
            .add(format_args!("{key:?}"), format_args!("the {what}'s other record does not match"));
    }
    Ok(())
}

fn has_reminder_due(records: &Memtable, key: &Key, value: &Bytes) -> Result<bool, LoadError> {
    let ReminderRecord { kind, actor_key, name, due_ms, .. } = ReminderRecord::decode(value)?;
    let due = records.get(&key::actor::reminder_due(&kind, &actor_key, &name))?;
    let is_due = due.is_some_and(|due| ReminderDue::decode(&due) == Ok(ReminderDue { due_ms }));
    Ok(is_due && key::actor::reminder(due_ms, &kind, &actor_key, &name) == *key)
}

/// Whether a message that was moved is where it was moved to, and knows of that.
fn has_moved(
    records: &Memtable,
    (queue, arrival): (QueueNo, Arrival),
    MovedRecord { priority, came_with }: MovedRecord,
) -> Result<bool, LoadError> {
    for state in MessageState::ALL {
        if let Some(found) = records.get(&key::queue::message(queue, state, priority, arrival))? {
            let note = MessageRecord::decode(&found)?.note;
            return Ok(note.is_some_and(|note| note.came_with == Some(came_with)));
        }
    }
    Ok(false)
}

/// Whether a message is in the indexes of what is due and of its worker, as far as it should be.
fn has_indexes(
    records: &Memtable,
    (queue, state, priority, arrival): (QueueNo, MessageState, Priority, Arrival),
    message: &MessageRecord,
) -> Result<bool, LoadError> {
    if let Some(due_ms) = message.due_ms() {
        let found = records.get(&key::queue::due(queue, due_ms, arrival))?;
        let entry = DueEntry::new(priority, state);
        if !found.is_some_and(|found| DueEntry::decode(&found) == Ok(entry)) {
            return Ok(false);
        }
    }
    if let Some(came_with) = message.note.as_ref().and_then(|note| note.came_with) {
        let found = records.get(&key::queue::moved(queue, arrival))?;
        let moved = MovedRecord { priority, came_with };
        if !found.is_some_and(|found| MovedRecord::decode(&found) == Ok(moved)) {
            return Ok(false);
        }
    }
    match &message.state {
        MessageStateRecord::Leased(LeaseRecord { worker: Some(worker), .. }) => {
            Ok(records.get(&key::queue::worker_lease(worker, queue, priority, arrival))?.is_some())
        }
        _ => Ok(true),
    }
}
