//! The directories of stores: which there are, and which of them are whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::embedded::directory::manifest::{base_name, base_number};

/// The directories of stores in a data directory.
pub(crate) struct BackingFiles {
    dir: PathBuf,
}

impl BackingFiles {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// The directory of a store.
    pub(crate) fn path(&self, number: u64) -> PathBuf {
        self.dir.join(base_name(number))
    }

    /// The file that is there as long as a store is not whole.
    fn marker(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{}.unfinished", base_name(number)))
    }

    /// The numbers of the stores that are there, in order.
    pub(crate) fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            numbers.extend(entry?.file_name().to_str().and_then(base_number));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(crate) fn is_unfinished(&self, number: u64) -> bool {
        self.marker(number).exists()
    }

    /// Notes, durably, that a store is not whole yet, and removes what is there of it.
    pub(crate) fn begin(&self, number: u64) -> io::Result<()> {
        fs::File::create(self.marker(number))?.sync_all()?;
        self.sync()?;
        remove_dir(&self.path(number))
    }

    /// Notes, durably, that a store is whole.
    pub(crate) fn finish(&self, number: u64) -> io::Result<()> {
        sync_names(&self.path(number))?;
        fs::remove_file(self.marker(number))?;
        self.sync()
    }

    /// Removes a store, and then the note that it is not whole, if there is one.
    pub(crate) fn remove(&self, number: u64) -> io::Result<()> {
        remove_dir(&self.path(number))?;
        match fs::remove_file(self.marker(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.dir)?.sync_all()
    }
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the files and names of a store just opened durable.
pub(crate) fn sync_names(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        fs::File::open(entry?.path())?.sync_all()?;
    }
    fs::File::open(dir)?.sync_all()?;
    dir.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}
