//! The memory engine: for tests and throw-away use. Nothing survives it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::{
    batch::{Batch, Write},
    engine::{
        ownership::Ownership,
        seam::{
            CommitSeq, Durability, Engine, EngineStatus, Epoch, Fence, Maintenance, ScanLimit,
            ShardNo,
        },
    },
    error::{CommitError, LoadError},
    key::{Key, KeyRange},
};

/// An engine that keeps everything in one ordered map. A commit is committed when it is applied,
/// whatever durability it asks for.
#[derive(Debug)]
pub struct MemoryEngine {
    ownership: Mutex<Ownership>,
    values: RwLock<BTreeMap<Key, Bytes>>,
    /// What keys and values take, with what an entry takes beside them.
    bytes: AtomicU64,
    bytes_max: u64,
    commits: AtomicU64,
    is_closed: AtomicBool,
}

/// What an entry takes beside its key and value: the node's share, pointers, the allocation.
const ENTRY_BYTES: usize = 112;

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::within(u64::MAX)
    }

    /// An empty engine that refuses batches that do not free space once it holds so many bytes.
    pub fn within(bytes_max: u64) -> Self {
        Self {
            ownership: Mutex::new(Ownership::new(1)),
            values: RwLock::default(),
            bytes: AtomicU64::new(0),
            bytes_max,
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
        let before = self.bytes.load(Ordering::Relaxed);
        if before > self.bytes_max && !batch.is_empty() && !batch.is_space_freeing() {
            let (waiting_bytes, waiting_bytes_max) = (before, self.bytes_max);
            return Err(CommitError::Overloaded { waiting_bytes, waiting_bytes_max });
        }
        let mut bytes = before;
        for write in batch.into_writes() {
            let (key, value) = match write {
                Write::Put(key, value) => (key, Some(value)),
                Write::Add(key, value) => {
                    debug_assert!(!values.contains_key(&key), "{key:?} is not new");
                    (key, Some(value))
                }
                Write::Delete(key) => (key, None),
            };
            let around = key.as_bytes().len() + ENTRY_BYTES;
            let weight = |value: &Bytes| (around + value.len()) as u64;
            bytes += value.as_ref().map_or(0, weight);
            let former = match value {
                Some(value) => values.insert(key, value),
                None => values.remove(&key),
            };
            bytes -= former.as_ref().map_or(0, weight);
        }
        self.bytes.store(bytes, Ordering::Relaxed);
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

    fn poll_maintenance(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn maintain(&self) -> Result<Maintenance, LoadError> {
        Ok(Maintenance::default())
    }

    fn may_block(&self) -> bool {
        false
    }

    fn memory_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            commits: self.commits.load(Ordering::Acquire),
            volatile_bytes: self.memory_bytes(),
            ..EngineStatus::default()
        }
    }

    fn close(&self) -> Result<(), CommitError> {
        self.is_closed.store(true, Ordering::Release);
        Ok(())
    }
}
