//! The interface of engines: what the runtime needs from a store.

use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    batch::Batch,
    error::{CommitError, LoadError},
    key::{Key, KeyRange},
};

/// A store of keys and values with durable, fenced commits.
///
/// # Contract
///
/// - **Order.** Batches take effect in the order in which `commit` returned their sequence numbers.
/// - **Reads see handed-over batches.** Once `commit` has returned `Ok`, `get` and `scan` answer
///   with the batch applied, although it may not be durable yet. Before such a read is shown to the
///   outside, [`Engine::handed_over`] must be committed.
/// - **All or nothing.** After a crash the store has all of a batch or none of it. If it has the
///   batch, it has every earlier batch of the same or a stronger durability.
/// - **A refusal changes nothing.** If `commit` returns an error, the batch was not applied.
/// - **Poison.** After a failed write or fsync of handed-over batches every later `commit` and
///   every unfinished `poll_committed` answers [`CommitError::Poisoned`]. Nothing is retried.
///
/// `get`, `scan`, `upkeep` and `close` may block on the disk; `commit`, `poll_committed` and the
/// rest do not.
pub trait Engine: Send + Sync + 'static {
    /// The value of one key.
    ///
    /// # Errors
    /// [`LoadError`] if the disk fails or what it delivers is damaged.
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError>;

    /// The keys of `range` with their values, in key order, as far as `limit` goes. The cost is
    /// that of what is returned, not of what the range holds.
    ///
    /// # Errors
    /// [`LoadError`] if the disk fails or what it delivers is damaged.
    fn scan(&self, range: &KeyRange, limit: ScanLimit) -> Result<Vec<(Key, Bytes)>, LoadError>;

    /// As [`Engine::scan`], but from the end of the range backwards: the last key comes first.
    ///
    /// # Errors
    /// [`LoadError`] if the disk fails or what it delivers is damaged.
    fn scan_back(&self, range: &KeyRange, limit: ScanLimit)
    -> Result<Vec<(Key, Bytes)>, LoadError>;

    /// Hands a batch over and returns its place in the order of commits. Does not wait for the
    /// disk: [`Engine::poll_committed`] tells when the batch is as durable as `durability`
    /// promises.
    ///
    /// # Errors
    /// A refusal, with nothing applied, or [`CommitError::Poisoned`].
    fn commit(
        &self,
        fence: Fence,
        batch: Batch,
        durability: Durability,
    ) -> Result<CommitSeq, CommitError>;

    /// Ready once every batch up to `seq` is as durable as `durability` promises. Otherwise keeps
    /// the waker, and wakes it on a change.
    ///
    /// # Errors
    /// [`CommitError::Poisoned`] if the outcome will never be known, [`CommitError::Fenced`] if the
    /// store has another owner.
    fn poll_committed(
        &self,
        seq: CommitSeq,
        durability: Durability,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommitError>>;

    /// The sequence number handed out last; [`CommitSeq::ZERO`] if none was.
    fn handed_over(&self) -> CommitSeq;

    /// Takes ownership of a shard and returns the epoch to fence its commits with. An embedded
    /// engine has one owner, its process, and answers with the incarnation of that process.
    ///
    /// # Errors
    /// [`CommitError::Poisoned`] or [`CommitError::Closed`].
    fn claim(&self, shard: ShardNo) -> Result<Epoch, CommitError>;

    /// Confirms the ownership.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] if another owner has the shard.
    fn renew(&self, fence: Fence) -> Result<(), CommitError>;

    /// Gives the ownership up: later commits under this fence are refused as
    /// [`CommitError::Fenced`].
    fn release(&self, fence: Fence);

    /// Ready when [`Engine::maintain`] has something to do; otherwise keeps the waker and wakes it
    /// when there is.
    fn poll_maintenance(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Does the background work that is due: a checkpoint, a rewrite, a check of the disk's free
    /// space. Blocks on the disk. One caller works at a time; others return at once.
    ///
    /// # Errors
    /// [`LoadError`] with what failed; the engine goes on, and the work stays due.
    fn maintain(&self) -> Result<Maintenance, LoadError>;

    /// Whether reads may block on a disk, so that an asynchronous caller should scan on a thread
    /// for blocking work.
    fn may_block(&self) -> bool {
        true
    }

    /// Whether changes arrive faster than the background work can apply them. Work that can wait
    /// should wait, before all commits are slowed down.
    fn is_lagging(&self) -> bool {
        false
    }

    /// Bytes of memory used by changes until a checkpoint applies them. Cheap: reads atomics.
    fn memory_bytes(&self) -> u64 {
        0
    }

    /// The last write to its files before it was opened, by the file system (Unix milliseconds):
    /// an upper bound on the age of their content. `None` if it is not known.
    fn last_written_ms(&self) -> Option<u64> {
        None
    }

    /// The state of the engine, for statistics and health.
    fn status(&self) -> EngineStatus;

    /// Makes everything handed over durable, makes a checkpoint, and refuses later commits. Blocks
    /// on the disk. A second call does nothing.
    ///
    /// # Errors
    /// [`CommitError::Poisoned`] if the last batches could not be made durable.
    fn close(&self) -> Result<(), CommitError>;
}

/// The moment when a commit is acknowledged, and so what a crash can lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Durability {
    /// After it is applied in memory. The end of the process loses everything.
    Memory,
    /// After the write to the journal, which is fsynced every flush interval. `kill -9` loses
    /// nothing, a power cut at most the interval.
    Relaxed,
    /// After an fsync. Neither `kill -9` nor a power cut loses anything.
    #[default]
    Durable,
}

impl Durability {
    /// The word used in settings and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Relaxed => "relaxed",
            Self::Durable => "durable",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Memory, Self::Relaxed, Self::Durable]
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or_else(|| format!("{word:?} is not one of durable, relaxed, memory"))
    }
}

/// The number of a commit in the order of commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitSeq(pub u64);

impl CommitSeq {
    /// Before every commit: always committed.
    pub const ZERO: Self = Self(0);
}

/// One of the parts into which actors are divided for ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardNo(pub u16);

/// The fencing token of an ownership: a later owner has a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// A number that is unique over all incarnations: its upper half is the incarnation, and
    /// `count` has to be unique within the process.
    pub fn number(self, count: u32) -> u64 {
        (self.0 & !u64::from(u32::MAX)) | u64::from(count)
    }

    /// As [`Epoch::number`], with 2⁴⁰ numbers in each of 2²⁴ incarnations. It is larger than every
    /// [`Epoch::number`] of the same or an earlier incarnation.
    pub fn long_number(self, count: u64) -> u64 {
        const BITS: u32 = 40;
        ((self.0 >> u32::BITS) << BITS) | (count & ((1 << BITS) - 1))
    }
}

/// The shard a commit belongs to and the epoch of its owner, checked by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The shard the batch's actor belongs to.
    pub shard: ShardNo,
    /// The epoch under which it was claimed.
    pub epoch: Epoch,
}

/// The limits of a scan, which ends at the first one reached. At least one entry is returned if the
/// range has one, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimit {
    /// The largest number of entries.
    pub count_max: usize,
    /// The largest sum of the bytes of values.
    pub bytes_max: usize,
}

impl ScanLimit {
    /// A limit on entries only.
    pub fn count(count_max: usize) -> Self {
        Self { count_max, bytes_max: usize::MAX }
    }

    /// Takes entries up to the bounds.
    pub(crate) fn take(self, entries: impl Iterator<Item = (Key, Bytes)>) -> Vec<(Key, Bytes)> {
        let mut taken = Vec::new();
        let mut bytes = 0_usize;
        for (key, value) in entries.take(self.count_max) {
            bytes = bytes.saturating_add(value.len());
            if bytes > self.bytes_max && !taken.is_empty() {
                break;
            }
            taken.push((key, value));
        }
        taken
    }
}

/// The result of one call of [`Engine::maintain`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// The checkpoint reached, if one was made.
    pub checkpoint: Option<CommitSeq>,
    /// Keys that the checkpoint changed in the backing store.
    pub merged_count: u64,
    /// Bytes on disk before and after, if the store was rewritten.
    pub rewritten: Option<(u64, u64)>,
    /// How long it took.
    pub took: Duration,
}

/// The state of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// The reason why nothing is acknowledged; `None` unless the store is poisoned.
    pub poisoned: Option<Arc<str>>,
    /// Whether writes are refused because the disk is full.
    pub is_disk_full: bool,
    /// The reason of another temporary refusal of writes; `None` if there is none.
    pub unavailable: Option<Arc<str>>,
    /// The time between two fsyncs of relaxed commits, which a power cut can lose.
    pub flush_interval: Duration,
    /// Commits handed over and committed since the engine was opened.
    pub commits: u64,
    /// Fsyncs of the journal since the engine was opened.
    pub fsyncs: u64,
    /// Duration of the last fsync.
    pub fsync_last: Duration,
    /// Bytes waiting for the disk.
    pub waiting_bytes: u64,
    /// Bytes of changes held in memory until the next checkpoint.
    pub overlay_bytes: u64,
    /// Bytes of batches of level memory, until they are deleted.
    pub volatile_bytes: u64,
    /// Bytes of journal files in use.
    pub journal_bytes: u64,
    /// Bytes of the store behind the journal, on disk.
    pub store_bytes: u64,
    /// Bytes of live keys and values in the store.
    pub live_bytes: u64,
    /// Checkpoints made since the engine was opened.
    pub checkpoints: u64,
}
