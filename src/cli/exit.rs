//! How a command can end, and what it says then.

use std::{fmt, io, time::Duration};

use crate::cli::output;

/// Done.
pub(crate) const DONE: u8 = 0;
/// The server refused, could not be reached, or something broke on the way.
pub(crate) const FAILED: u8 = 1;
/// A flag or a setting is wrong.
pub(crate) const USAGE: u8 = 2;
/// The address or the data directory cannot be had.
pub(crate) const NOT_STARTED: u8 = 3;
/// A threshold was missed.
pub(crate) const MISSED: u8 = 4;
/// New results are worse.
pub(crate) const REGRESSION: u8 = 5;
/// `check` found something wrong, or a load test did.
pub(crate) const DAMAGED: u8 = 6;
/// Ended by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether the same may succeed later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// Not as it was asked.
    #[default]
    Final,
    /// The server refuses it for now.
    Later,
    /// The server is there and does not serve, or went while it was asked: it starts or ends.
    Away,
    /// Nobody is there.
    Unreached,
}

/// Why a command did not do what it was asked: an exit code and a line for stderr.
#[derive(Debug)]
pub(crate) struct CommandFailure {
    pub(crate) exit_code: u8,
    pub(crate) message: String,
    pub(crate) outlook: Outlook,
    /// What a server called it; empty if it was none.
    pub(crate) code: String,
    /// When a server wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

impl CommandFailure {
    fn new(exit_code: u8, message: impl fmt::Display) -> Self {
        let (message, code) = (message.to_string(), String::new());
        Self { exit_code, message, outlook: Outlook::Final, code, retry_after: None }
    }

    /// The server refused, could not be reached, or something broke on the way.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(FAILED, message)
    }

    /// The same, and whether it may succeed later.
    pub(crate) fn passing(outlook: Outlook, message: impl fmt::Display) -> Self {
        Self { outlook, ..Self::failed(message) }
    }

    /// A flag or a setting is wrong.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(USAGE, message)
    }

    /// The address or the data directory cannot be had.
    pub(crate) fn not_started(message: impl fmt::Display) -> Self {
        Self::new(NOT_STARTED, message)
    }

    /// The same, as a server calls it.
    pub(crate) fn coded(self, code: String) -> Self {
        Self { code, ..self }
    }

    /// Whether the same may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        self.outlook != Outlook::Final
    }

    /// Tells it on stderr, if there is something to tell.
    pub(crate) fn tell(&self) {
        if !self.message.is_empty() {
            output::error(&self.message);
        }
    }
}

/// Whoever read the output has enough of it: that is no failure.
impl From<io::Error> for CommandFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(DONE, ""),
            _ => Self::failed(error),
        }
    }
}
