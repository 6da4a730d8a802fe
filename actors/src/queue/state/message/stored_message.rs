//! A message in memory.

use bytes::Bytes;
use lanekeeper_storage::{
    Key, LoadError,
    record::{Annotation, MessageRecord, MessageStateRecord},
};

use crate::{
    queue::{
        api::{
            item::Item,
            message::{DeadLetter, Message},
        },
        state::{order::position::Position, queue_state::QueueState},
    },
    time::clock::from_unix_ms,
};

/// A message in memory. The payload shares the bytes of the record it was written or read in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    pub(crate) pushed_at_ms: u64,
    pub(crate) deliveries: u32,
    /// When its time to live ends.
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) note: Option<Box<Annotation>>,
    pub(crate) payload: Bytes,
}

/// What is known of a message without its payload: enough to take it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageMeta {
    pub(crate) payload_bytes: usize,
    pub(crate) due_ms: Option<u64>,
}

/// What is known of a message that may have to give way: enough to take it out and to say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Victim {
    pub(crate) message_meta: MessageMeta,
    /// As far as others need to know that it is gone; few messages have that.
    pub(crate) note: Option<Box<Annotation>>,
}

impl Victim {
    pub(crate) fn of(stored: &StoredMessage) -> Self {
        let note = stored.note.as_deref().map(|note| Annotation {
            dedup_key: note.dedup_key.clone(),
            forget_at_ms: note.forget_at_ms,
            came_with: note.came_with,
            ..Annotation::default()
        });
        let note = note.filter(|note| *note != Annotation::default()).map(Box::new);
        Self { message_meta: stored.message_meta(), note }
    }
}

impl StoredMessage {
    /// A message that was never delivered.
    pub(crate) fn new(pushed_at_ms: u64, payload: Bytes) -> Self {
        Self { pushed_at_ms, deliveries: 0, expires_at_ms: None, note: None, payload }
    }

    /// What a record says of the message itself.
    pub(crate) fn of(record: MessageRecord) -> Self {
        let MessageRecord { pushed_at_ms, deliveries, expires_at_ms, note, payload, .. } = record;
        Self { pushed_at_ms, deliveries, expires_at_ms, note, payload }
    }

    /// What the store keeps of it in this state.
    pub(crate) fn into_record(self, state: MessageStateRecord) -> MessageRecord {
        let Self { pushed_at_ms, deliveries, expires_at_ms, note, payload } = self;
        MessageRecord { pushed_at_ms, deliveries, state, expires_at_ms, note, payload }
    }

    /// Whether its time to live has ended.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|end| end <= now_ms)
    }

    /// What is needed to take it out while it is ready.
    pub(crate) fn message_meta(&self) -> MessageMeta {
        MessageMeta { payload_bytes: self.payload.len(), due_ms: self.expires_at_ms }
    }

    /// The message as its users see it.
    pub(crate) fn into_message(self, position: Position) -> Message {
        let note = self.note.map(|note| *note).unwrap_or_default();
        let came_with = note.came_with.unwrap_or(position.priority);
        Message {
            id: Position { priority: came_with, ..position }.into(),
            priority: position.priority.get(),
            item: Item::from_store(self.payload),
            pushed_at: from_unix_ms(self.pushed_at_ms),
            deliveries: self.deliveries,
            expires_at: self.expires_at_ms.map(from_unix_ms),
            reason: note.reason,
            dead_letter: note
                .death
                .map(|death| Box::new(DeadLetter::new(death, position.priority))),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<(Position, Self)>() + self.payload.len()
    }
}

impl QueueState {
    /// Reads messages found in the store.
    pub(crate) fn messages(
        &self,
        found: Vec<(Key, Bytes)>,
    ) -> Result<Vec<(Position, StoredMessage)>, LoadError> {
        let stored = |(position, record)| (position, StoredMessage::of(record));
        Ok(self.records(found)?.into_iter().map(stored).collect())
    }

    /// As [`QueueState::messages`], with their states.
    pub(crate) fn records(
        &self,
        found: Vec<(Key, Bytes)>,
    ) -> Result<Vec<(Position, MessageRecord)>, LoadError> {
        let record = |(key, record): (Key, Bytes)| {
            let position =
                Position::of(&key).ok_or_else(|| self.damaged("a key is no message's"))?;
            Ok((position, MessageRecord::decode(&record)?))
        };
        found.into_iter().map(record).collect()
    }

    /// Those of the messages accepted in this turn that are wanted.
    pub(crate) fn fresh_messages(
        &self,
        is_wanted: impl Fn(&Position) -> bool,
    ) -> Result<Vec<(Position, StoredMessage)>, LoadError> {
        let fresh = self.fresh.iter().filter(|(position, _)| is_wanted(position));
        fresh
            .map(|(position, record)| {
                Ok((*position, StoredMessage::of(MessageRecord::decode(record)?)))
            })
            .collect()
    }
}
