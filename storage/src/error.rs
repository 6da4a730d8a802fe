//! What can go wrong below the seam, for whoever has to decide.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The reason why a batch was not committed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk has no room for this batch. Nothing was applied; the same batch may succeed once
    /// space returns, without a restart. Batches that free space draw on a reserve.
    #[error("the disk is full: writes are refused until space returns")]
    DiskFull,
    /// A temporary failure of the operating system, such as no free descriptor or an I/O error
    /// before anything was written. Nothing was applied; the same batch may succeed later, without
    /// a restart.
    #[error("the store cannot write for now: {reason}")]
    Unavailable {
        /// The error of the operating system, and the remedy.
        reason: Arc<str>,
    },
    /// The batch was handed over and has been held back for too long to wait: it will be written
    /// once the disk allows it, or lost by a crash before that.
    #[error("not written yet, and the outcome is unknown: {reason}")]
    Held {
        /// The reason.
        reason: Arc<str>,
    },
    /// Too many bytes wait for the disk. Nothing was applied.
    #[error("too many bytes wait for the disk: {waiting_bytes} of at most {waiting_bytes_max}")]
    Overloaded {
        /// Bytes handed over and not yet written.
        waiting_bytes: u64,
        /// The limit.
        waiting_bytes_max: u64,
    },
    /// The batch is larger than the engine can write in one piece. Nothing was applied.
    #[error("a batch of {batch_bytes} bytes exceeds the limit of {batch_bytes_max}")]
    TooLarge {
        /// Size of the batch as the engine would write it.
        batch_bytes: u64,
        /// The limit.
        batch_bytes_max: u64,
    },
    /// The epoch has ended: the shard was released or has another owner. Nothing was applied.
    #[error("fenced: the ownership epoch is over")]
    Fenced,
    /// An earlier fsync failed and its outcome is unknown. Nothing is acknowledged until the engine
    /// is opened again; earlier acknowledged commits are kept.
    #[error("the store is poisoned until it is opened again: {0}")]
    Poisoned(Arc<str>),
    /// The engine was closed before the batch was handed over. Nothing was applied.
    #[error("the engine is closed")]
    Closed,
}

impl CommitError {
    /// Whether the batch certainly was not and will not be applied.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Poisoned(_) | Self::Held { .. })
    }
}

/// The reason why a read failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// The operating system refused to read or to write.
    #[error("the store failed: {0}")]
    Io(Arc<str>),
    /// The disk has no space for a write that was necessary.
    #[error("the disk is full: {0}")]
    NoSpace(Arc<str>),
    /// The data is damaged, or of a format this version does not know.
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

/// The reason why a data directory was not opened.
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
        /// The file with that format.
        path: PathBuf,
        /// The format number found.
        found: u32,
        /// The oldest format that can be read.
        oldest: u32,
        /// The newest format that can be read.
        newest: u32,
    },
    /// A file is damaged where it was durable.
    #[error("{} is damaged at offset {offset}: {reason}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// The offset of the damage in bytes.
        offset: u64,
        /// The kind of damage.
        reason: String,
    },
    /// A file is missing, older than the rest, or of the wrong kind. Nothing was changed; the
    /// reason names the remedy.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// The problem and the remedy.
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
        /// Free bytes.
        free_bytes: u64,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}
