//! An engine that keeps nothing from some moment on.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, CommitError, CommitSeq, Durability, Engine, EngineStatus, Epoch, Fence, Key, KeyRange,
    LoadError, Maintenance, MemoryEngine, ScanLimit, ShardNo,
};

/// The memory engine until it is told to forget: from there on commits succeed and leave nothing
/// behind, what was kept before stays.
#[derive(Default)]
pub(crate) struct Forgetful {
    kept: MemoryEngine,
    is_forgetting: AtomicBool,
}

impl Forgetful {
    pub(crate) fn forget(&self) {
        self.is_forgetting.store(true, Ordering::Release);
    }
}

impl Engine for Forgetful {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        self.kept.get(key)
    }

    fn scan(&self, range: &KeyRange, limit: ScanLimit) -> Result<Vec<(Key, Bytes)>, LoadError> {
        self.kept.scan(range, limit)
    }

    fn scan_back(
        &self,
        range: &KeyRange,
        limit: ScanLimit,
    ) -> Result<Vec<(Key, Bytes)>, LoadError> {
        self.kept.scan_back(range, limit)
    }

    fn commit(
        &self,
        fence: Fence,
        batch: Batch,
        durability: Durability,
    ) -> Result<CommitSeq, CommitError> {
        let is_forgotten = self.is_forgetting.load(Ordering::Acquire);
        let batch = if is_forgotten { Batch::new() } else { batch };
        self.kept.commit(fence, batch, durability)
    }

    fn poll_committed(
        &self,
        seq: CommitSeq,
        durability: Durability,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommitError>> {
        self.kept.poll_committed(seq, durability, cx)
    }

    fn handed_over(&self) -> CommitSeq {
        self.kept.handed_over()
    }

    fn claim(&self, shard: ShardNo) -> Result<Epoch, CommitError> {
        self.kept.claim(shard)
    }

    fn renew(&self, fence: Fence) -> Result<(), CommitError> {
        self.kept.renew(fence)
    }

    fn release(&self, fence: Fence) {
        self.kept.release(fence);
    }

    fn poll_maintenance(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.kept.poll_maintenance(cx)
    }

    fn maintain(&self) -> Result<Maintenance, LoadError> {
        self.kept.maintain()
    }

    fn may_block(&self) -> bool {
        false
    }

    fn status(&self) -> EngineStatus {
        self.kept.status()
    }

    fn close(&self) -> Result<(), CommitError> {
        self.kept.close()
    }
}
