//! What can go wrong below the seam, for whoever has to decide.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why a batch was not committed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk has no room for this batch. Nothing was applied; the same batch may succeed once
    /// space returns, without a restart. Batches that free space draw on a reserve.
    #[error("the disk is full: writes are refused until space returns")]
    DiskFull,
    /// The operating system refuses something that passes: no descriptor is free, an I/O error
    /// before anything was written. Nothing was applied; the same batch may succeed once that is
    /// over, without a restart.
    #[error("the store cannot write for now: {reason}")]
    Unavailable {
        /// What the operating system said, and what helps.
        reason: Arc<str>,
    },
    /// The batch was handed over and is held back for longer than somebody should have to wait:
    /// it will be written once the disk allows it, or be lost with a crash before that.
    #[error("not written yet, and the outcome is unknown: {reason}")]
    Held {
        /// What holds it back.
        reason: Arc<str>,
    },
    /// More bytes wait for the disk than the engine may hold. Nothing was applied.
    #[error("too many bytes wait for the disk: {waiting_bytes} of at most {waiting_bytes_max}")]
    Overloaded {
        /// Bytes handed over and not yet written.
        waiting_bytes: u64,
        /// The bound on them.
        waiting_bytes_max: u64,
    },
    /// The batch is larger than the engine can write in one piece. Nothing was applied.
    #[error("a batch of {batch_bytes} bytes exceeds the limit of {batch_bytes_max}")]
    TooLarge {
        /// Size of the batch as the engine would write it.
        batch_bytes: u64,
        /// The bound on it.
        batch_bytes_max: u64,
    },
    /// The owner's epoch is over: somebody else owns the shard, or it was released. Nothing was
    /// applied.
    #[error("fenced: the ownership epoch is over")]
    Fenced,
    /// An earlier write or fsync failed and its outcome is unknown. Nothing is acknowledged any
    /// more until the engine is reopened; what was acknowledged before is kept.
    #[error("the store is poisoned until it is opened again: {0}")]
    Poisoned(Arc<str>),
    /// The engine was closed before the batch was handed over. Nothing was applied.
    #[error("the engine is closed")]
    Closed,
}

impl CommitError {
    /// Whether it is certain that nothing of the batch was or will be applied.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Poisoned(_) | Self::Held { .. })
    }
}

/// Why a read failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// The operating system refused to read or to write.
    #[error("the store failed: {0}")]
    Io(Arc<str>),
    /// The disk has no room for what had to be written.
    #[error("the disk is full: {0}")]
    NoSpace(Arc<str>),
    /// What was read is not what was written, or is of a format this version does not know.
    #[error("the store is damaged or of an unknown format: {0}")]
    Corrupt(Arc<str>),
    /// The engine was closed.
    #[error("the engine is closed")]
    Closed,
}

impl OpenError {
    /// The error as it is about a file of which a copy was looked at.
    pub(crate) fn moved(mut self, copy: &Path, dir: &Path) -> Self {
        match &mut self {
            Self::Locked(path)
            | Self::UnknownFormat { path, .. }
            | Self::Corrupt { path, .. }
            | Self::Refused { path, .. }
            | Self::NoSpace { path, .. }
            | Self::Io { path, .. } => {
                if let Ok(name) = path.strip_prefix(copy) {
                    *path = dir.join(name);
                }
            }
        }
        self
    }
}

/// Why a data directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The directory was written in a format this version does not know.
    #[error(
        "{} has format {found}; this version reads formats {oldest} to {newest}", path.display()
    )]
    UnknownFormat {
        /// The file that says so.
        path: PathBuf,
        /// The format number found.
        found: u32,
        /// The oldest format that can be read.
        oldest: u32,
        /// The newest format that can be read.
        newest: u32,
    },
    /// A file is damaged at a place that had been made durable.
    #[error("{} is damaged at offset {offset}: {reason}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// Something is missing, is older than the rest, or is of another kind than it should be.
    /// Nothing was changed; the reason says what to do.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file or directory it is about.
        path: PathBuf,
        /// What is the matter, and what can be done.
        reason: String,
    },
    /// The disk has too little space to open the directory.
    #[error(
        "{} needs {} MiB of free space to be opened, and {} MiB are free: remove something from \
         that disk, or enlarge it", path.display(), needed_bytes.div_ceil(1 << 20), free_bytes >> 20
    )]
    NoSpace {
        /// The data directory.
        path: PathBuf,
        /// Bytes needed.
        needed_bytes: u64,
        /// Bytes that are free.
        free_bytes: u64,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory it was about.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
