//! A worker as it is known, in memory and as it is written.

use std::time::Duration;

use lanekeeper_storage::{
    Batch, CommitSeq, key,
    record::{WorkerMeta, WorkerRecord},
};

use crate::queue::api::item::Item;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Monotonic: what silence is measured by.
    pub(crate) elapsed: Duration,
    /// Wall time, for people.
    pub(crate) unix_ms: u64,
}

/// A worker as it is known.
#[derive(Clone, Debug)]
pub(crate) struct WorkerEntry {
    pub(crate) record: WorkerRecord,
    pub(crate) meta: Option<Item>,
    /// Whether the store has the meta.
    pub(crate) is_meta_written: bool,
    /// When it was last seen, by the monotonic clock. After a restart: the restart.
    pub(crate) seen: Duration,
    /// The commit of its last change of status.
    pub(crate) seq: CommitSeq,
}

impl WorkerEntry {
    /// A worker as the store has it: nobody could beat while the node was away.
    pub(crate) fn stored(record: WorkerRecord, meta: Option<Item>, now: Duration) -> Self {
        Self { record, meta, is_meta_written: true, seen: now, seq: CommitSeq::ZERO }
    }

    pub(crate) fn new(now: Now) -> Self {
        let record = WorkerRecord {
            first_seen_at_ms: now.unix_ms,
            last_seen_at_ms: now.unix_ms,
            offline_since_ms: None,
            life: now.unix_ms,
        };
        Self::stored(record, None, now.elapsed)
    }

    pub(crate) fn is_online(&self) -> bool {
        self.record.offline_since_ms.is_none()
    }

    pub(crate) fn meta_bytes(&self) -> usize {
        self.meta.as_ref().map_or(0, Item::size_bytes)
    }

    /// Goes on with a life, or begins the next one if it is not given, or the worker is offline.
    pub(crate) fn live(&mut self, life: Option<u64>, now: Now) {
        let own = self.record.life;
        self.record.life = match life {
            Some(_) if !self.is_online() => own.saturating_add(1).max(now.unix_ms),
            // One that was given before a crash took it from the store.
            Some(life) if life > own && life <= now.unix_ms => life,
            Some(_) => own,
            None => own.saturating_add(1).max(now.unix_ms),
        };
    }

    pub(crate) fn see(&mut self, meta: Option<Item>, now: Now) {
        self.seen = now.elapsed;
        self.record.last_seen_at_ms = now.unix_ms;
        if meta.is_some() && self.meta != meta {
            self.meta = meta;
            self.is_meta_written = false;
        }
    }

    pub(crate) fn write(&self, id: &str, batch: &mut Batch) {
        batch.put(key::worker(id), self.record.encode());
        if let Some(meta) = self.meta.as_ref().filter(|_| !self.is_meta_written) {
            let meta = WorkerMeta { json: meta.as_bytes().clone() };
            batch.put(key::worker_meta(id), meta.encode());
        }
    }
}
