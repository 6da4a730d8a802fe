//! The memory engine: for tests and throw-away use. Nothing survives it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::{
    Batch, CommitError, CommitSeq, Durability, Engine, EngineStatus, Epoch, Fence, Key, KeyRange,
    LoadError, ScanLimit, ShardNo, Upkeep, Write, ownership::Ownership,
};

/// An engine that keeps everything in one ordered map. A commit is committed when it is applied,
/// whatever durability it asks for.
#[derive(Debug)]
pub struct MemoryEngine {
    ownership: Mutex<Ownership>,
    values: RwLock<BTreeMap<Key, Bytes>>,
    commits: AtomicU64,
    is_closed: AtomicBool,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self {
            ownership: Mutex::new(Ownership::new(1)),
            values: RwLock::default(),
            commits: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    fn check_open(&self) -> Result<(), CommitError> {
        if self.is_closed.load(Ordering::Acquire) { Err(CommitError::Closed) } else { Ok(()) }
    }
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

fn range_of<'a>(
    values: &'a BTreeMap<Key, Bytes>,
    range: &KeyRange,
) -> impl DoubleEndedIterator<Item = (Key, Bytes)> + use<'a> {
    let end = range.end.clone().max(range.start.clone());
    values.range(range.start.clone()..end).map(|(key, value)| (key.clone(), value.clone()))
}

impl Engine for MemoryEngine {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        Ok(self.values.read().get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, limit: ScanLimit) -> Result<Vec<(Key, Bytes)>, LoadError> {
        let values = self.values.read();
        Ok(limit.take(range_of(&values, range)))
    }

    fn scan_back(
        &self,
        range: &KeyRange,
        limit: ScanLimit,
    ) -> Result<Vec<(Key, Bytes)>, LoadError> {
        let values = self.values.read();
        Ok(limit.take(range_of(&values, range).rev()))
    }

    fn commit(
        &self,
        fence: Fence,
        batch: Batch,
        _durability: Durability,
    ) -> Result<CommitSeq, CommitError> {
        self.check_open()?;
        self.renew(fence)?;
        let mut values = self.values.write();
        for write in batch.into_writes() {
            match write {
                Write::Put(key, value) => drop(values.insert(key, value)),
                Write::Add(key, value) => {
                    debug_assert!(!values.contains_key(&key), "{key:?} is not new");
                    values.insert(key, value);
                }
                Write::Delete(key) => drop(values.remove(&key)),
            }
        }
        Ok(CommitSeq(self.commits.fetch_add(1, Ordering::AcqRel) + 1))
    }

    fn poll_committed(
        &self,
        _seq: CommitSeq,
        _durability: Durability,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommitError>> {
        Poll::Ready(Ok(()))
    }

    fn handed_over(&self) -> CommitSeq {
        CommitSeq(self.commits.load(Ordering::Acquire))
    }

    fn claim(&self, shard: ShardNo) -> Result<Epoch, CommitError> {
        self.check_open().map(|()| self.ownership.lock().claim(shard))
    }

    fn renew(&self, fence: Fence) -> Result<(), CommitError> {
        if self.ownership.lock().holds(fence) { Ok(()) } else { Err(CommitError::Fenced) }
    }

    fn release(&self, fence: Fence) {
        self.ownership.lock().release(fence);
    }

    fn poll_upkeep(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn upkeep(&self) -> Result<Upkeep, LoadError> {
        Ok(Upkeep::default())
    }

    fn may_block(&self) -> bool {
        false
    }

    fn status(&self) -> EngineStatus {
        EngineStatus { commits: self.commits.load(Ordering::Acquire), ..EngineStatus::default() }
    }

    fn close(&self) -> Result<(), CommitError> {
        self.is_closed.store(true, Ordering::Release);
        Ok(())
    }
}
