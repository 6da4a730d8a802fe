//! A worker as it is known, in memory and as it is written.

use std::time::Duration;

use lanekeeper_storage::{
    Batch, CommitSeq, key,
    record::{WorkerMeta, WorkerRecord},
};

use crate::queue::Item;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Monotonic: what silence is measured by.
    pub(super) elapsed: Duration,
    /// Wall time, for people.
    pub(super) unix_ms: u64,
}

/// A worker as it is known.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) record: WorkerRecord,
    pub(super) meta: Option<Item>,
    /// Whether the store has the meta.
    pub(super) is_meta_written: bool,
    /// When it was last seen, by the monotonic clock. After a restart: the restart.
    pub(super) seen: Duration,
    /// The commit of its last change of status.
    pub(super) seq: CommitSeq,
}

impl Member {
    /// A worker as the store has it: nobody could beat while the node was away.
    pub(super) fn stored(record: WorkerRecord, meta: Option<Item>, now: Duration) -> Self {
        Self { record, meta, is_meta_written: true, seen: now, seq: CommitSeq::ZERO }
    }

    pub(super) fn new(now: Now) -> Self {
        let record = WorkerRecord {
            first_seen_at_ms: now.unix_ms,
            last_seen_at_ms: now.unix_ms,
            offline_since_ms: None,
            life: now.unix_ms,
        };
        Self::stored(record, None, now.elapsed)
    }

    pub(super) fn is_online(&self) -> bool {
        self.record.offline_since_ms.is_none()
    }

    pub(super) fn meta_bytes(&self) -> usize {
        self.meta.as_ref().map_or(0, Item::size_bytes)
    }

    /// Goes on with a life, or begins the next one if it is not given, or the worker is offline.
    pub(super) fn live(&mut self, life: Option<u64>, now: Now) {
        let own = self.record.life;
        self.record.life = match life {
            Some(_) if !self.is_online() => own.saturating_add(1).max(now.unix_ms),
            // One that was given before a crash took it from the store.
            Some(life) if life > own && life <= now.unix_ms => life,
            Some(_) => own,
            None => own.saturating_add(1).max(now.unix_ms),
        };
    }

    pub(super) fn see(&mut self, meta: Option<Item>, now: Now) {
        self.seen = now.elapsed;
        self.record.last_seen_at_ms = now.unix_ms;
        if meta.is_some() && self.meta != meta {
            self.meta = meta;
            self.is_meta_written = false;
        }
    }

    pub(super) fn write(&self, id: &str, batch: &mut Batch) {
        batch.put(key::worker(id), self.record.encode());
        if let Some(meta) = self.meta.as_ref().filter(|_| !self.is_meta_written) {
            let meta = WorkerMeta { json: meta.as_bytes().clone() };
            batch.put(key::worker_meta(id), meta.encode());
        }
    }
}
