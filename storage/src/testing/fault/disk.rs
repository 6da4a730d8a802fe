//! A disk in memory that fails where it is told to.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fastrand::Rng;
use parking_lot::Mutex;

use crate::{
    embedded::{
        backing::port::BackingDirectory,
        disk::{Disk, DiskFile},
    },
    testing::fault::{base::FaultStores, files::Files},
};

/// What ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// `kill -9`: everything written is still there.
    Kill,
    /// What was not fsynced is gone, but for a part of it that the seed decides.
    PowerCut,
}

/// How an operation of the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No space is left: ENOSPC. Nothing was done.
    NoSpace,
    /// An I/O error: EIO. A write was done in part, an fsync in vain.
    Io,
    /// An I/O error of an fsync, done in vain: the first one from there on, and nothing else fails.
    Fsync,
    /// No descriptor is free: EMFILE. Only what opens or makes a file fails, the first one from
    /// there on.
    NoDescriptor,
    /// The process ends here: this operation is done in part, and none after it.
    Cut,
}

/// A disk in memory. Every change is an operation with a number, and any of them can be made to
/// fail. A clone is another handle to the same disk.
#[derive(Clone)]
pub struct FaultDisk {
    pub(crate) state: Arc<Mutex<DiskState>>,
}

#[derive(Clone)]
pub(crate) struct DiskState {
    pub(crate) files: Files,
    pub(crate) stores: FaultStores,
    dirs: BTreeSet<String>,
    pub(crate) rng: Rng,
    capacity_bytes: u64,
    operation_count: u64,
    planned: Option<Planned>,
    /// How every operation fails, if they all do.
    lasting: Option<Failure>,
    has_no_descriptors: bool,
    is_cut: bool,
}

/// A failure to come.
#[derive(Clone, Copy)]
struct Planned {
    operation: u64,
    failure: Failure,
    /// Whether everything fails from there on.
    is_lasting: bool,
}

impl FaultDisk {
    /// An empty disk of 1 GiB; the seed decides whatever is left to chance.
    pub fn new(seed: u64) -> Self {
        let state = DiskState {
            files: Files::default(),
            stores: FaultStores::default(),
            dirs: BTreeSet::new(),
            rng: Rng::with_seed(seed),
            capacity_bytes: 1 << 30,
            operation_count: 0,
            planned: None,
            lasting: None,
            has_no_descriptors: false,
            is_cut: false,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Changes of the disk so far: creations, writes, fsyncs, renames, removals.
    pub fn operation_count(&self) -> u64 {
        self.state.lock().operation_count
    }

    /// Makes the operation after the next `after` ones fail. Replaces what was planned before.
    pub fn fail_after(&self, after: u64, failure: Failure) {
        self.plan(after, failure, false);
    }

    /// Makes the operation after the next `after` ones fail, and all that follow it until
    /// [`FaultDisk::fail_always`] says otherwise. Replaces what was planned before.
    pub fn fail_from(&self, after: u64, failure: Failure) {
        self.plan(after, failure, true);
    }

    fn plan(&self, after: u64, failure: Failure, is_lasting: bool) {
        let mut state = self.state.lock();
        let operation = state.operation_count + after;
        state.planned = Some(Planned { operation, failure, is_lasting });
    }

    /// Forgets a planned failure that has not happened yet.
    pub fn fail_never(&self) {
        self.state.lock().planned = None;
    }

    /// Makes every operation fail from now on, or none any more.
    pub fn fail_always(&self, failure: Option<Failure>) {
        self.state.lock().lasting = failure;
    }

    /// Refuses to open or to create any file, as without a free descriptor (EMFILE), or no more.
    pub fn refuse_descriptors(&self, is_refusing: bool) {
        self.state.lock().has_no_descriptors = is_refusing;
    }

    /// Whether the planned failure has begun, or none was planned.
    pub fn has_failed(&self) -> bool {
        self.state.lock().planned.is_none()
    }

    /// Sets the size of the disk; files in use count against it.
    pub fn resize(&self, capacity_bytes: u64) {
        self.state.lock().capacity_bytes = capacity_bytes;
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().files.bytes()
    }

    /// The disk as it is found after a crash. The engine on this one is to be dropped.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> Self {
        let mut state = self.state.lock();
        state.is_cut = true;
        let mut found = state.clone();
        (found.is_cut, found.planned, found.lasting) = (false, None, None);
        found.has_no_descriptors = false;
        if crash == Crash::PowerCut {
            let mut rng = found.rng.fork();
            found.files.lose_power(&mut rng);
            found.stores.lose_power(&mut rng);
        }
        Self { state: Arc::new(Mutex::new(found)) }
    }

    /// Verifies what is on the disk, as [`check`](crate::check::check) does a data directory.
    ///
    /// # Errors
    /// As [`check`](crate::check::check).
    pub fn check(&self) -> Result<crate::check::CheckReport, crate::error::OpenError> {
        crate::check::check_disk(self, self, |number| BackingDirectory::open(self, number))
    }

    /// The names of all files, sorted.
    pub fn file_names(&self) -> Vec<String> {
        self.state.lock().files.names().cloned().collect()
    }

    /// What a file holds.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let id = state.files.id(name)?;
        state.files.by_id.get(&id).map(|file| file.content.clone())
    }

    /// Overwrites bytes of a file, durably, as damage would.
    pub fn damage(&self, name: &str, offset: usize, bytes: &[u8]) {
        let mut state = self.state.lock();
        let id = state.files.id(name);
        if let Some(file) = id.and_then(|id| state.files.by_id.get_mut(&id)) {
            file.write(bytes, offset);
            file.sync();
        }
    }
}

impl DiskState {
    /// Counts an operation and says how it fails, if it does.
    pub(crate) fn operate(&mut self) -> Option<Failure> {
        self.count(|failure| !matches!(failure, Failure::NoDescriptor | Failure::Fsync))
    }

    /// The same for an fsync.
    pub(crate) fn operate_fsync(&mut self) -> Option<Failure> {
        self.count(|failure| failure != Failure::NoDescriptor)
    }

    /// The same for an operation that needs a descriptor.
    pub(crate) fn operate_on_new(&mut self) -> Option<Failure> {
        self.count(|failure| failure != Failure::Fsync)
    }

    fn count(&mut self, concerns: impl Fn(Failure) -> bool) -> Option<Failure> {
        let failure = if self.is_cut { Some(Failure::Cut) } else { self.failure(concerns) };
        self.operation_count += 1;
        self.is_cut |= failure == Some(Failure::Cut);
        failure
    }

    /// How what comes next fails, of the ways that concern it.
    fn failure(&mut self, concerns: impl Fn(Failure) -> bool) -> Option<Failure> {
        let (next, lasting) = (self.operation_count, self.lasting);
        let due = self.planned.take_if(|plan| plan.operation <= next && concerns(plan.failure));
        if let Some(Planned { failure, is_lasting, .. }) = due {
            self.lasting = is_lasting.then_some(failure).or(lasting);
            return Some(failure);
        }
        let refused = self.has_no_descriptors.then_some(Failure::NoDescriptor);
        [refused, lasting].into_iter().flatten().find(|failure| concerns(*failure))
    }

    pub(crate) fn check_power(&self) -> io::Result<()> {
        if self.is_cut { Err(error_of(Failure::Cut)) } else { Ok(()) }
    }

    /// Takes a descriptor for what is there, which is no operation.
    pub(crate) fn take_descriptor(&mut self) -> io::Result<()> {
        let failure = self.failure(|failure| failure == Failure::NoDescriptor);
        failure.map_or(Ok(()), |failure| Err(error_of(failure)))
    }

    /// Does an operation that is done wholly or not at all.
    fn change<T>(&mut self, change: impl FnOnce(&mut Files) -> Option<T>) -> io::Result<T> {
        match self.operate() {
            Some(failure) => Err(error_of(failure)),
            None => change(&mut self.files).ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }
}

pub(crate) fn error_of(failure: Failure) -> io::Error {
    match failure {
        Failure::NoSpace => io::ErrorKind::StorageFull.into(),
        Failure::Io | Failure::Fsync => rustix::io::Errno::IO.into(),
        Failure::NoDescriptor => rustix::io::Errno::MFILE.into(),
        Failure::Cut => io::Error::other("the power is cut"),
    }
}

impl Disk for FaultDisk {
    fn path(&self, name: &str) -> PathBuf {
        Path::new("/fault").join(name)
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.operate() {
            Some(failure) => Err(error_of(failure)),
            None => {
                state.dirs.insert(name.to_owned());
                Ok(())
            }
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.check_power()?;
        let inside = |name: &str| match dir {
            "" => Some(name.split('/').next().unwrap_or_default().to_string()),
            _ => name.strip_prefix(dir)?.strip_prefix('/').map(str::to_string),
        };
        let mut names: Vec<String> = state.files.names().filter_map(|name| inside(name)).collect();
        names.extend(state.dirs.iter().filter_map(|name| inside(name)));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        if let Some(failure) = state.operate_on_new() {
            return Err(error_of(failure));
        }
        let id = state.files.create(name);
        drop(state);
        Ok(Arc::new(FaultFile { disk: self.clone(), id }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.check_power()?;
        state.take_descriptor()?;
        let id = state.files.id(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(FaultFile { disk: self.clone(), id }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state.lock().change(|files| files.remove(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.state.lock().change(|files| files.rename(from, to))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.state.lock().change(|files| {
            files.sync_dir(dir);
            Some(())
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state.lock();
        Ok(state.capacity_bytes.saturating_sub(state.files.bytes()))
    }

    fn total_bytes(&self) -> io::Result<u64> {
        Ok(self.state.lock().capacity_bytes)
    }
}

struct FaultFile {
    disk: FaultDisk,
    id: u64,
}

impl DiskFile for FaultFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state.lock();
        state.check_power()?;
        let file = state.files.by_id.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.content.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state.lock();
        state.check_power()?;
        let file = state.files.by_id.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let start = offset as usize;
        let found = file.content.get(start..start + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let failure = state.operate();
        let DiskState { files, rng, capacity_bytes, .. } = &mut *state;
        let used_bytes = files.bytes();
        let file = files.by_id.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let end = offset + bytes.len() as u64;
        let grows_by = end.saturating_sub(file.content.len() as u64);
        if failure == Some(Failure::NoSpace) || grows_by > capacity_bytes.saturating_sub(used_bytes)
        {
            return Err(error_of(Failure::NoSpace));
        }
        match failure {
            None => file.write(bytes, offset as usize),
            Some(_) => file.write_torn(bytes, offset as usize, rng),
        }
        failure.map_or(Ok(()), |failure| Err(error_of(failure)))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let failure = state.operate_fsync();
        let file = state.files.by_id.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        match failure {
            None => file.sync(),
            Some(Failure::Io | Failure::Fsync) => file.sync_in_vain(),
            Some(Failure::NoSpace | Failure::NoDescriptor | Failure::Cut) => {}
        }
        failure.map_or(Ok(()), |failure| Err(error_of(failure)))
    }
}
