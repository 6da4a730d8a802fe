//! The data directory itself: taken by one process, and made of the kinds of files it should be.

use std::{fs, io, path::Path, time::UNIX_EPOCH};

use crate::{
    embedded::{
        directory::manifest::{MANIFEST, NEXT, base_number},
        journal::segment::JOURNAL,
        os_error::{io_error, refused},
    },
    error::OpenError,
};

const LOCK: &str = "LOCK";

/// Makes the directory if it is not there, and takes its lock.
pub(crate) fn take(dir: &Path) -> Result<fs::File, OpenError> {
    make(dir)?;
    lock(dir)
}

/// Takes the lock of a directory that is there.
pub(crate) fn lock(dir: &Path) -> Result<fs::File, OpenError> {
    check_kinds(dir)?;
    hold(dir)
}

/// Takes the lock of a directory, whatever else is in it.
pub(crate) fn hold(dir: &Path) -> Result<fs::File, OpenError> {
    let path = dir.join(LOCK);
    let opened = fs::File::options().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|error| io_error(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::Locked(dir.to_path_buf())),
        Err(fs::TryLockError::Error(error)) => Err(io_error(&path, error)),
    }
}

fn make(dir: &Path) -> Result<(), OpenError> {
    match fs::metadata(dir) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(refused(dir, format!("it is a file, and {WANTED}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(out_of_reach(dir, error)),
    }
    if fs::symlink_metadata(dir).is_ok() {
        return Err(refused(dir, format!("it is a dangling link, and {WANTED}")));
    }
    fs::create_dir_all(dir).map_err(|error| out_of_reach(dir, error))
}

const WANTED: &str = "the data directory has to be a directory: name another one with --data \
                      (LANEKEEPER_DATA), or move it away";

/// When a segment of the journal was last written to (Unix milliseconds), if there is one.
pub(crate) fn last_written_ms(dir: &Path) -> Option<u64> {
    let segments = fs::read_dir(dir.join(JOURNAL)).ok()?.filter_map(Result::ok);
    let written = segments.filter_map(|segment| segment.metadata().ok()?.modified().ok());
    let since = written.max()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Why a directory cannot even be looked at, or made.
fn out_of_reach(dir: &Path, error: io::Error) -> OpenError {
    let parents = dir.ancestors().skip(1);
    let mut files = parents.filter(|path| fs::metadata(path).is_ok_and(|found| !found.is_dir()));
    if let (io::ErrorKind::NotADirectory, Some(file)) = (error.kind(), files.next()) {
        return refused(dir, format!("{} is a file, and {WANTED}", file.display()));
    }
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return refused(dir, format!("it is a link to itself, and {WANTED}"));
    }
    io_error(dir, error)
}

/// Refuses a directory in which something is of another kind than it should be.
fn check_kinds(dir: &Path) -> Result<(), OpenError> {
    for entry in list(dir)? {
        let name = entry.file_name();
        let is_wanted_dir = match name.to_str() {
            Some(JOURNAL) => true,
            Some(LOCK | MANIFEST | NEXT) => false,
            Some(name) if base_number(name).is_some() => true,
            _ => continue,
        };
        check_kind(&entry.path(), is_wanted_dir)?;
    }
    let journal = dir.join(JOURNAL);
    if journal.is_dir() {
        for entry in list(&journal)? {
            check_kind(&entry.path(), false)?;
        }
    }
    Ok(())
}

fn list(dir: &Path) -> Result<Vec<fs::DirEntry>, OpenError> {
    let list = || fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>();
    list().map_err(|error| io_error(dir, error))
}

fn check_kind(path: &Path, is_wanted_dir: bool) -> Result<(), OpenError> {
    let (is, wanted) = match fs::metadata(path) {
        Ok(found) if is_wanted_dir && !found.is_dir() => ("a file", "directory"),
        Ok(found) if !is_wanted_dir && found.is_dir() => ("a directory", "file"),
        Ok(found) if !is_wanted_dir && !found.is_file() => ("a device or socket", "file"),
        Err(_) if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) => {
            ("a dangling link", if is_wanted_dir { "directory" } else { "file" })
        }
        _ => return Ok(()),
    };
    let what = format!(
        "it is {is}, and the data directory has a {wanted} of that name: put that back from a \
         backup, or move the whole directory away to begin with an empty one"
    );
    Err(refused(path, what))
}
