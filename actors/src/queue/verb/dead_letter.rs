//! Dead letters: what a queue gives up on goes to another one.

use bytes::Bytes;
use lanekeeper_storage::{
    Batch,
    record::{Annotation, DeathRecord, KeyOutcome, MessageRecord, QueueOutboxRecord},
};

use crate::queue::state::{
    message::stored_message::StoredMessage,
    order::position::Position,
    queue_state::{Blocked, QueueState},
};

/// What is added to a queue's id for the id of its dead-letter queue.
pub(crate) const SUFFIX: &str = "-deadletter";

/// A message that died.
#[derive(Clone, Debug)]
pub(crate) struct DeadMessage {
    pub(crate) position: Position,
    pub(crate) stored: StoredMessage,
    pub(crate) reason: String,
}

impl DeadMessage {
    /// What the dead-letter queue of `origin` is sent.
    pub(crate) fn into_letter(self, origin: &str, now_ms: u64) -> Bytes {
        let Self { position, stored, reason } = self;
        let death = DeathRecord {
            origin: origin.to_owned(),
            arrival: position.arrival.0,
            reason,
            deliveries: stored.deliveries,
            pushed_at_ms: stored.pushed_at_ms,
            died_at_ms: now_ms,
        };
        // Its key goes with it, for the case that it comes back.
        let Annotation { dedup_key, forget_at_ms, .. } =
            stored.note.map(|note| *note).unwrap_or_default();
        let note =
            Annotation { death: Some(death), dedup_key, forget_at_ms, ..Annotation::default() };
        let note = Some(Box::new(note));
        QueueOutboxRecord { priority: position.priority, note, payload: stored.payload }.encode()
    }
}

impl QueueState {
    /// Gives up on a message that was taken out of its state.
    pub(crate) fn bury(
        &mut self,
        (position, stored): (Position, StoredMessage),
        reason: String,
        now_ms: u64,
        batch: &mut Batch,
    ) {
        self.meta.totals.dead_lettered += 1;
        self.end(position, stored.note.as_deref(), KeyOutcome::Dead, (now_ms, batch));
        self.dead.push(DeadMessage { position, stored, reason });
    }

    /// Accepts what another queue sent: always, as it is nowhere else.
    pub(crate) fn receive(
        &mut self,
        letter: &QueueOutboxRecord,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), Blocked> {
        let QueueOutboxRecord { priority, note, payload } = letter;
        let unknown = self.priority_counts.unknown(std::iter::once(*priority));
        self.know_lanes(unknown)?;
        let position = Position { priority: *priority, arrival: self.arrival_next() };
        self.meta.arrival_next += 1;
        self.meta.totals.received += 1;
        let expires_at_ms =
            self.settings.message_ttl_ms.map(|ttl_ms| now_ms.saturating_add(ttl_ms));
        let mut note = note.clone();
        if let Some(note) = note.as_deref_mut().filter(|note| note.death.is_none()) {
            self.come_back(position, note, now_ms, batch);
        }
        let stored =
            StoredMessage { note, expires_at_ms, ..StoredMessage::new(now_ms, payload.clone()) };
        self.enter_ready(position, stored, batch);
        Ok(())
    }

    /// Takes ready messages out to hand them back to the queue they came from.
    pub(crate) fn redrive(
        &mut self,
        messages: &[(Position, MessageRecord)],
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<Vec<Bytes>, Blocked> {
        self.know_lanes_of(messages)?;
        let mut letters = Vec::with_capacity(messages.len());
        for (position, message) in messages {
            self.leave(*position, message, batch);
            let note = message.note.as_deref();
            self.end(*position, note, KeyOutcome::Done, (now_ms, &mut *batch));
            self.meta.totals.redriven += 1;
            let (priority, payload) = (position.priority, message.payload.clone());
            let note = note.filter(|note| note.death.is_some()).map(|note| {
                let (dedup_key, forget_at_ms) = (note.dedup_key.clone(), note.forget_at_ms);
                Box::new(Annotation { dedup_key, forget_at_ms, ..Annotation::default() })
            });
            let note = note.filter(|note| **note != Annotation::default());
            letters.push(QueueOutboxRecord { priority, note, payload }.encode());
        }
        Ok(letters)
    }
}
