//! The temporary folder of a server of its own. A load test that is killed leaves it behind; the
//! next one removes it.

use std::{
    fs::{self, DirEntry, File},
    io::{self, Read, Seek},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::{fs::OFlags, process::geteuid};
use tempfile::TempDir;

const PREFIX: &str = "lanekeeper-loadtest-";

/// What the server complains of goes here. The file is locked for as long as the load test or its
/// server lives: both have it open, and the system unlocks it once neither has, however they ended.
const LOG: &str = "server.log";

/// Where its data is.
const DATA: &str = "data";

/// A folder that is gone with this.
#[derive(Debug)]
pub(crate) struct Folder {
    // Before the log: a folder that is being removed is still locked.
    dir: TempDir,
    log: File,
}

impl Folder {
    /// Makes one, once those that nobody uses any more are gone.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn make(parent: &Path) -> io::Result<Self> {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        entries.for_each(|entry| remove_abandoned(&entry));
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let fresh = dir.path().join("fresh.log");
        let log = File::options().create_new(true).read(true).append(true).open(&fresh)?;
        // Nobody sees the log unlocked. Where nothing can be locked, the folder is never taken for
        // one that was left.
        if log.try_lock().is_ok() {
            fs::rename(fresh, dir.path().join(LOG))?;
        }
        Ok(Self { dir, log })
    }

    /// Where the data of the server is.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join(DATA)
    }

    /// What a server complains to, which keeps the folder locked.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn stderr(&self) -> io::Result<Stdio> {
        self.log.try_clone().map(Stdio::from)
    }

    /// What the server complained of last.
    pub(crate) fn complaint(&self) -> Option<String> {
        let (mut log, mut text) = (&self.log, String::new());
        log.rewind().and_then(|()| log.read_to_string(&mut text)).ok()?;
        text.lines().last().map(str::to_owned)
    }
}

/// Removes what a load test of the same user left. What cannot be removed now is left to the next.
fn remove_abandoned(entry: &DirEntry) {
    let is_named = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
    // Links are not followed here.
    let is_own = |entry: &DirEntry| {
        let found = entry.metadata();
        found.is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
    };
    if !is_named || !is_own(entry) {
        return;
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let log =
        File::options().read(true).write(true).custom_flags(flags).open(entry.path().join(LOG));
    if log.as_ref().is_ok_and(|log| log.try_lock().is_ok()) {
        drop(fs::remove_dir_all(entry.path()));
    }
}
