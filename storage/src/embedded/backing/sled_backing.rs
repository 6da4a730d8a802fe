//! sled, named in this file alone: the ordered store behind the journal.
//!
//! sled's own `flush` never calls fsync, so the files are fsynced here. A checkpoint is two steps:
//! the changes, made durable, and then the number of the checkpoint, made durable. A crash between
//! them leaves changes that a replay of the journal makes once more.
//!
//! sled panics over files that are damaged. Every call is guarded: a panic is answered as damage,
//! and the store is not touched again, not even to close it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    embedded::{
        backing::{
            directories::{BaseFiles, sync_names},
            files::{self, StoreFiles},
            merge::{self, Step, TIGHTEST, Target},
            panic_guard::{Guard, GuardedCursor, guarded},
            port::{Base, Bases, Changes, Cursor, Direction, FoldRoom},
        },
        os_error::{corrupt, file_name, io_error, load_error},
    },
    error::{LoadError, OpenError},
    key::{Key, KeyRange},
    stopwatch::Moment,
};

const META_TREE: &str = "meta";
const CHECKPOINT: &str = "checkpoint";
/// What sled's log may grow by when it is opened.
const OPENING_AHEAD_BYTES: u64 = 1 << 20;
/// How long threads of a store that was closed are waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// What sled may write beside the changes themselves: it takes its log in segments, and rewrites
/// pages when it splits or merges them.
const FOLD_FREE_BYTES: u64 = 16 << 20;
const COPY_FREE_BYTES: u64 = 3 << 20;

/// The stores of a data directory.
pub(crate) struct SledBases {
    files: BaseFiles,
    cache_bytes: u64,
}

impl SledBases {
    pub(crate) fn new(dir: &Path, cache_bytes: u64) -> Self {
        Self { files: BaseFiles::new(dir), cache_bytes }
    }

    fn open_sled(&self, number: u64) -> Result<SledBase, OpenError> {
        let dir = self.files.path(number);
        // sled waits for ever for what it cannot write.
        files::take_ahead_of_opening(&dir, OPENING_AHEAD_BYTES)
            .map_err(|error| io_error(&dir, error))?;
        let config = sled::Config::new()
            .path(&dir)
            .cache_capacity(self.cache_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let open = || {
            let db = open_unlocked(&config)?;
            let meta = db.open_tree(META_TREE)?;
            let recorded = meta.get(CHECKPOINT)?;
            Ok((Open { db, meta }, recorded))
        };
        let opened = guarded(open).map_err(|what| corrupt(&dir, 0, what))?;
        let (open, recorded) = opened.map_err(|error| open_error(&dir, error))?;
        let numbers = match recorded {
            None => [0, 0],
            Some(bytes) => decode_checkpoint(&bytes)
                .ok_or_else(|| corrupt(&dir, 0, "its checkpoint cannot be read"))?,
        };
        let names = sync_names(&dir).and_then(|()| StoreFiles::open(&dir));
        let files = names.map_err(|error| io_error(&dir, error))?;
        Ok(SledBase {
            files,
            guard: Guard::new(&dir),
            dir,
            open: Some(open),
            checkpointed: AtomicU64::new(numbers[0]),
            live_bytes: AtomicU64::new(numbers[1]),
            is_retired: AtomicBool::new(false),
            is_suspect: AtomicBool::new(false),
        })
    }

    fn io_error(&self, number: u64) -> impl FnOnce(io::Error) -> OpenError {
        let path = self.files.path(number);
        move |error| io_error(&path, error)
    }
}

impl Bases for SledBases {
    fn numbers(&self) -> Result<Vec<u64>, OpenError> {
        self.files.numbers().map_err(self.io_error(0))
    }

    fn is_unfinished(&self, number: u64) -> bool {
        self.files.is_unfinished(number)
    }

    fn open(&self, number: u64) -> Result<Arc<dyn Base>, OpenError> {
        let file = self.files.path(number).join("db");
        // sled would make it.
        fs::metadata(&file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => corrupt(&file, 0, "it is missing"),
            _ => io_error(&file, error),
        })?;
        Ok(Arc::new(self.open_sled(number)?))
    }

    fn create(&self, number: u64) -> Result<Arc<dyn Base>, OpenError> {
        self.files.begin(number).map_err(self.io_error(number))?;
        let base = self.open_sled(number)?;
        base.make_durable().map_err(|error| self.io_error(number)(io::Error::other(error)))?;
        self.files.finish(number).map_err(self.io_error(number))?;
        Ok(Arc::new(base))
    }

    fn opening_needs_bytes(&self) -> u64 {
        let numbers = self.files.numbers().unwrap_or_default().into_iter();
        let needs = numbers.map(|number| files::opening_needs_bytes(&self.files.path(number)));
        needs.max().unwrap_or(files::OPENING_BYTES)
    }

    fn copy(
        &self,
        from: &dyn Base,
        to: u64,
        pause: &mut dyn FnMut(),
    ) -> Result<Arc<dyn Base>, LoadError> {
        self.files.begin(to).map_err(self.io_error(to))?;
        let copy = self.open_sled(to)?;
        merge::copy(from, &copy, pause)?;
        copy.record(from.checkpointed())?;
        self.files.finish(to).map_err(self.io_error(to))?;
        Ok(Arc::new(copy))
    }

    fn remove(&self, number: u64) -> Result<(), OpenError> {
        self.files.remove(number).map_err(self.io_error(number))
    }
}

struct Open {
    db: sled::Db,
    meta: sled::Tree,
}

struct SledBase {
    dir: PathBuf,
    guard: Guard,
    /// `None` only while it is dropped.
    open: Option<Open>,
    checkpointed: AtomicU64,
    live_bytes: AtomicU64,
    is_retired: AtomicBool,
    /// Whether something could not be written or made durable: what is on the disk is not known,
    /// and nothing more is trusted to it.
    is_suspect: AtomicBool,
    files: StoreFiles,
}

impl SledBase {
    fn open(&self) -> &Open {
        self.open.as_ref().expect("it is closed by nobody but drop")
    }

    /// Calls sled.
    fn call<T>(&self, call: impl FnOnce(&Open) -> sled::Result<T>) -> Result<T, LoadError> {
        let open = self.open();
        self.guard.call(|| call(open).map_err(|error| failed(&self.dir, error)))
    }

    /// Calls sled to write; it writes nothing more after an error.
    fn write<T>(&self, call: impl FnOnce(&Open) -> sled::Result<T>) -> Result<T, LoadError> {
        let done = self.call(call);
        if done.is_err() {
            self.is_suspect.store(true, Ordering::Release);
        }
        done
    }

    /// Writes sled's buffers out.
    fn flush(&self) -> Result<(), LoadError> {
        self.write(|open| merge::wait_for_flush(|| Box::pin(open.db.flush_async()))).map(drop)
    }

    fn record(&self, through: u64) -> Result<(), LoadError> {
        let numbers = [through, self.live_bytes()];
        self.write(|open| open.meta.insert(CHECKPOINT, encode_checkpoint(numbers)))?;
        self.make_durable()?;
        self.checkpointed.store(through, Ordering::Release);
        Ok(())
    }

    fn cursor(&self, entries: Option<sled::Iter>, direction: Direction) -> Box<dyn Cursor> {
        let dir = self.dir.clone();
        let told = move |entry: sled::Result<_>| entry.map_err(|error| failed(&dir, error));
        let entries = entries.map(|entries| entries.map(told));
        Box::new(GuardedCursor::new(self.guard.clone(), entries, direction))
    }
}

impl Target for SledBase {
    type Found = sled::IVec;

    fn begin(&self, step: &Step) -> Result<(), LoadError> {
        if self.is_suspect() {
            return Err(LoadError::Io("an earlier write to the store failed".into()));
        }
        self.files.take_ahead(step.ahead_bytes).map_err(|error| load_error(&self.dir, &error))
    }

    /// Keeps count of what is alive, too.
    fn change(&self, key: &Key, value: Option<&Bytes>) -> Result<bool, LoadError> {
        let old = self.write(|open| match value {
            Some(value) => open.db.insert(key.as_bytes(), &**value),
            None => open.db.remove(key.as_bytes()),
        })?;
        let key_bytes = key.as_bytes().len();
        if let Some(value) = value {
            self.live_bytes.fetch_add(entry_bytes(key_bytes, value.len()), Ordering::Relaxed);
        }
        if let Some(old) = &old {
            let freed = entry_bytes(key_bytes, old.len());
            let less = |live: u64| Some(live.saturating_sub(freed));
            // Always `Ok`: the closure never answers `None`.
            let _ = self.live_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        Ok(value.is_some() || old.is_some())
    }

    fn has(&self, key: &Key, value: &Bytes) -> Result<bool, LoadError> {
        let found = self.call(|open| open.db.get(key.as_bytes()))?;
        Ok(found.is_some_and(|found| *found == **value))
    }

    fn next_from(&self, key: &Key) -> Result<Option<sled::IVec>, LoadError> {
        self.call(|open| open.db.range(key.as_bytes()..).keys().next().transpose())
    }

    fn make_durable(&self) -> Result<(), LoadError> {
        self.flush()?;
        self.files.sync().map_err(|error| {
            self.is_suspect.store(true, Ordering::Release);
            load_error(&self.dir, &error)
        })
    }
}

impl Base for SledBase {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        let value = self.call(|open| open.db.get(key.as_bytes()))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Box<dyn Cursor> {
        let KeyRange { start, end } = range;
        let find = |open: &Open| open.db.range(start.as_bytes()..end.as_bytes());
        self.cursor((start < end).then(|| find(self.open())), direction)
    }

    fn all(&self, direction: Direction) -> Box<dyn Cursor> {
        self.cursor(Some(self.open().db.iter()), direction)
    }

    fn checkpointed(&self) -> u64 {
        self.checkpointed.load(Ordering::Acquire)
    }

    fn fold(
        &self,
        changes: &Changes,
        through: u64,
        room: FoldRoom,
        pause: &mut dyn FnMut(),
    ) -> Result<u64, LoadError> {
        let folded_count = merge::fold(self, changes, room, pause)?;
        self.begin(&TIGHTEST)?;
        self.record(through)?;
        Ok(folded_count)
    }

    fn fold_needs_bytes(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(4).saturating_add(FOLD_FREE_BYTES)
    }

    fn copy_needs_bytes(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(4).saturating_add(COPY_FREE_BYTES)
    }

    fn is_suspect(&self) -> bool {
        self.is_suspect.load(Ordering::Acquire)
    }

    fn disk_bytes(&self) -> u64 {
        self.call(|open| open.db.size_on_disk()).unwrap_or(0)
    }

    fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Relaxed)
    }

    fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }
}

impl Drop for SledBase {
    fn drop(&mut self) {
        let is_flushed = !self.guard.is_broken() && self.flush().is_ok();
        let is_lost = is_flushed && self.files.sync().is_err();
        let open = self.open.take();
        if self.guard.is_broken() || is_lost {
            // It would wait for itself for ever, or try once more what failed: its files are left
            // as they are. Where it knows of an error, it writes nothing.
            std::mem::forget(open);
        } else if let Err(what) = guarded(|| drop(open)) {
            tracing::error!(dir = %self.dir.display(), %what, "a store was not closed cleanly");
        }
        if self.is_retired.load(Ordering::Acquire)
            && let Err(error) = fs::remove_dir_all(&self.dir)
        {
            tracing::warn!(dir = %self.dir.display(), %error, "a replaced store was not removed");
        }
    }
}

/// Opens a store. The directory's own lock is held, so that if sled finds its file locked, then by
/// threads of an engine that was dropped a moment ago: they are waited for.
fn open_unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    let began = Moment::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if began.elapsed() < LOCK_WAIT && error.to_string().contains("acquire lock") =>
            {
                thread::sleep(Duration::from_millis(2));
            }
            opened => return opened,
        }
    }
}

/// What an entry counts for in the bytes that are alive.
fn entry_bytes(key_bytes: usize, value_bytes: usize) -> u64 {
    (key_bytes + value_bytes) as u64
}

fn failed(dir: &Path, error: sled::Error) -> LoadError {
    match error {
        sled::Error::Io(error) => load_error(dir, &error),
        other => LoadError::Corrupt(format!("{}: {other}", file_name(dir)).into()),
    }
}

fn open_error(dir: &Path, error: sled::Error) -> OpenError {
    match error {
        sled::Error::Io(error) => io_error(dir, error),
        other => corrupt(dir, 0, other.to_string()),
    }
}

fn encode_checkpoint(numbers: [u64; 2]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn decode_checkpoint(bytes: &[u8]) -> Option<[u64; 2]> {
    let (first, second) = bytes.split_at_checked(8)?;
    Some([u64::from_be_bytes(first.try_into().ok()?), u64::from_be_bytes(second.try_into().ok()?)])
}
