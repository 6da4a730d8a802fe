//! Messages as they can be read back.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    key::{
        self,
        decode::DecodedKey,
        queue::{Arrival, MessageState, Priority},
    },
    record::{
        message::{MessageRecord, MessageStateRecord},
        queue::QueueEntry,
    },
    salvage::Salvage,
};

/// A message that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedMessage {
    /// The id of its queue; `None` if no id leads to the queue any more.
    pub queue: Option<String>,
    /// The number of its queue.
    pub queue_number: u64,
    /// Its urgency.
    pub priority: Priority,
    /// Its place among those of its priority.
    pub arrival: Arrival,
    /// When it was accepted, in Unix milliseconds.
    pub pushed_at_ms: u64,
    /// How often it was delivered.
    pub deliveries: u32,
    /// Whether it is ready, scheduled or leased, and until when.
    pub state: MessageStateRecord,
    /// When its time to live ends, in Unix milliseconds, if it does.
    pub expires_at_ms: Option<u64>,
    /// The deduplication key it was pushed with.
    pub key: Option<String>,
    /// The payload, byte for byte.
    pub payload: Bytes,
}

impl SavedMessage {
    /// `ready`, `scheduled` or `leased`.
    pub fn state_name(&self) -> &'static str {
        word(self.state.of_key())
    }

    /// When it becomes ready, in Unix milliseconds, if it is scheduled.
    pub fn ready_at_ms(&self) -> Option<u64> {
        match self.state {
            MessageStateRecord::Scheduled { ready_at_ms, .. } => Some(ready_at_ms),
            MessageStateRecord::Ready | MessageStateRecord::Leased(_) => None,
        }
    }

    /// When its lease ends, in Unix milliseconds, if it is leased.
    pub fn lease_expires_at_ms(&self) -> Option<u64> {
        match &self.state {
            MessageStateRecord::Leased(lease) => Some(lease.expires_at_ms),
            MessageStateRecord::Ready | MessageStateRecord::Scheduled { .. } => None,
        }
    }
}

impl Salvage {
    /// Every message that can be read, of one queue or of all, in the order of the store: by queue,
    /// state, priority and arrival. A message that cannot be read is added to the losses.
    pub fn messages(&mut self, queue: Option<&str>) -> Vec<SavedMessage> {
        let mut ids = BTreeMap::new();
        for (key, value) in &self.records {
            if let (Some(DecodedKey::QueueEntry(id)), Ok(entry)) =
                (key::decode::meaning(key), QueueEntry::decode(value))
            {
                ids.insert(entry.queue(), id.to_owned());
            }
        }
        let mut messages = Vec::new();
        for (key, value) in &self.records {
            let Some(DecodedKey::Message(number, state, priority, arrival)) =
                key::decode::meaning(key)
            else {
                continue;
            };
            let id = ids.get(&number);
            if queue.is_some_and(|queue| id.is_none_or(|id| id != queue)) {
                continue;
            }
            match MessageRecord::decode(value) {
                Ok(record) => {
                    let position = (number.0, priority, arrival);
                    messages.push(saved(id.cloned(), position, record));
                }
                Err(error) => {
                    let id = id.map_or_else(|| number.0.to_string(), |id| format!("{id:?}"));
                    let state = word(state);
                    let (arrival, priority) = (arrival.0, priority.get());
                    let position =
                        format!("queue {id}, {state} message {arrival} of priority {priority}");
                    self.losses.add(position, error);
                }
            }
        }
        messages
    }
}

fn saved(
    queue: Option<String>,
    (queue_number, priority, arrival): (u64, Priority, Arrival),
    record: MessageRecord,
) -> SavedMessage {
    let MessageRecord { pushed_at_ms, deliveries, state, expires_at_ms, note, payload } = record;
    let key = note.and_then(|note| note.dedup_key);
    SavedMessage {
        queue,
        queue_number,
        priority,
        arrival,
        pushed_at_ms,
        deliveries,
        state,
        expires_at_ms,
        key,
        payload,
    }
}

/// The word for a state.
pub(crate) fn word(state: MessageState) -> &'static str {
    match state {
        MessageState::Ready => "ready",
        MessageState::Scheduled => "scheduled",
        MessageState::Leased => "leased",
    }
}
