//! The runtime's side of the engine seam: reads from turns, and the output gate.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, CommitError, CommitSeq, Durability, Engine, Fence, Key, KeyRange, LoadError, ScanLimit,
};
use tokio::{runtime::Handle, sync::Mutex};

use crate::{
    runtime::memory_budget::{COUNTED_BYTES, MemoryBudget, MemoryPermit},
    time::{clock::Clock, clock_stamp::Stamps},
};

/// With less memory than this a single value may be more than there is.
const TIGHT_BYTES: u64 = 8 << 20;

/// Reads from the engine. Cloning shares it.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    executor: Handle,
    memory: MemoryBudget,
    /// Whoever reads more than there is memory for, one at a time.
    tight: Arc<Mutex<()>>,
    stamps: Arc<Stamps>,
}

impl Store {
    /// The store of a node. From here on its clock goes on from where the store says it was.
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        executor: Handle,
        memory: MemoryBudget,
        clock: &Clock,
    ) -> Self {
        memory.watch(&engine);
        let stamps = Arc::new(Stamps::resume(&*engine, clock));
        Self { engine, executor, memory, tight: Arc::default(), stamps }
    }

    /// The memory that values take which are read here.
    pub(crate) fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// The value of one key. Answers on the caller's thread: what is warm in a microsecond or two,
    /// what is cold after one read of the disk.
    ///
    /// # Errors
    /// [`LoadError`] if the disk fails or what it delivers is damaged.
    pub fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        let value = self.engine.get(key)?;
        Ok(value.map(|value| self.memory.counted(value)))
    }

    /// The entries of a range in key order, read on a thread where blocking harms nobody. Dropping
    /// the future is safe.
    ///
    /// # Errors
    /// [`LoadError`] if the disk fails or what it delivers is damaged.
    pub async fn scan(
        &self,
        range: KeyRange,
        limit: ScanLimit,
    ) -> Result<Vec<(Key, Bytes)>, LoadError> {
        let read = move |engine: &dyn Engine, limit| engine.scan(&range, limit);
        Ok(self.counted(self.read_within(limit, read).await?))
    }

    /// As [`Store::scan`], from the end of the range backwards.
    ///
    /// # Errors
    /// As [`Store::scan`].
    pub async fn scan_back(
        &self,
        range: KeyRange,
        limit: ScanLimit,
    ) -> Result<Vec<(Key, Bytes)>, LoadError> {
        let read = move |engine: &dyn Engine, limit| engine.scan_back(&range, limit);
        Ok(self.counted(self.read_within(limit, read).await?))
    }

    /// As [`Store::read`], with the limit within which there is memory for what is read.
    pub(crate) async fn read_within<T: Send + 'static>(
        &self,
        limit: ScanLimit,
        read: impl FnOnce(&dyn Engine, ScanLimit) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        let (limit, reserved) = self.reserve(limit);
        // One entry is read in any case: there must not be many who read it beyond the budget.
        let is_tight = reserved.is_some() && self.memory.available() < TIGHT_BYTES;
        let _turn = if is_tight { Some(self.tight.lock().await) } else { None };
        let found = self.read(move |engine| read(engine, limit)).await;
        drop(reserved);
        found
    }

    /// A limit within which there is memory, and that memory until what was read counts by itself:
    /// there may be many who read at once. One entry is read in any case.
    fn reserve(&self, limit: ScanLimit) -> (ScanLimit, Option<MemoryPermit>) {
        let available = self.memory.available();
        if available == u64::MAX {
            return (limit, None);
        }
        // What is read is there twice for a moment: with the store, and with who asked.
        let most = usize::try_from(available / 4).unwrap_or(usize::MAX);
        let bytes_max = limit.bytes_max.min(most);
        (ScanLimit { bytes_max, ..limit }, Some(self.memory.count(2 * bytes_max as u64)))
    }

    fn counted(&self, mut found: Vec<(Key, Bytes)>) -> Vec<(Key, Bytes)> {
        for (_, value) in &mut found {
            if value.len() >= COUNTED_BYTES {
                *value = self.memory.counted(std::mem::take(value));
            }
        }
        found
    }

    /// Runs a read that may block, off the executor's threads.
    ///
    /// # Errors
    /// What `read` answers; [`LoadError::Closed`] if the executor ended meanwhile.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Engine) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        if !self.engine.may_block() {
            return read(&*self.engine);
        }
        let engine = Arc::clone(&self.engine);
        let task = self.executor.spawn_blocking(move || read(&*engine));
        task.await.map_err(|_| LoadError::Closed)?
    }

    /// Hands the writes of a turn over and moves the gate behind them.
    pub(crate) fn commit(
        &self,
        fence: Fence,
        batch: Batch,
        level: Durability,
        gate: &mut CommitBarrier,
    ) -> Result<CommitSeq, CommitError> {
        let seq = self.hand_over(fence, batch, level)?;
        gate.raise(seq, level);
        Ok(seq)
    }

    /// Hands writes over, and with them how far the clock has come.
    pub(crate) fn hand_over(
        &self,
        fence: Fence,
        mut batch: Batch,
        level: Durability,
    ) -> Result<CommitSeq, CommitError> {
        let stamped = self.stamps.put_into(&mut batch, level);
        let handed_over = self.engine.commit(fence, batch, level);
        if let (Err(_), Some(stamped)) = (&handed_over, stamped) {
            self.stamps.take_back(stamped);
        }
        handed_over
    }

    /// Hands over how far the clock of a node has come that ends.
    pub(crate) fn stamp_last(&self, fence: Fence) {
        let Some(batch) = self.stamps.last() else { return };
        if let Err(error) = self.engine.commit(fence, batch, Durability::Relaxed) {
            tracing::debug!(%error, "how far the clock had come was not written");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// What must be committed before a reply may leave: everything the reply could have been derived
/// from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommitBarrier {
    durable: CommitSeq,
    relaxed: CommitSeq,
}

impl CommitBarrier {
    /// Moves the gate behind a commit.
    pub(crate) fn raise(&mut self, seq: CommitSeq, level: Durability) {
        match level {
            Durability::Durable => self.durable = self.durable.max(seq),
            Durability::Relaxed => self.relaxed = self.relaxed.max(seq),
            Durability::Memory => {}
        }
    }

    /// Ready when a reply behind this gate may leave.
    pub(crate) fn poll_open(
        self,
        engine: &dyn Engine,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommitError>> {
        if self.relaxed > CommitSeq::ZERO {
            ready!(engine.poll_committed(self.relaxed, Durability::Relaxed, cx))?;
        }
        if self.durable > CommitSeq::ZERO {
            ready!(engine.poll_committed(self.durable, Durability::Durable, cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until a reply behind this gate may leave. Dropping the future is safe.
    pub(crate) async fn open(self, engine: &dyn Engine) -> Result<(), CommitError> {
        poll_fn(|cx| self.poll_open(engine, cx)).await
    }
}
