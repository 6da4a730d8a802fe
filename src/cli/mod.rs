//! The command line: what can be said, and what each command does.

pub(crate) mod args;
mod backend;
pub(crate) mod command;
pub(crate) mod exit;
pub(crate) mod output;
mod paging;
mod signals;
pub(crate) mod unreachable;
