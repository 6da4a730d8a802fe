//! Operating-system errors: what they mean for the engine, and how they are told.

use std::{
    borrow::Cow,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::io::Errno;

use crate::error::{CommitError, LoadError, OpenError};

/// What the system said about a file, with what to do if it is about permissions.
pub(crate) fn io_error(path: &Path, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let user = rustix::process::getuid().as_raw();
            let what = format!(
                "it cannot be written to ({source}): make it writable for the user with the id \
                 {user}, or name another data directory with --data (LANEKEEPER_DATA)"
            );
            refused(path, what)
        }
        _ => OpenError::Io { path: path.to_path_buf(), source },
    }
}

pub(crate) fn corrupt(path: &Path, offset: u64, reason: impl Into<String>) -> OpenError {
    OpenError::Corrupt { path: path.to_path_buf(), offset, reason: reason.into() }
}

/// A refusal to open that is neither damage at a place nor the system's.
pub(crate) fn refused(path: &Path, reason: impl Into<String>) -> OpenError {
    OpenError::Refused { path: path.to_path_buf(), reason: reason.into() }
}

/// A directory in which nothing of a store is found.
pub(crate) fn no_data_directory(path: &Path) -> OpenError {
    let reason = "it is not a data directory: it holds no MANIFEST, no journal and no store; name \
                  the directory that the server was given with --data (LANEKEEPER_DATA)";
    refused(path, reason)
}

/// A failure while the engine runs, as its callers see it. They may be anybody, so that it names
/// the file without the way to it.
pub(crate) fn load_error(path: &Path, error: &io::Error) -> LoadError {
    let text = format!("{}: {}", file_name(path), told(error)).into();
    if is_full(error) { LoadError::NoSpace(text) } else { LoadError::Io(text) }
}

/// The name of a file without the way to it.
pub(crate) fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()
}

impl From<OpenError> for LoadError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io { path, source } => load_error(&path, &source),
            OpenError::NoSpace { .. } => Self::NoSpace("the store cannot be opened".into()),
            OpenError::Locked(_) => Self::Io("the store is in use by another process".into()),
            OpenError::UnknownFormat { found, .. } => {
                Self::Corrupt(format!("format {found} is not known").into())
            }
            OpenError::Corrupt { path, offset, reason } => {
                let reason =
                    format!("{} is damaged at offset {offset}: {reason}", file_name(&path));
                Self::Corrupt(reason.into())
            }
            OpenError::Refused { path, reason } => {
                Self::Corrupt(format!("{}: {reason}", file_name(&path)).into())
            }
        }
    }
}

/// Whether the operating system said that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What the operating system said, and what helps where that is known.
pub(crate) fn told(error: &io::Error) -> String {
    let remedy = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE) => "; close connections, or raise the limit on open files",
        Some(Errno::NFILE) => "; the system has no descriptors left",
        Some(Errno::NOMEM) => "; free some memory",
        Some(Errno::FBIG) => "; raise the limit on the size of files",
        Some(Errno::ROFS) => "; mount the file system writable",
        _ => "",
    };
    format!("{error}{remedy}")
}

/// Why nothing can be prepared or written for the moment, for whoever is refused.
#[derive(Clone, Debug)]
pub(crate) enum OsTrouble {
    /// No space is left.
    Full,
    /// Something else that may pass.
    Other(Arc<str>),
}

impl OsTrouble {
    pub(crate) fn of(what: &str, error: &io::Error) -> Self {
        if is_full(error) {
            Self::Full
        } else {
            Self::Other(format!("{what}: {}", told(error)).into())
        }
    }

    /// The refusal of a batch of which nothing was applied.
    pub(crate) fn refusal(&self) -> CommitError {
        match self {
            Self::Full => CommitError::DiskFull,
            Self::Other(reason) => CommitError::Unavailable { reason: reason.clone() },
        }
    }

    /// What holds a batch back that was handed over.
    pub(crate) fn reason(&self) -> Arc<str> {
        match self {
            Self::Full => "the disk is full".into(),
            Self::Other(reason) => reason.clone(),
        }
    }
}

/// Lets a message that would be repeated as long as trouble lasts through once in a while.
#[derive(Debug, Default)]
pub(crate) struct RateLimitedLog(AtomicU64);

impl RateLimitedLog {
    /// Whether it is time to say it: the first time, and then every 600th (a minute of rechecks).
    pub(crate) fn is_time(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(600)
    }

    /// The trouble is over: the next one is told at once.
    pub(crate) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
