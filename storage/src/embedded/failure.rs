//! Operating-system errors, told with the file they are about.

use std::{io, path::Path};

use crate::{LoadError, OpenError};

pub(crate) fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_path_buf(), source }
}

pub(crate) fn corrupt(path: &Path, offset: u64, reason: impl Into<String>) -> OpenError {
    OpenError::Corrupt { path: path.to_path_buf(), offset, reason: reason.into() }
}

/// A refusal to open that is neither damage at a place nor the system's.
pub(crate) fn refused(path: &Path, reason: impl Into<String>) -> OpenError {
    OpenError::Refused { path: path.to_path_buf(), reason: reason.into() }
}

/// A failure while the engine runs, as its callers see it.
pub(crate) fn load_error(path: &Path, error: &io::Error) -> LoadError {
    LoadError::Io(format!("{}: {error}", path.display()).into())
}

impl From<OpenError> for LoadError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Corrupt { .. }
            | OpenError::UnknownFormat { .. }
            | OpenError::Refused { .. } => Self::Corrupt(error.to_string().into()),
            OpenError::Locked(_) | OpenError::Io { .. } => Self::Io(error.to_string().into()),
        }
    }
}

/// Whether the operating system said that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
