//! The numbers of the data directory's format: what is written, and what can still be read.
//!
//! | format | what is new |
//! |---|---|
//! | 2 | the store keeps large values in parts ([`crate::embedded::backing`]) |

use std::path::Path;

use crate::error::OpenError;

/// The oldest format this version opens.
pub(crate) const OLDEST: u32 = 1;
/// The format this version writes.
pub(crate) const NEWEST: u32 = 2;

/// Refuses a format this version does not know.
pub(crate) fn check(path: &Path, found: u32) -> Result<(), OpenError> {
    if (OLDEST..=NEWEST).contains(&found) {
        return Ok(());
    }
    Err(OpenError::UnknownFormat {
        path: path.to_path_buf(),
        found,
        oldest: OLDEST,
        newest: NEWEST,
    })
}
