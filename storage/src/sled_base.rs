//! sled, named in this file alone: the ordered store behind the journal.
//!
//! sled's own `flush` never calls fsync, so the files are fsynced here. A checkpoint is two steps:
//! the changes, made durable, and then the number of the checkpoint, made durable. A crash between
//! them leaves changes that a replay of the journal makes once more.
//!
//! sled panics over files that are damaged. Every call is guarded: a panic is answered as damage,
//! and the store is not touched again, not even to close it.

use std::{
    collections::BTreeSet,
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
use parking_lot::Mutex;

use crate::{
    Key, KeyRange, LoadError, OpenError,
    base_files::{BaseFiles, sync_names},
    embedded::{
        base::{Base, Bases, Change, Changes, Cursor, Direction},
        failure::{corrupt, io_error, load_error},
    },
    guard::{Guard, GuardedCursor, guarded},
    pace::Moment,
};

const META_TREE: &str = "meta";
const CHECKPOINT: &str = "checkpoint";
/// Entries between two calls of `pause`, and between two fsyncs: one of the journal, for which
/// somebody waits, would else have to wait for all that a checkpoint writes.
const STEP_COUNT: u64 = 2_048;
/// Keys folded in until threads that wait for a processor may go first: whoever waits for a commit
/// would else wait for the end of a time slice, some milliseconds.
const YIELD_COUNT: u64 = 8;
/// How long threads of a store that was closed are waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// What sled may write beside the changes themselves: it takes its log in segments, and rewrites
/// pages when it splits or merges them.
const FOLD_FREE_BYTES: u64 = 16 << 20;

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
        sync_names(&dir).map_err(|error| io_error(&dir, error))?;
        Ok(SledBase {
            guard: Guard::new(&dir),
            dir,
            open: Some(open),
            checkpointed: AtomicU64::new(numbers[0]),
            live_bytes: AtomicU64::new(numbers[1]),
            is_retired: AtomicBool::new(false),
            synced_blobs: Mutex::default(),
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

    fn copy(
        &self,
        from: &dyn Base,
        to: u64,
        pause: &mut dyn FnMut(),
    ) -> Result<Arc<dyn Base>, LoadError> {
        self.files.begin(to).map_err(self.io_error(to))?;
        let copy = self.open_sled(to)?;
        let (mut live_bytes, mut count) = (0, 0_u64);
        let mut entries = from.all(Direction::Forward);
        while entries.key()?.is_some() {
            if let Some((key, value)) = entries.entry() {
                live_bytes += entry_bytes(key.as_bytes().len(), value.len());
                count += 1;
                if count % STEP_COUNT == 0 {
                    pause();
                }
                copy.call(|open| open.db.insert(key.as_bytes(), &*value))?;
            }
            entries.pass();
        }
        copy.live_bytes.store(live_bytes, Ordering::Relaxed);
        copy.make_durable()?;
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
    synced_blobs: Mutex<BTreeSet<std::ffi::OsString>>,
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

    /// Writes sled's buffers out and fsyncs its files: the log, large values written since, and the
    /// names of those.
    fn make_durable(&self) -> Result<(), LoadError> {
        self.call(|open| open.db.flush())?;
        self.sync_files().map_err(|error| load_error(&self.dir, &error))
    }

    fn sync_files(&self) -> io::Result<()> {
        let blobs = self.dir.join("blobs");
        let mut synced = self.synced_blobs.lock();
        let mut present = BTreeSet::new();
        for entry in fs::read_dir(&blobs)? {
            let name = entry?.file_name();
            if !synced.contains(&name) {
                match fs::File::open(blobs.join(&name)) {
                    Ok(file) => file.sync_data()?,
                    // sled removes blobs in the background.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            present.insert(name);
        }
        if *synced != present {
            fs::File::open(&blobs)?.sync_all()?;
            *synced = present;
        }
        fs::File::open(self.dir.join("db"))?.sync_data()
    }

    fn record(&self, through: u64) -> Result<(), LoadError> {
        let numbers = [through, self.live_bytes()];
        self.call(|open| open.meta.insert(CHECKPOINT, encode_checkpoint(numbers)))?;
        self.make_durable()?;
        self.checkpointed.store(through, Ordering::Release);
        Ok(())
    }

    /// Sets or removes one key and keeps count of what is alive. Says whether it changed.
    fn change(&self, key: &Key, value: Option<&Bytes>) -> Result<bool, LoadError> {
        let old = self.call(|open| match value {
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

    fn cursor(&self, entries: Option<sled::Iter>, direction: Direction) -> Box<dyn Cursor> {
        let dir = self.dir.clone();
        let told = move |entry: sled::Result<_>| entry.map_err(|error| failed(&dir, error));
        let entries = entries.map(|entries| entries.map(told));
        Box::new(GuardedCursor::new(self.guard.clone(), entries, direction))
    }

    /// The first key in the store at or after this one.
    fn next_from(&self, key: &Key) -> Result<Option<sled::IVec>, LoadError> {
        self.call(|open| open.db.range(key.as_bytes()..).keys().next().transpose())
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
        pause: &mut dyn FnMut(),
    ) -> Result<u64, LoadError> {
        let mut folded_count = 0;
        // The key the store has next after a deleted one that it did not have: up to there, further
        // deleted keys need no look-up.
        let mut next: Option<Option<sled::IVec>> = None;
        for (step, (key, Change { value, .. })) in (1_u64..).zip(changes) {
            let is_before =
                |at: &Option<sled::IVec>| at.as_ref().is_none_or(|at| *key.as_bytes() < **at);
            if value.is_none() && next.as_ref().is_some_and(is_before) {
                continue;
            }
            let is_changed = self.change(key, value.as_ref())?;
            next = if is_changed { None } else { Some(self.next_from(key)?) };
            folded_count += u64::from(is_changed);
            if step % YIELD_COUNT == 0 {
                thread::yield_now();
            }
            if step % STEP_COUNT == 0 {
                self.make_durable()?;
                pause();
            }
        }
        if folded_count > 0 {
            self.make_durable()?;
        }
        self.record(through)?;
        Ok(folded_count)
    }

    fn fold_needs_bytes(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(2).saturating_add(FOLD_FREE_BYTES)
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
        let open = self.open.take();
        if self.guard.is_broken() {
            // It would wait for itself for ever: its files are left as they are.
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
        other => LoadError::Corrupt(format!("{}: {other}", dir.display()).into()),
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
