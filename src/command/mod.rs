//! What each command does.

mod backend;
mod embedded;
mod http;
mod output;
mod peek;
mod pop;
mod purge;
mod push;
mod queues;
mod serve;
mod stats;

use std::{fmt, io, process::ExitCode};

use crate::cli::Command;

/// Done.
const DONE: u8 = 0;
/// The server refused, could not be reached, or something broke on the way.
const FAILED: u8 = 1;
/// A flag or a setting is wrong.
const USAGE: u8 = 2;
/// The address or the data directory cannot be had.
const NOT_STARTED: u8 = 3;
/// Ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked: an exit code and a line for stderr.
#[derive(Debug)]
pub(crate) struct Failure {
    exit_code: u8,
    message: String,
}

impl Failure {
    /// The server refused, could not be reached, or something broke on the way.
    fn failed(message: impl fmt::Display) -> Self {
        Self { exit_code: FAILED, message: message.to_string() }
    }

    /// A flag or a setting is wrong.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { exit_code: USAGE, message: message.to_string() }
    }

    /// The address or the data directory cannot be had.
    fn not_started(message: impl fmt::Display) -> Self {
        Self { exit_code: NOT_STARTED, message: message.to_string() }
    }
}

/// Whoever read the output has enough of it: that is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { exit_code: DONE, message: String::new() },
            _ => Self::failed(error),
        }
    }
}

/// Runs a command to its exit code.
pub(crate) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Serve(args) => serve::run(*args),
        Command::Push(args) => push::run(&args),
        Command::Pop(args) => pop::run(&args),
        Command::Peek(args) => peek::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Queues(args) => queues::run(&args),
    };
    match done {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(failure) => {
            if !failure.message.is_empty() {
                output::error(&failure.message);
            }
            ExitCode::from(failure.exit_code)
        }
    }
}
