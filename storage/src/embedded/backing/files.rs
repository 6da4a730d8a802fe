//! The files of a store, beside what the store itself does with them: made durable, and given space
//! before it is needed.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use rustix::{
    fs::{FallocateFlags, fallocate, fstatvfs},
    io::Errno,
};

/// The store's log, and the directory of large values, below the store's directory.
const LOG: &str = "db";
const BLOBS: &str = "blobs";
/// Bytes that opening a store may write at least, beside its log.
const OPENING_BYTES: u64 = 1 << 20;

/// The files of one store. The log and the directories stay open: making them durable takes no
/// descriptor.
pub(crate) struct StoreFiles {
    dir: PathBuf,
    log: File,
    blobs: File,
    synced_blobs: Mutex<BTreeSet<OsString>>,
}

impl StoreFiles {
    /// The files of a store that is open.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let log = File::options().read(true).write(true).open(dir.join(LOG))?;
        let blobs = File::open(dir.join(BLOBS))?;
        Ok(Self { dir: dir.to_path_buf(), log, blobs, synced_blobs: Mutex::default() })
    }

    /// Makes what was written durable: the log, large values written since, and their names.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let blobs = self.dir.join(BLOBS);
        let mut synced = self.synced_blobs.lock();
        let mut present = BTreeSet::new();
        for entry in fs::read_dir(&blobs)? {
            let name = entry?.file_name();
            if !synced.contains(&name) {
                match File::open(blobs.join(&name)) {
                    Ok(file) => file.sync_data()?,
                    // The store removes them in the background.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            present.insert(name);
        }
        if *synced != present {
            self.blobs.sync_all()?;
            *synced = present;
        }
        self.log.sync_data()
    }

    /// Takes space from the disk that the log grows into, so that its next `bytes` fail for want
    /// of space no more. What is taken and not used stays with the log. Where the store has large
    /// values in files of their own, as those of earlier versions do, as much has to be free
    /// beside it: nothing can be taken for those.
    pub(crate) fn take_ahead(&self, bytes: u64) -> io::Result<()> {
        take_ahead(&self.log, bytes)?;
        if fs::read_dir(self.dir.join(BLOBS))?.next().is_some() {
            check_free(&self.log, bytes)?;
        }
        Ok(())
    }

    /// Gives back what the log takes of the disk, although it stays open: nobody needs it.
    pub(crate) fn empty(&self) {
        if let Err(error) = self.log.set_len(0) {
            tracing::warn!(dir = %self.dir.display(), %error, "a replaced store keeps its space");
        }
    }
}

/// Takes space for the log of a store that is about to be opened, if it is there.
pub(crate) fn take_ahead_of_opening(dir: &Path, bytes: u64) -> io::Result<()> {
    match File::options().read(true).write(true).open(dir.join(LOG)) {
        Ok(log) => take_ahead(&log, bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn take_ahead(log: &File, bytes: u64) -> io::Result<()> {
    let length = log.metadata()?.len();
    loop {
        match fallocate(log, FallocateFlags::KEEP_SIZE, length, bytes) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            // Not on this file system: then what is free now is the best there is to know.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
            Err(error) => return Err(error.into()),
        }
    }
    check_free(log, bytes)
}

/// Refuses as the system does where less is free on a file's disk.
fn check_free(file: &File, bytes: u64) -> io::Result<()> {
    let space = fstatvfs(file)?;
    if space.f_bavail.saturating_mul(space.f_frsize) < bytes {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// Bytes that opening one of these stores may write beside its log: a snapshot of where each page
/// is, which is some thousandths of the log at most.
pub(crate) fn opening_needs_bytes(dirs: impl Iterator<Item = PathBuf>) -> u64 {
    let log_bytes = |dir: PathBuf| fs::metadata(dir.join(LOG)).map_or(0, |log| log.len());
    dirs.map(log_bytes).max().unwrap_or(0) / 256 + OPENING_BYTES
}
