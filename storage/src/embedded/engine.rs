//! The embedded engine: the store and its commit thread.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    task::{Context, Poll},
    thread::JoinHandle,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    batch::Batch,
    embedded::{
        backing::{port::Direction, sled_backing::SledDirectory},
        directory::lock,
        disk::FsDisk,
        engine_core::EngineCore,
        options::EmbeddedOptions,
        os_error::io_error,
    },
    engine::seam::{
        CommitSeq, Durability, Engine, EngineStatus, Epoch, Fence, Maintenance, ScanLimit, ShardNo,
    },
    error::{CommitError, LoadError, OpenError},
    key::{Key, KeyRange},
};

/// An engine in a data directory of its own: a journal that is fsynced for all who wait at once,
/// the changes not yet folded in, and behind both an ordered store.
///
/// Dropping it writes and fsyncs what was handed over; [`Engine::close`] also leaves nothing to
/// replay at the next opening.
pub struct EmbeddedEngine {
    store: Arc<EngineCore>,
    commits: Mutex<Option<JoinHandle<()>>>,
    last_written_ms: Option<u64>,
    /// Locked as long as it is open.
    _lock: Option<fs::File>,
}

impl EmbeddedEngine {
    /// Opens a data directory, and makes it if it is not there. What a crash left of the last write
    /// is discarded if nobody was told of it.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it open, its format is not known, a file is damaged where
    /// it had been durable, or the operating system refuses.
    pub fn open(dir: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let dir = dir.as_ref();
        let lock = lock::take(dir)?;
        let bases = SledDirectory::new(dir, options.bounded().cache_bytes);
        let disk = Arc::new(FsDisk::new(dir));
        let last_written_ms = lock::last_written_ms(dir);
        let store = EngineCore::open(disk, Box::new(bases), options, false)?;
        let mut engine = Self::start(store, Some(lock))?;
        engine.last_written_ms = last_written_ms;
        Ok(engine)
    }

    /// Opens what is on a disk that can be made to fail. Unlike in a
    /// [`FaultEngine`](crate::FaultEngine), the commit thread is there and
    /// runs when it likes.
    ///
    /// # Errors
    /// As [`EmbeddedEngine::open`].
    #[cfg(feature = "test-util")]
    pub fn open_on(
        disk: &crate::testing::fault::disk::FaultDisk,
        options: EmbeddedOptions,
    ) -> Result<Self, OpenError> {
        let bases = Box::new(disk.clone());
        Self::start(EngineCore::open(Arc::new(disk.clone()), bases, options, false)?, None)
    }

    fn start(store: EngineCore, lock: Option<fs::File>) -> Result<Self, OpenError> {
        let store = Arc::new(store);
        let commits = std::thread::Builder::new().name("lanekeeper-commit".into()).spawn({
            let store = store.clone();
            move || {
                if catch_unwind(AssertUnwindSafe(|| store.run_commits())).is_err() {
                    store.poison("the commit thread panicked");
                }
            }
        });
        let commits = commits.map_err(|error| io_error(&store.segments.disk().path(""), error))?;
        let commits = Mutex::new(Some(commits));
        Ok(Self { store, commits, last_written_ms: None, _lock: lock })
    }

    fn stop(&self) {
        {
            let mut commit_queue = self.store.commit_queue.lock();
            commit_queue.is_stopping = true;
            self.store.wake_commit(&mut commit_queue);
        }
        if let Some(commits) = self.commits.lock().take() {
            // It catches its own panics.
            let _ = commits.join();
        }
    }
}

impl Engine for EmbeddedEngine {
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
        self.store.commit(fence, batch, durability)
    }

    fn poll_committed(
        &self,
        seq: CommitSeq,
        durability: Durability,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommitError>> {
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
        self.store.do_maintenance()
    }

    fn is_lagging(&self) -> bool {
        self.store.is_lagging()
    }

    fn memory_bytes(&self) -> u64 {
        let memtable = &self.store.memtable;
        // While a checkpoint folds a change in, the store has it too.
        2 * memtable.bytes() + memtable.volatile_bytes()
    }

    fn last_written_ms(&self) -> Option<u64> {
        self.last_written_ms
    }

    fn status(&self) -> EngineStatus {
        self.store.status()
    }

    fn close(&self) -> Result<(), CommitError> {
        let result = self.store.close();
        self.stop();
        result
    }
}

impl Drop for EmbeddedEngine {
    fn drop(&mut self) {
        self.stop();
    }
}
