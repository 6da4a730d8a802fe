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
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use crate::{
    embedded::{
        backing::{
            directories::{BackingFiles, sync_names},
            files::{self, StoreFiles},
            merge::{self, MergeStep, MergeTarget, RECORD, TIGHTEST},
            panic_guard::{GuardedCursor, PanicGuard, guarded, wait_while},
            parts::{self, Entries, Values},
            port::{Backing, BackingDirectory, Changes, Cursor, Direction, MergeSpace},
            recorded::Recorded,
        },
        os_error::{corrupt, file_name, io_error, load_error},
    },
    error::{LoadError, OpenError},
    key::{Key, KeyRange},
};

const META_TREE: &str = "meta";
const PARTS_TREE: &str = "parts";
const CHECKPOINT: &str = "checkpoint";
/// What sled's log may grow by when it is opened.
const OPENING_AHEAD_BYTES: u64 = 1 << 20;
/// How long a flush may take, and one of a store that could not write something: where it knows of
/// that, it says so at once, and otherwise it waits for ever.
const FLUSH_WAIT: Duration = Duration::from_secs(120);
const BROKEN_FLUSH_WAIT: Duration = Duration::from_millis(500);

/// The stores of a data directory.
pub(crate) struct SledDirectory {
    files: BackingFiles,
    cache_bytes: u64,
}

impl SledDirectory {
    pub(crate) fn new(dir: &Path, cache_bytes: u64) -> Self {
        Self { files: BackingFiles::new(dir), cache_bytes }
    }

    fn open_sled(&self, number: u64) -> Result<SledBacking, OpenError> {
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
            let db = wait_while(|| config.open(), is_locked)?;
            let (meta, parts) = (db.open_tree(META_TREE)?, db.open_tree(PARTS_TREE)?);
            let recorded = meta.get(CHECKPOINT)?;
            let values = Values { entries: sled::Tree::clone(&db), parts };
            Ok((OpenTree { db, meta, values }, recorded))
        };
        let opened = guarded(open).map_err(|what| corrupt(&dir, 0, what))?;
        let (open, recorded) = opened.map_err(|error| open_error(&dir, error))?;
        let recorded = match recorded {
            None => Recorded::default(),
            Some(bytes) => Recorded::decode(&bytes)
                .ok_or_else(|| corrupt(&dir, 0, "its checkpoint cannot be read"))?,
        };
        let names = sync_names(&dir).and_then(|()| StoreFiles::open(&dir));
        let files = names.map_err(|error| io_error(&dir, error))?;
        Ok(SledBacking {
            files,
            guard: PanicGuard::new(&dir),
            dir,
            open: Some(open),
            recorded,
            is_retired: AtomicBool::new(false),
            is_suspect: AtomicBool::new(false),
        })
    }

    fn io_error(&self, number: u64) -> impl FnOnce(io::Error) -> OpenError {
        let path = self.files.path(number);
        move |error| io_error(&path, error)
    }
}

impl BackingDirectory for SledDirectory {
    fn numbers(&self) -> Result<Vec<u64>, OpenError> {
        self.files.numbers().map_err(self.io_error(0))
    }

    fn is_unfinished(&self, number: u64) -> bool {
        self.files.is_unfinished(number)
    }

    fn open(&self, number: u64) -> Result<Arc<dyn Backing>, OpenError> {
        let file = self.files.path(number).join("db");
        // sled would make it.
        fs::metadata(&file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => corrupt(&file, 0, "it is missing"),
            _ => io_error(&file, error),
        })?;
        Ok(Arc::new(self.open_sled(number)?))
    }

    fn create(&self, number: u64) -> Result<Arc<dyn Backing>, OpenError> {
        self.files.begin(number).map_err(self.io_error(number))?;
        let base = self.open_sled(number)?;
        base.make_durable().map_err(|error| self.io_error(number)(io::Error::other(error)))?;
        self.files.finish(number).map_err(self.io_error(number))?;
        Ok(Arc::new(base))
    }

    fn opening_needs_bytes(&self) -> u64 {
        let numbers = self.files.numbers().unwrap_or_default().into_iter();
        files::opening_needs_bytes(numbers.map(|number| self.files.path(number)))
    }

    fn copy(
        &self,
        from: &dyn Backing,
        to: u64,
        pause: &mut dyn FnMut(),
    ) -> Result<Arc<dyn Backing>, LoadError> {
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

struct OpenTree {
    db: sled::Db,
    meta: sled::Tree,
    values: Values<sled::Tree>,
}

impl Entries for sled::Tree {
    type Value = sled::IVec;
    type Error = sled::Error;

    fn get(&self, key: &[u8]) -> sled::Result<Option<sled::IVec>> {
        self.get(key)
    }

    fn set(&self, key: &[u8], value: &[u8]) -> sled::Result<Option<sled::IVec>> {
        self.insert(key, value)
    }

    fn remove(&self, key: &[u8]) -> sled::Result<Option<sled::IVec>> {
        self.remove(key)
    }

    fn damaged(what: &str) -> sled::Error {
        sled::Error::Unsupported(what.to_owned())
    }
}

struct SledBacking {
    dir: PathBuf,
    guard: PanicGuard,
    /// `None` only while it is dropped.
    open: Option<OpenTree>,
    recorded: Recorded,
    is_retired: AtomicBool,
    /// Whether something could not be written or made durable: what is on the disk is not known,
    /// and nothing more is trusted to it.
    is_suspect: AtomicBool,
    files: StoreFiles,
}

impl SledBacking {
    fn open(&self) -> &OpenTree {
        self.open.as_ref().expect("it is closed by nobody but drop")
    }

    /// Calls sled.
    fn call<T>(&self, call: impl FnOnce(&OpenTree) -> sled::Result<T>) -> Result<T, LoadError> {
        let open = self.open();
        self.guard.call(|| call(open).map_err(|error| failed(&self.dir, error)))
    }

    /// Calls sled to write; it writes nothing more after an error.
    fn write<T>(&self, call: impl FnOnce(&OpenTree) -> sled::Result<T>) -> Result<T, LoadError> {
        self.suspected(self.call(call))
    }

    fn suspected<T>(&self, done: Result<T, LoadError>) -> Result<T, LoadError> {
        done.inspect_err(|_| self.is_suspect.store(true, Ordering::Release))
    }

    /// Writes sled's buffers out.
    fn flush(&self) -> Result<(), LoadError> {
        let late = || Err(LoadError::Io("the store's buffers could not be written out".into()));
        if self.flush_within(FLUSH_WAIT)? { Ok(()) } else { self.suspected(late()) }
    }

    /// The same; says whether it ended in time.
    fn flush_within(&self, limit: Duration) -> Result<bool, LoadError> {
        let start =
            |open: &OpenTree| merge::wait_for_flush(|| Box::pin(open.db.flush_async()), limit);
        Ok(self.write(|open| start(open).transpose())?.is_some())
    }

    fn record(&self, last_seq: u64) -> Result<(), LoadError> {
        self.write(|open| open.meta.insert(CHECKPOINT, self.recorded.encode(last_seq)))?;
        self.make_durable()?;
        self.recorded.reached(last_seq);
        Ok(())
    }

    /// Removes a key, where its value is large in as many steps as it takes.
    fn remove(&self, key: &[u8]) -> Result<Option<u64>, LoadError> {
        let Some((len, mut rest)) = self.write(|open| open.values.remove(key))? else {
            return Ok(None);
        };
        while let Some(left) = rest {
            self.make_durable()?;
            self.begin(&TIGHTEST)?;
            rest = self.write(|open| open.values.go_on(key, left))?;
        }
        Ok(Some(len))
    }

    fn cursor(&self, entries: Option<sled::Iter>, direction: Direction) -> Box<dyn Cursor> {
        let (dir, also_dir) = (self.dir.clone(), self.dir.clone());
        let told = move |entry: sled::Result<_>| entry.map_err(|error| failed(&dir, error));
        let entries = entries.map(|entries| entries.map(told));
        let values = self.open().values.clone();
        let whole = move |key: &[u8], found: &[u8]| {
            values.whole(key, found).map_err(|error| failed(&also_dir, error))
        };
        Box::new(GuardedCursor::new(self.guard.clone(), entries, direction, whole))
    }
}

impl MergeTarget for SledBacking {
    type Found = sled::IVec;

    fn begin(&self, step: &MergeStep) -> Result<(), LoadError> {
        if self.is_suspect() {
            return Err(LoadError::Io("an earlier write to the store failed".into()));
        }
        self.files.take_ahead(step.needs_bytes()).map_err(|error| load_error(&self.dir, &error))
    }

    /// Keeps count of what is alive, too.
    fn change(&self, key: &Key, value: Option<&Bytes>) -> Result<u64, LoadError> {
        let bytes = key.as_bytes();
        let old = match value {
            Some(value) => {
                self.write(|open| open.values.set(bytes, value, || open.db.generate_id()))?
            }
            None => self.remove(bytes)?,
        };
        let now = value.map(|value| value.len() as u64);
        self.recorded.count(bytes.len(), now, old);
        Ok(now.max(old).map_or(0, parts::entry_count))
    }

    fn has(&self, key: &Key, value: &Bytes) -> Result<bool, LoadError> {
        Ok(self.get(key)?.is_some_and(|found| found == *value))
    }

    fn next_from(&self, key: &Key) -> Result<Option<sled::IVec>, LoadError> {
        self.call(|open| open.db.range(key.as_bytes()..).keys().next().transpose())
    }

    fn make_durable(&self) -> Result<(), LoadError> {
        self.flush()?;
        self.suspected(self.files.sync().map_err(|error| load_error(&self.dir, &error)))
    }
}

impl Backing for SledBacking {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        self.call(|open| open.values.get(key.as_bytes()))
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Box<dyn Cursor> {
        let (start, end) = (range.start.as_bytes(), range.end.as_bytes());
        self.cursor((start < end).then(|| self.open().db.range(start..end)), direction)
    }

    fn all(&self, direction: Direction) -> Box<dyn Cursor> {
        self.cursor(Some(self.open().db.iter()), direction)
    }

    fn checkpointed(&self) -> u64 {
        self.recorded.checkpointed()
    }

    fn merge(
        &self,
        changes: &Changes,
        last_seq: u64,
        room: MergeSpace,
        pause: &mut dyn FnMut(),
    ) -> Result<u64, LoadError> {
        let merged_count = merge::merge(self, changes, room, pause)?;
        self.begin(&RECORD)?;
        self.record(last_seq)?;
        Ok(merged_count)
    }

    fn merge_needs_bytes(&self, bytes: u64) -> u64 {
        merge::needs_bytes(bytes)
    }

    fn copy_needs_bytes(&self, bytes: u64) -> u64 {
        merge::copy_needs_bytes(bytes)
    }

    fn is_suspect(&self) -> bool {
        self.is_suspect.load(Ordering::Acquire)
    }

    fn disk_bytes(&self) -> u64 {
        self.call(|open| open.db.size_on_disk()).unwrap_or(0)
    }

    fn live_bytes(&self) -> u64 {
        self.recorded.live_bytes()
    }

    fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }
}

impl Drop for SledBacking {
    fn drop(&mut self) {
        let limit = if self.is_suspect() { BROKEN_FLUSH_WAIT } else { FLUSH_WAIT };
        let flushed = if self.guard.is_broken() { Ok(false) } else { self.flush_within(limit) };
        let is_abandoned = match flushed {
            Ok(is_flushed) => !is_flushed || self.files.sync().is_err(),
            Err(_) => self.guard.is_broken(),
        };
        let open = self.open.take();
        if is_abandoned {
            // It would wait for itself for ever, or try once more what failed: its files are left
            // as they are. Where it knows of an error, it writes nothing.
            std::mem::forget(open);
        } else if let Err(what) = guarded(|| drop(open)) {
            tracing::error!(dir = %self.dir.display(), %what, "a store was not closed cleanly");
        }
        if self.is_retired.load(Ordering::Acquire) {
            // What stays open would keep the space.
            self.files.empty();
            if let Err(error) = fs::remove_dir_all(&self.dir) {
                let dir = self.dir.display();
                tracing::warn!(%dir, %error, "a replaced store was not removed");
            }
        }
    }
}

/// Whether the file is locked: the directory's own lock is held, so that it is by threads of an
/// engine that was dropped a moment ago.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("acquire lock"))
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
