//! An engine in memory whose disk can be held up, filled and broken from outside.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, CommitError, CommitSeq, Durability, Engine, EngineStatus, Epoch, Fence, Key, KeyRange,
    LoadError, MemoryEngine, ScanLimit, ShardNo, Upkeep,
};

/// Applies like the memory engine; commits are acknowledged only while the disk is not held up.
#[derive(Default)]
pub(crate) struct StubbornEngine {
    inner: MemoryEngine,
    is_held_up: AtomicBool,
    is_full: AtomicBool,
    is_broken: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl StubbornEngine {
    /// Holds every acknowledgement back from now on.
    pub(crate) fn hold_up(&self) {
        self.is_held_up.store(true, Ordering::Release);
    }

    /// Acknowledges what waits.
    pub(crate) fn let_go(&self) {
        self.is_held_up.store(false, Ordering::Release);
        self.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    /// Refuses commits, or takes them again.
    pub(crate) fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Release);
    }

    /// Fails every commit that is not acknowledged yet, and all to come.
    pub(crate) fn break_down(&self) {
        self.is_broken.store(true, Ordering::Release);
        self.let_go();
    }

    fn poisoned(&self) -> Result<(), CommitError> {
        match self.is_broken.load(Ordering::Acquire) {
            true => Err(CommitError::Poisoned("the disk broke".into())),
            false => Ok(()),
        }
    }
}

impl Engine for StubbornEngine {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        self.inner.get(key)
    }

    fn scan(&self, range: &KeyRange, limit: ScanLimit) -> Result<Vec<(Key, Bytes)>, LoadError> {
        self.inner.scan(range, limit)
    }

    fn scan_back(
        &self,
        range: &KeyRange,
        limit: ScanLimit,
    ) -> Result<Vec<(Key, Bytes)>, LoadError> {
        self.inner.scan_back(range, limit)
    }

    fn commit(
        &self,
        fence: Fence,
        batch: Batch,
        durability: Durability,
    ) -> Result<CommitSeq, CommitError> {
        self.poisoned()?;
        if self.is_full.load(Ordering::Acquire) && !batch.is_space_freeing() {
            return Err(CommitError::DiskFull);
        }
        self.inner.commit(fence, batch, durability)
    }

    fn poll_committed(
        &self,
        _seq: CommitSeq,
        _durability: Durability,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommitError>> {
        let mut waiting = self.waiting.lock().unwrap();
        self.poisoned()?;
        if self.is_held_up.load(Ordering::Acquire) {
            waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn handed_over(&self) -> CommitSeq {
        self.inner.handed_over()
    }

    fn claim(&self, shard: ShardNo) -> Result<Epoch, CommitError> {
        self.inner.claim(shard)
    }

    fn renew(&self, fence: Fence) -> Result<(), CommitError> {
        self.inner.renew(fence)
    }

    fn release(&self, fence: Fence) {
        self.inner.release(fence);
    }

    fn poll_upkeep(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_upkeep(cx)
    }

    fn upkeep(&self) -> Result<Upkeep, LoadError> {
        self.inner.upkeep()
    }

    fn status(&self) -> EngineStatus {
        self.inner.status()
    }

    fn close(&self) -> Result<(), CommitError> {
        self.poisoned()?;
        self.inner.close()
    }
}
