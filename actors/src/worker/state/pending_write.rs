//! What has to be written before it takes effect.

use std::sync::Arc;

use lanekeeper_storage::{
    Batch, CommitSeq,
    key::{self, DepartureNo},
    record::{DepartureRecord, OfflineCause},
};

use crate::worker::state::worker_entry::WorkerEntry;

/// A departure that somebody has still to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingOffline {
    pub(crate) number: DepartureNo,
    pub(crate) id: Arc<str>,
    pub(crate) at_ms: u64,
    pub(crate) cause: OfflineCause,
    /// The life that ended.
    pub(crate) life: Option<u64>,
}

/// What is to be written at once, and takes effect once the store has accepted it.
#[derive(Debug)]
pub(crate) struct WorkerChange {
    pub(crate) id: Arc<str>,
    pub(crate) entry: WorkerEntry,
    pub(crate) departure: Option<PendingOffline>,
    /// Who gives way to a newcomer.
    pub(crate) forgotten: Option<Arc<str>>,
}

impl WorkerChange {
    pub(crate) fn write(&self, batch: &mut Batch) {
        self.entry.write(&self.id, batch);
        if let Some(PendingOffline { number, id, at_ms, cause, life }) = &self.departure {
            let worker_id = id.to_string();
            let (at_ms, cause, life) = (*at_ms, *cause, *life);
            let record = DepartureRecord { worker_id, at_ms, cause, life };
            batch.put(key::departure(*number), record.encode());
        }
        if let Some(id) = &self.forgotten {
            batch.delete(key::worker(id));
            batch.delete(key::worker_meta(id));
        }
    }
}

/// What a beat or a farewell leads to.
#[derive(Debug)]
pub(crate) enum WriteStep {
    /// Nothing that has to be written at once; the answer rests on this commit.
    Merged(CommitSeq),
    /// This has to be written before the answer.
    Write(Box<WorkerChange>),
}
