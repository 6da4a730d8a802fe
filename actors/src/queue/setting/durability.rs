//! From disk to memory and back: a queue whose durability changes takes along all it keeps.
//!
//! A queue that is kept in memory has on disk its id, its settings and its sink, and of its
//! metadata what it was when it was last kept there: nothing in it, and no reminder. All else is in
//! one layer alone: nothing on disk is ever removed in memory alone, to come back after a restart.

use lanekeeper_storage::{
    Durability, Key, KeyRange, ScanLimit,
    key::{self, QueueNo},
};

use crate::{
    queue::{
        actor::{QueueActor, WAKE},
        api::{config::QueueConfig, error::QueueError},
    },
    runtime::{commit_barrier::Store, turn::Turn},
};

/// Deduplication keys that are taken along at most.
const KEYS_MAX: usize = 10_000;
/// Deduplication keys read at a time.
const PAGE: ScanLimit = ScanLimit { count_max: 1_000, bytes_max: 1 << 20 };

/// What a change of durability takes from one layer to the other.
pub(crate) struct MovedRecords {
    /// Whether the queue enters memory, or leaves it.
    is_to_memory: bool,
    /// When deduplication keys are forgotten: the entries of that order, with the times.
    forgotten: Vec<(Key, u64)>,
    /// The records of those keys.
    records: Vec<(Key, bytes::Bytes)>,
}

impl QueueActor {
    /// What is to be moved if the queue takes on this configuration; `None` if it stays where it
    /// is, or refuses.
    ///
    /// # Errors
    /// [`QueueError::InvalidConfig`] if that is too much for one turn.
    pub(crate) async fn moved_by(
        &self,
        config: &QueueConfig,
        node: Durability,
        store: Store,
    ) -> Result<Option<MovedRecords>, QueueError> {
        let is_in_memory = |level| level == Durability::Memory;
        let is_to_memory = is_in_memory(config.durability.unwrap_or(node));
        let Some(queue) = self.rules.queue else { return Ok(None) };
        if is_in_memory(self.rules.durability(node)) == is_to_memory || self.rules.held_count() > 0
        {
            return Ok(None);
        }
        let mut moved = MovedRecords { is_to_memory, forgotten: Vec::new(), records: Vec::new() };
        moved.find_keys(queue, &store).await?;
        Ok(Some(moved))
    }

    /// Moves it. The end of the turn settles it, as durably as the settings say now.
    pub(crate) fn move_layers(&mut self, moved: Option<MovedRecords>, turn: &mut Turn<'_, Self>) {
        let Some(MovedRecords { is_to_memory, forgotten, records }) = moved else { return };
        let id = turn.id();
        let wake_at_ms = self.rules.meta.wake_at_ms.take();
        // Removed on disk, whichever layer it is in: then it is in none.
        let lasting = turn.lasting();
        if let Some(wake_at_ms) = wake_at_ms {
            lasting.delete(key::reminder(wake_at_ms, id.kind, &id.key, WAKE));
            lasting.delete(key::reminder_due(id.kind, &id.key, WAKE));
        }
        if is_to_memory {
            forgotten.iter().for_each(|(entry, _)| lasting.delete(entry.clone()));
            records.iter().for_each(|(record, _)| lasting.delete(record.clone()));
            self.rules.write_meta(lasting);
        }
        let first_ms = forgotten.iter().map(|(_, due_ms)| *due_ms).min();
        for (entry, _) in forgotten {
            turn.batch().put(entry, bytes::Bytes::new());
        }
        for (record, value) in records {
            turn.batch().put(record, value);
        }
        first_ms.into_iter().for_each(|due_ms| self.rules.wake_by(due_ms));
        self.rules.is_meta_changed = true;
    }
}

impl MovedRecords {
    async fn find_keys(&mut self, queue: QueueNo, store: &Store) -> Result<(), QueueError> {
        let mut rest: KeyRange = key::dedup_dues(queue);
        loop {
            let page = store.scan(rest.clone(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            rest = rest.after(last);
            for (entry, _) in page {
                let Some((due_ms, dedup_key)) = key::dedup_due_of(&entry) else { continue };
                let record = key::dedup(queue, dedup_key);
                if let Some(value) = store.get(&record)? {
                    self.records.push((record, value));
                }
                self.forgotten.push((entry, due_ms));
            }
            if self.forgotten.len() > KEYS_MAX {
                let (field, reason) =
                    ("durability", "memory or not as before while it remembers over 10,000 keys");
                return Err(QueueError::InvalidConfig { field, reason });
            }
        }
    }
}
