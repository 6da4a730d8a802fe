//! The engine on the disk that fails.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    batch::Batch,
    embedded::{backing::port::Direction, engine_core::EngineCore, options::EmbeddedOptions},
    engine::seam::{
        CommitSeq, Durability, Engine, EngineStatus, Epoch, Fence, Maintenance, ScanLimit, ShardNo,
    },
    error::{CommitError, LoadError, OpenError},
    key::{Key, KeyRange},
    testing::fault::disk::FaultDisk,
};

/// The embedded engine without threads on a [`FaultDisk`]. Waiting for a commit writes and, if it
/// is to be durable, fsyncs what was handed over; relaxed commits are fsynced by the next durable
/// one or by [`FaultEngine::flush`].
pub struct FaultEngine {
    store: EngineCore,
    disk: FaultDisk,
    held: Mutex<HeldEngine>,
}

#[derive(Default)]
struct HeldEngine {
    is_holding: bool,
    is_refusing: bool,
    tasks: Vec<Waker>,
}

impl FaultEngine {
    /// An engine on an empty disk, with little memory and small files so that checkpoints and new
    /// segments are frequent.
    ///
    /// # Panics
    /// Never: an empty disk that was not told to fail opens.
    pub fn new(seed: u64) -> Self {
        let disk = FaultDisk::new(seed);
        Self::open(&disk, Self::options()).expect("an empty disk that does not fail opens")
    }

    /// The settings of [`FaultEngine::new`].
    pub fn options() -> EmbeddedOptions {
        EmbeddedOptions {
            segment_bytes: 64 << 10,
            flush_interval: Duration::from_millis(1),
            overlay_bytes: 16 << 10,
            bloat_bytes: 16 << 10,
            reserve_bytes: 4 << 10,
            ..EmbeddedOptions::default()
        }
    }

    /// Opens what is on the disk, for example after a [`FaultDisk::crash`].
    ///
    /// # Errors
    /// As [`EmbeddedEngine::open`](crate::embedded::engine::EmbeddedEngine::open).
    pub fn open(disk: &FaultDisk, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let store =
            EngineCore::open(Arc::new(disk.clone()), Box::new(disk.clone()), options, true)?;
        Ok(Self { store, disk: disk.clone(), held: Mutex::default() })
    }

    /// The disk, to make it fail and to look at it.
    pub fn disk(&self) -> &FaultDisk {
        &self.disk
    }

    /// Writes and fsyncs everything handed over, as the flush interval would.
    pub fn flush(&self) {
        self.store.drive(true);
    }

    /// Refuses batches that do not free space, as on a full disk, or takes them again.
    pub fn refuse_commits(&self, is_refusing: bool) {
        self.held.lock().is_refusing = is_refusing;
    }

    /// Holds every commit back that is not committed yet: those who wait for one go on waiting.
    pub fn hold_commits(&self) {
        self.held.lock().is_holding = true;
    }

    /// Lets commits go on, and wakes those who waited.
    pub fn let_commits_go(&self) {
        let tasks = {
            let mut held = self.held.lock();
            held.is_holding = false;
            std::mem::take(&mut held.tasks)
        };
        tasks.into_iter().for_each(Waker::wake);
    }
}

impl Engine for FaultEngine {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        self.store.memtable.get(key)
    }

    fn scan(&self, range: &KeyRange, limit: ScanLimit) -> Result<Vec<(Key, Bytes)>, LoadError> {
        self.store.memtable.scan(range, limit, Direction::Forward)
    }

    fn scan_back(
        &self,
        range: &KeyRange,
        limit: ScanLimit,
    ) -> Result<Vec<(Key, Bytes)>, LoadError> {
        self.store.memtable.scan(range, limit, Direction::Back)
    }

    fn commit(
        &self,
        fence: Fence,
        batch: Batch,
        durability: Durability,
    ) -> Result<CommitSeq, CommitError> {
        if self.held.lock().is_refusing && !batch.is_space_freeing() {
            return Err(CommitError::DiskFull);
        }
        self.store.commit(fence, batch, durability)
    }

    fn poll_committed(
        &self,
        seq: CommitSeq,
        durability: Durability,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommitError>> {
        let mut held = self.held.lock();
        if held.is_holding && !self.store.waiters.is_reached(seq, durability) {
            if !held.tasks.iter().any(|task| task.will_wake(cx.waker())) {
                held.tasks.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        drop(held);
        self.store.poll_committed(seq, durability, cx)
    }

    fn handed_over(&self) -> CommitSeq {
        self.store.handed_over()
    }

    fn claim(&self, shard: ShardNo) -> Result<Epoch, CommitError> {
        self.store.claim(shard)
    }

    fn renew(&self, fence: Fence) -> Result<(), CommitError> {
        self.store.renew(fence)
    }

    fn release(&self, fence: Fence) {
        self.store.release(fence);
    }

    fn poll_maintenance(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.store.maintenance_signal.poll(cx)
    }

    fn maintain(&self) -> Result<Maintenance, LoadError> {
        // Nobody else tries again to write what is held back.
        self.store.drive(false);
        self.store.do_maintenance()
    }

    fn status(&self) -> EngineStatus {
        self.store.status()
    }

    fn close(&self) -> Result<(), CommitError> {
        self.store.close()
    }
}
