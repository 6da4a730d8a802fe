//! The reserve: a file that holds space back for the way out of a full disk. It is given up where
//! opening, or a checkpoint that frees space, cannot go on without, and made again as soon as there
//! is space for it.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    embedded::{
        disk::{self, Disk},
        os_error::{io_error, is_full},
    },
    error::OpenError,
};

/// The name of the reserve for checkpoints in the data directory, and of that for opening it, which
/// is not touched otherwise: whatever happened, the directory can be opened.
pub(crate) const RESERVE: &str = "reserve";
pub(crate) const OPENING: &str = "reserve-to-open";

#[derive(Debug)]
pub(crate) struct Reserve {
    name: &'static str,
    bytes: u64,
    is_held: AtomicBool,
}

impl Reserve {
    /// A reserve of so many bytes; none if there are none.
    pub(crate) fn new(disk: &dyn Disk, name: &'static str, bytes: u64) -> Self {
        Self { name, bytes, is_held: AtomicBool::new(held_bytes(disk, name) >= bytes) }
    }

    /// Bytes that are given back when it is given up.
    pub(crate) fn held_bytes(&self) -> u64 {
        if self.is_held.load(Ordering::Relaxed) { self.bytes } else { 0 }
    }

    /// Makes it, if it is not there and `free_bytes` are enough.
    pub(crate) fn make(&self, disk: &dyn Disk, free_bytes: u64) {
        if self.bytes == 0 || self.is_held.load(Ordering::Relaxed) || free_bytes < self.bytes {
            return;
        }
        let made = disk.create(self.name).and_then(|file| disk::preallocate(&*file, self.bytes));
        match made {
            Ok(()) => self.is_held.store(true, Ordering::Relaxed),
            Err(error) => {
                tracing::debug!(%error, "no reserve could be made");
                // What was taken of the space goes back.
                let _ = disk.remove(self.name);
            }
        }
    }

    /// Gives it up; says whether that gave any space.
    pub(crate) fn give_up(&self, disk: &dyn Disk) -> bool {
        if self.bytes == 0 || !self.is_held.swap(false, Ordering::Relaxed) {
            return false;
        }
        tracing::info!(bytes = self.bytes, "the reserve is given up to make room");
        disk.remove(self.name).is_ok()
    }
}

/// Bytes of the reserve as it is found.
pub(crate) fn held_bytes(disk: &dyn Disk, name: &str) -> u64 {
    disk.open(name).and_then(|file| file.len()).unwrap_or(0)
}

/// Sees to it that there is space to open the directory, if need be by giving the reserve up.
///
/// # Errors
/// [`OpenError::NoSpace`] if that is not enough either.
pub(crate) fn make_room_to_open(disk: &dyn Disk, needed_bytes: u64) -> Result<(), OpenError> {
    let path = disk.path("");
    let look = || disk.free_bytes().map_err(|error| io_error(&path, error));
    if look()? >= needed_bytes {
        return Ok(());
    }
    for name in [OPENING, RESERVE] {
        match disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(&disk.path(name), error));
            }
            _ => {}
        }
        if look()? >= needed_bytes {
            return Ok(());
        }
    }
    let free_bytes = look()?;
    Err(OpenError::NoSpace { path, needed_bytes, free_bytes })
}

/// The error of an opening for which there was too little space after all: then the store's log,
/// too, had to grow.
pub(crate) fn missing_space(error: OpenError, disk: &dyn Disk, needed_bytes: u64) -> OpenError {
    match error {
        OpenError::Io { source, .. } if is_full(&source) => {
            let (path, needed_bytes) = (disk.path(""), needed_bytes.saturating_mul(2));
            OpenError::NoSpace { path, needed_bytes, free_bytes: disk.free_bytes().unwrap_or(0) }
        }
        error => error,
    }
}
