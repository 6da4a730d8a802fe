//! What is left of a message that is gone: for as long as its key is remembered, what became of it.

use lanekeeper_storage::{
    Batch,
    key::{self, Priority},
    record::{Annotation, DedupRecord, KeyOutcome, MovedRecord},
};

use crate::queue::state::{order::position::Position, queue_state::QueueState};

impl QueueState {
    /// A message is gone from the queue, and this became of it.
    pub(crate) fn end(
        &mut self,
        position: Position,
        note: Option<&Annotation>,
        ending: KeyOutcome,
        (now_ms, batch): (u64, &mut Batch),
    ) {
        let Some(note) = note else { return };
        self.forget_move(position, Some(note), batch);
        if let Some((dedup_key, forget_at_ms)) = self.remembered(note, now_ms) {
            let priority = note.came_with.unwrap_or(position.priority);
            let mut record = DedupRecord::new(priority, position.arrival, forget_at_ms);
            record.ending = Some(ending);
            batch.put(key::dedup(self.number(), dedup_key), record.encode());
            self.is_meta_changed = true;
        }
    }

    /// A dead letter has come back as this message: its key leads to it now, if it is remembered.
    pub(crate) fn come_back(
        &mut self,
        position: Position,
        note: &mut Annotation,
        now_ms: u64,
        batch: &mut Batch,
    ) {
        let Some((dedup_key, forget_at_ms)) = self.remembered(note, now_ms) else {
            note.dedup_key = None;
            note.forget_at_ms = None;
            return;
        };
        let record = DedupRecord::new(position.priority, position.arrival, forget_at_ms);
        batch.put(key::dedup(self.number(), dedup_key), record.encode());
    }

    /// The key that leads to a message in the store, and when it is forgotten.
    fn remembered<'n>(&self, note: &'n Annotation, now_ms: u64) -> Option<(&'n str, u64)> {
        let (dedup_key, forget_at_ms) = (note.dedup_key.as_deref()?, note.forget_at_ms?);
        // A dead letter's key is that of the queue it died in.
        if note.death.is_some() || forget_at_ms <= now_ms {
            return None;
        }
        let due = key::dedup_due(self.number(), forget_at_ms, dedup_key);
        let is_forgotten =
            self.expiry_rest.as_ref().is_some_and(|rest| due < rest.dedup_keys.start);
        (!is_forgotten).then_some((dedup_key, forget_at_ms))
    }

    /// Notes in the store that a message has moved to the priority of this place.
    pub(crate) fn note_move(&self, position: Position, came_with: Priority, batch: &mut Batch) {
        let moved = MovedRecord { priority: position.priority, came_with };
        batch.put(key::moved(self.number(), position.arrival), moved.encode());
    }

    /// Forgets that a message has moved.
    pub(crate) fn forget_move(
        &self,
        position: Position,
        note: Option<&Annotation>,
        batch: &mut Batch,
    ) {
        if note.is_some_and(|note| note.came_with.is_some()) {
            batch.delete(key::moved(self.number(), position.arrival));
        }
    }
}
