//! The store behind the journal, simulated: what was folded in is volatile until its sync.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use fastrand::Rng;

use crate::{
    embedded::{
        backing::port::{Backing, BackingDirectory, Changes, Cursor, Direction, MergeSpace},
        directory::manifest::base_name,
        disk::Disk,
        os_error::{io_error, load_error},
    },
    error::{LoadError, OpenError},
    key::{Key, KeyRange},
    testing::fault::disk::{DiskState, Failure, FaultDisk, error_of},
};

/// The stores of a disk by their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultStores(BTreeMap<u64, Simulated>);

#[derive(Clone, Debug, Default)]
struct Simulated {
    current: Content,
    durable: Content,
    /// Bytes on disk: like those of a log, they only grow.
    disk_bytes: u64,
    /// Whether it is made, or copied, at the moment.
    is_unfinished: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    values: BTreeMap<Key, Bytes>,
    checkpointed: u64,
}

impl FaultStores {
    /// A power cut: each key not synced has its old value or its new one.
    pub(crate) fn lose_power(&mut self, rng: &mut Rng) {
        for store in self.0.values_mut() {
            let Content { values, checkpointed } = std::mem::take(&mut store.current);
            if values != store.durable.values {
                let deleted = store.durable.values.keys().filter(|key| !values.contains_key(*key));
                let deleted: Vec<Key> = deleted.filter(|_| rng.bool()).cloned().collect();
                deleted.iter().for_each(|key| drop(store.durable.values.remove(key)));
                let kept = values.into_iter().filter(|_| rng.bool());
                store.durable.values.extend(kept);
            } else if rng.bool() {
                store.durable.checkpointed = checkpointed;
            }
            store.current = store.durable.clone();
        }
    }
}

impl Simulated {
    fn change(&mut self, key: &Key, value: Option<&Bytes>) -> bool {
        self.disk_bytes += (key.as_bytes().len() + value.map_or(0, Bytes::len)) as u64;
        match value {
            Some(value) => {
                self.current.values.insert(key.clone(), value.clone());
                true
            }
            None => self.current.values.remove(key).is_some(),
        }
    }
}

impl BackingDirectory for FaultDisk {
    fn numbers(&self) -> Result<Vec<u64>, OpenError> {
        let state = self.state.lock();
        state.check_power().map_err(|error| io_error(&self.path(""), error))?;
        Ok(state.stores.0.keys().copied().collect())
    }

    fn is_unfinished(&self, number: u64) -> bool {
        self.state.lock().stores.0.get(&number).is_some_and(|store| store.is_unfinished)
    }

    fn open(&self, number: u64) -> Result<Arc<dyn Backing>, OpenError> {
        let mut state = self.state.lock();
        let taken = state.check_power().and_then(|()| state.take_descriptor());
        taken.map_err(|error| io_error(&self.path(""), error))?;
        if !state.stores.0.contains_key(&number) {
            return Err(io_error(&self.path(&base_name(number)), ErrorKind::NotFound.into()));
        }
        drop(state);
        Ok(Arc::new(FaultBacking::new(self, number)))
    }

    fn create(&self, number: u64) -> Result<Arc<dyn Backing>, OpenError> {
        let mut state = self.state.lock();
        for is_unfinished in [true, false] {
            if let Some(failure) = state.operate_on_new() {
                return Err(io_error(&self.path(&base_name(number)), error_of(failure)));
            }
            state.stores.0.insert(number, Simulated { is_unfinished, ..Simulated::default() });
        }
        drop(state);
        Ok(Arc::new(FaultBacking::new(self, number)))
    }

    fn opening_needs_bytes(&self) -> u64 {
        0
    }

    fn copy(
        &self,
        from: &dyn Backing,
        to: u64,
        pause: &mut dyn FnMut(),
    ) -> Result<Arc<dyn Backing>, LoadError> {
        let mut copy = Simulated::default();
        let mut entries = from.all(Direction::Forward);
        while entries.key()?.is_some() {
            if let Some((key, value)) = entries.entry()? {
                copy.change(&key, Some(&value));
            }
            entries.pass();
        }
        pause();
        copy.current.checkpointed = from.checkpointed();
        copy.durable = copy.current.clone();
        let mut state = self.state.lock();
        if let Some(failure) = state.operate_on_new() {
            // What was written of the copy stays behind.
            copy.durable = Content::default();
            copy.is_unfinished = true;
            state.stores.0.insert(to, copy);
            return Err(load_error(&self.path(""), &error_of(failure)));
        }
        state.stores.0.insert(to, copy);
        drop(state);
        Ok(Arc::new(FaultBacking::new(self, to)))
    }

    fn remove(&self, number: u64) -> Result<(), OpenError> {
        let mut state = self.state.lock();
        state.check_power().map_err(|error| io_error(&self.path(""), error))?;
        state.stores.0.remove(&number);
        Ok(())
    }
}

/// A handle to a store; the last one of a retired store takes it away.
#[derive(Clone)]
struct FaultBacking(Arc<Handle>);

struct Handle {
    disk: FaultDisk,
    number: u64,
    is_retired: AtomicBool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.is_retired.load(Ordering::Acquire) {
            self.disk.state.lock().stores.0.remove(&self.number);
        }
    }
}

impl FaultBacking {
    fn new(disk: &FaultDisk, number: u64) -> Self {
        let is_retired = AtomicBool::new(false);
        Self(Arc::new(Handle { disk: disk.clone(), number, is_retired }))
    }

    fn look<T>(&self, look: impl FnOnce(&Simulated) -> T) -> T {
        let state = self.0.disk.state.lock();
        look(state.stores.0.get(&self.0.number).unwrap_or(&Simulated::default()))
    }

    /// One operation of the disk on the store.
    fn operate<T>(
        &self,
        act: impl FnOnce(&mut Simulated, Option<Failure>, &mut Rng) -> T,
    ) -> Result<T, LoadError> {
        let mut state = self.0.disk.state.lock();
        let failure = state.operate();
        let DiskState { stores, rng, .. } = &mut *state;
        let done = act(stores.0.entry(self.0.number).or_default(), failure, rng);
        let failed = |failure| Err(load_error(&self.0.disk.path("base"), &error_of(failure)));
        failure.map_or(Ok(done), failed)
    }

    fn sync(&self) -> Result<(), LoadError> {
        self.operate(|store, failure, _| {
            if failure.is_none() {
                store.durable.clone_from(&store.current);
            }
        })
    }
}

impl Backing for FaultBacking {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, LoadError> {
        Ok(self.look(|store| store.current.values.get(key).cloned()))
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Box<dyn Cursor> {
        let start = Bound::Included(range.start.clone());
        let end = Bound::Excluded(range.end.clone().max(range.start.clone()));
        Box::new(FaultCursor {
            base: self.clone(),
            start,
            end,
            direction,
            at: None,
            is_over: false,
        })
    }

    fn all(&self, direction: Direction) -> Box<dyn Cursor> {
        let (start, end) = (Bound::Unbounded, Bound::Unbounded);
        Box::new(FaultCursor {
            base: self.clone(),
            start,
            end,
            direction,
            at: None,
            is_over: false,
        })
    }

    fn checkpointed(&self) -> u64 {
        self.look(|store| store.durable.checkpointed)
    }

    fn merge(
        &self,
        changes: &Changes,
        last_seq: u64,
        _room: MergeSpace,
        pause: &mut dyn FnMut(),
    ) -> Result<u64, LoadError> {
        let merged_count = self.operate(|store, failure, rng| {
            let end = if failure.is_some() { rng.usize(0..=changes.len()) } else { changes.len() };
            let changed = changes.iter().take(end);
            changed.filter(|(key, change)| store.change(key, change.value.as_ref())).count() as u64
        })?;
        pause();
        self.sync()?;
        self.operate(|store, failure, _| {
            if failure.is_none() {
                store.current.checkpointed = last_seq;
            }
        })?;
        self.sync()?;
        Ok(merged_count)
    }

    fn merge_needs_bytes(&self, _bytes: u64) -> u64 {
        0
    }

    fn copy_needs_bytes(&self, _bytes: u64) -> u64 {
        0
    }

    fn is_suspect(&self) -> bool {
        false
    }

    fn disk_bytes(&self) -> u64 {
        self.look(|store| store.disk_bytes)
    }

    fn live_bytes(&self) -> u64 {
        let entry_bytes = |(key, value): (&Key, &Bytes)| key.as_bytes().len() + value.len();
        self.look(|store| store.current.values.iter().map(entry_bytes).sum::<usize>() as u64)
    }

    fn retire(&self) {
        self.0.is_retired.store(true, Ordering::Release);
    }
}

struct FaultCursor {
    base: FaultBacking,
    /// What is still to come.
    start: Bound<Key>,
    end: Bound<Key>,
    direction: Direction,
    at: Option<(Key, Bytes)>,
    /// The end was met: what is folded in from now on is not looked for.
    is_over: bool,
}

impl Cursor for FaultCursor {
    fn key(&mut self) -> Result<Option<&[u8]>, LoadError> {
        if self.at.is_none() && !self.is_over {
            self.at = self.base.look(|store| {
                let mut rest = store.current.values.range((self.start.clone(), self.end.clone()));
                let next = match self.direction {
                    Direction::Forward => rest.next(),
                    Direction::Back => rest.next_back(),
                };
                next.map(|(key, value)| (key.clone(), value.clone()))
            });
            match (&self.at, self.direction) {
                (Some((key, _)), Direction::Back) => self.end = Bound::Excluded(key.clone()),
                (Some((key, _)), Direction::Forward) => self.start = Bound::Excluded(key.clone()),
                (None, _) => self.is_over = true,
            }
        }
        Ok(self.at.as_ref().map(|(key, _)| key.as_bytes()))
    }

    fn entry(&self) -> Result<Option<(Key, Bytes)>, LoadError> {
        Ok(self.at.clone())
    }

    fn pass(&mut self) {
        self.at = None;
    }
}
