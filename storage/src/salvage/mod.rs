//! Saving what can be read of a data directory, whether or not it can be opened.
//!
//! Nothing is written to the directory, but for its lock: a copy of its stores is read. The store
//! that knows most is taken, read from both ends if it is damaged in the middle, and then whatever
//! the journal has beyond it. What is missing is told.

mod export;
mod journal;
mod mend;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    batch::Batch,
    check::{CheckReport, Problem, Scratch, check, copy_dir},
    embedded::{
        backing::{
            directories::BackingFiles,
            port::{Backing, BackingDirectory, Cursor, Direction},
            sled_backing::SledDirectory,
        },
        directory::{
            lock,
            manifest::{MANIFEST, Manifest, base_name},
        },
        disk::FsDisk,
        engine::EmbeddedEngine,
        journal::tail::TailBlock,
        options::EmbeddedOptions,
        os_error::{io_error, no_data_directory, refused},
    },
    engine::seam::{Durability, Engine, Fence, ShardNo},
    error::{LoadError, OpenError},
    key::Key,
};

pub use export::SavedMessage;

/// Records by their keys.
type Records = BTreeMap<Key, Bytes>;

/// How far a directory's incarnation goes beyond the highest that was found when the manifest,
/// which knows it, cannot be read.
const INCARNATION_LEAP: u64 = 1 << 12;
/// Records written at a time, and their bytes.
const BATCH_COUNT: usize = 1_000;
const BATCH_BYTES: usize = 4 << 20;

/// The readable records of a data directory, held in memory.
#[derive(Debug, Default)]
pub struct Salvage {
    records: Records,
    losses: Losses,
    /// The highest incarnation that was found.
    incarnation: u64,
}

/// What could not be read.
#[derive(Debug, Default)]
struct Losses(Vec<Problem>);

impl Losses {
    fn add(&mut self, position: impl fmt::Display, what: impl fmt::Display) {
        self.0.push(Problem { place: position.to_string(), what: what.to_string() });
    }
}

impl Salvage {
    /// Reads everything readable in a data directory that no process has open.
    ///
    /// # Errors
    /// [`OpenError`] if it is in use, is not a data directory, or if the system's directory for
    /// temporary files has no space for a copy of its store.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        let dir = dir.as_ref();
        let numbers = BackingFiles::new(dir).numbers().map_err(|error| io_error(dir, error))?;
        if numbers.is_empty() && !dir.join(MANIFEST).exists() && !dir.join("journal").exists() {
            return Err(no_data_directory(dir));
        }
        let _lock = lock::hold(dir)?;
        let disk = FsDisk::new(dir);
        let mut salvage = Self::default();
        let manifest = Manifest::read(&disk).unwrap_or_else(|error| {
            salvage.losses.add(MANIFEST, error);
            None
        });
        let scratch = Scratch::new().map_err(|error| io_error(&std::env::temp_dir(), error))?;
        let mut stores =
            Stores { dir, scratch: &scratch.0, losses: &mut salvage.losses, copies: 0 };
        let base = stores.best(&numbers, manifest)?;
        let checkpointed = base.as_ref().map_or(0, |(_, base)| base.checkpointed());
        if let Some((number, base)) = base {
            salvage.records = stores.read(number, &*base)?;
        }
        let told = manifest.map_or(0, |manifest| manifest.checkpoint);
        if checkpointed < told {
            let what = format!("it ends with batch {checkpointed}, and had {told}");
            salvage.losses.add("the store", what);
        }
        let tail = TailBlock::read(&disk).unwrap_or_else(|error| {
            salvage.losses.add("journal/TAIL", error);
            None
        });
        let (records, losses) = (&mut salvage.records, &mut salvage.losses);
        let latest = journal::replay(&disk, (checkpointed, tail), records, losses)?;
        salvage.incarnation = match manifest {
            Some(manifest) => latest.max(manifest.incarnation),
            None => latest + INCARNATION_LEAP,
        };
        Ok(salvage)
    }

    /// Whether everything could be read.
    pub fn is_complete(&self) -> bool {
        self.losses.0.is_empty()
    }

    /// The records that could not be read, and the consequences.
    pub fn losses(&self) -> &[Problem] {
        &self.losses.0
    }

    /// Records that were read.
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Makes the records consistent: counts messages again, rebuilds indexes, and leaves unreadable
    /// records out.
    pub fn mend(&mut self) {
        mend::mend(&mut self.records, &mut self.losses);
    }

    /// Writes the records into a directory that does not exist yet, and verifies it.
    ///
    /// # Errors
    /// [`OpenError`] if there is something already, or the operating system refuses.
    pub fn write(&self, to: impl AsRef<Path>) -> Result<CheckReport, OpenError> {
        let to = to.as_ref();
        if fs::symlink_metadata(to).is_ok() {
            return Err(refused(to, "it is there already: move it away first"));
        }
        fs::create_dir_all(to).map_err(|error| io_error(to, error))?;
        let begun = Manifest { incarnation: self.incarnation, ..Manifest::default() };
        begun.write(&FsDisk::new(to))?;
        let engine = EmbeddedEngine::open(to, EmbeddedOptions::default())?;
        let failed = |error: &dyn fmt::Display| io_error(to, io::Error::other(error.to_string()));
        let shard = ShardNo(0);
        let epoch = engine.claim(shard).map_err(|error| failed(&error))?;
        let fence = Fence { shard, epoch };
        let (mut batch, mut bytes) = (Batch::new(), 0);
        for (key, value) in &self.records {
            bytes += value.len();
            batch.put(key.clone(), value.clone());
            if batch.writes().len() >= BATCH_COUNT || bytes >= BATCH_BYTES {
                let full = std::mem::take(&mut batch);
                bytes = 0;
                engine.commit(fence, full, Durability::Relaxed).map_err(|error| failed(&error))?;
                engine.maintain().map_err(|error| failed(&error))?;
            }
        }
        engine.commit(fence, batch, Durability::Durable).map_err(|error| failed(&error))?;
        engine.close().map_err(|error| failed(&error))?;
        drop(engine);
        check(to)
    }
}

/// A store and its number.
type ChosenStore = (u64, Arc<dyn Backing>);

/// The stores of a directory, read from copies.
struct Stores<'a> {
    dir: &'a Path,
    scratch: &'a Path,
    losses: &'a mut Losses,
    copies: u32,
}

impl Stores<'_> {
    /// The store that knows most, of those that can be opened.
    fn best(
        &mut self,
        numbers: &[u64],
        manifest: Option<Manifest>,
    ) -> Result<Option<ChosenStore>, OpenError> {
        let mut best: Option<ChosenStore> = None;
        let files = BackingFiles::new(self.dir);
        for number in numbers.iter().copied().filter(|number| !files.is_unfinished(*number)) {
            let base = match self.open(number)? {
                Ok(base) => base,
                Err(error) => {
                    if manifest.is_none_or(|manifest| manifest.base <= number) {
                        self.losses.add(base_name(number), error);
                    }
                    continue;
                }
            };
            let known = best.as_ref().map(|(_, best)| best.checkpointed());
            if known.is_none_or(|known| known <= base.checkpointed()) {
                best = Some((number, base));
            }
        }
        let named = manifest.map_or(0, |manifest| manifest.base);
        if named > 0 && !numbers.contains(&named) {
            self.losses.add(base_name(named), "it is missing, although MANIFEST names it");
        } else if best.is_none() && named > 0 {
            self.losses.add("the store", "nothing of it can be read");
        }
        Ok(best)
    }

    /// Opens a copy of a store.
    fn open(&mut self, number: u64) -> Result<Result<Arc<dyn Backing>, OpenError>, OpenError> {
        self.copies += 1;
        let (name, copy) = (base_name(number), self.scratch.join(self.copies.to_string()));
        let from: PathBuf = self.dir.join(&name);
        if from.is_file() {
            return Ok(Err(refused(&from, "it is a file, and was a directory")));
        }
        let copied = fs::create_dir(&copy).and_then(|()| copy_dir(&from, &copy.join(&name)));
        copied.map_err(|error| io_error(&from, error))?;
        let cache_bytes = EmbeddedOptions::default().cache_bytes;
        let opened = SledDirectory::new(&copy, cache_bytes).open(number);
        Ok(opened.map_err(|error| error.moved(&copy, self.dir)))
    }

    /// Reads a store from its beginning, and where that fails, from its end.
    fn read(&mut self, number: u64, base: &dyn Backing) -> Result<Records, OpenError> {
        let mut records = Records::new();
        let read = drain(&mut *base.all(Direction::Forward), |key, value| {
            records.insert(key, value);
            true
        });
        let Err(error) = read else { return Ok(records) };
        self.losses.add(base_name(number), format!("it cannot be read on: {error}"));
        if let Ok(again) = self.open(number)? {
            let end = records.last_key_value().map(|(key, _)| key.clone());
            // It fails again, or meets what was read before.
            let _ = drain(&mut *again.all(Direction::Back), |key, value| {
                let is_new = end.as_ref().is_none_or(|end| key > *end);
                if is_new {
                    records.insert(key, value);
                }
                is_new
            });
        }
        Ok(records)
    }
}

/// Hands out entries until there are no more, or enough.
fn drain(
    entries: &mut dyn Cursor,
    mut take: impl FnMut(Key, Bytes) -> bool,
) -> Result<(), LoadError> {
    while entries.key()?.is_some() {
        if let Some((key, value)) = entries.entry()?
            && !take(key, value)
        {
            break;
        }
        entries.pass();
    }
    Ok(())
}
