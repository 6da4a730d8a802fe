//! How a command can end, and what it says then.

use std::{fmt, io};

use super::output;

/// Done.
pub(super) const DONE: u8 = 0;
/// The server refused, could not be reached, or something broke on the way.
pub(super) const FAILED: u8 = 1;
/// A flag or a setting is wrong.
pub(super) const USAGE: u8 = 2;
/// The address or the data directory cannot be had.
pub(super) const NOT_STARTED: u8 = 3;
/// A threshold was missed.
pub(super) const MISSED: u8 = 4;
/// New results are worse.
pub(super) const REGRESSION: u8 = 5;
/// `check` found something wrong, or a load test did.
pub(super) const DAMAGED: u8 = 6;
/// Ended by Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked: an exit code and a line for stderr.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(super) exit_code: u8,
    pub(super) message: String,
    /// Whether the same may succeed later: nobody answered, or not now.
    pub(super) is_passing: bool,
}

impl Failure {
    /// The server refused, could not be reached, or something broke on the way.
    pub(super) fn failed(message: impl fmt::Display) -> Self {
        Self { exit_code: FAILED, message: message.to_string(), is_passing: false }
    }

    /// The same, and it may succeed later.
    pub(super) fn passing(message: impl fmt::Display) -> Self {
        Self { is_passing: true, ..Self::failed(message) }
    }

    /// A flag or a setting is wrong.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { exit_code: USAGE, message: message.to_string(), is_passing: false }
    }

    /// The address or the data directory cannot be had.
    pub(super) fn not_started(message: impl fmt::Display) -> Self {
        Self { exit_code: NOT_STARTED, message: message.to_string(), is_passing: false }
    }

    /// Tells it on stderr, if there is something to tell.
    pub(super) fn tell(&self) {
        if !self.message.is_empty() {
            output::error(&self.message);
        }
    }
}

/// Whoever read the output has enough of it: that is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => {
                Self { exit_code: DONE, message: String::new(), is_passing: false }
            }
            _ => Self::failed(error),
        }
    }
}
