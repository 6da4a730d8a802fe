//! The worker table as the store has it.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use lanekeeper_storage::{
    Key, KeyRange, LoadError, ScanLimit,
    key::{self, DepartureNo},
    record::{DepartureRecord, WorkerMeta, WorkerRecord},
};

use crate::{
    queue::api::item::Item,
    runtime::shared_state::Runtime,
    worker::{
        api::options::LivenessOptions,
        state::{
            pending_write::PendingOffline, worker_entry::WorkerEntry, worker_table::WorkerTable,
        },
    },
};

/// Records read at a time.
const PAGE: usize = 4_096;

/// Reads the worker table. New departures are numbered from `first` on.
pub(crate) async fn worker_table(
    runtime: &Runtime,
    options: LivenessOptions,
    first: DepartureNo,
) -> Result<WorkerTable, LoadError> {
    let mut metas = HashMap::new();
    for (key, value) in all(runtime, key::worker_metas()).await? {
        let meta = Item::from_store(WorkerMeta::decode(&value)?.json);
        metas.insert(id_of(&key)?, meta);
    }
    let (now, now_ms) = (runtime.clock.elapsed(), runtime.clock.now_ms());
    let mut worker_table = WorkerTable::new(options, first);
    for (key, value) in all(runtime, key::workers()).await? {
        let (id, mut record) = (id_of(&key)?, WorkerRecord::decode(&value)?);
        // Nobody was seen in the future: a clock was ahead of what is known of it.
        record.first_seen_at_ms = record.first_seen_at_ms.min(now_ms);
        record.last_seen_at_ms = record.last_seen_at_ms.min(now_ms);
        record.offline_since_ms = record.offline_since_ms.map(|since_ms| since_ms.min(now_ms));
        let meta = metas.remove(&id);
        worker_table.restore(id, WorkerEntry::stored(record, meta, now));
    }
    for (key, value) in all(runtime, key::departures()).await? {
        let number = key::number_of_departure(&key).ok_or_else(|| strange(&key))?;
        let DepartureRecord { worker_id, at_ms, cause, life } = DepartureRecord::decode(&value)?;
        worker_table.restore_departure(PendingOffline {
            number,
            id: worker_id.into(),
            at_ms,
            cause,
            life,
        });
    }
    Ok(worker_table)
}

async fn all(runtime: &Runtime, mut rest: KeyRange) -> Result<Vec<(Key, Bytes)>, LoadError> {
    let mut found = Vec::new();
    loop {
        let page = runtime.store.scan(rest.clone(), ScanLimit::count(PAGE)).await?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        rest = rest.after(last);
        found.extend(page);
    }
}

fn id_of(key: &Key) -> Result<Arc<str>, LoadError> {
    key::worker_id_of(key).map(Arc::from).ok_or_else(|| strange(key))
}

fn strange(key: &Key) -> LoadError {
    LoadError::Corrupt(format!("{key:?} is no key of a worker").into())
}
