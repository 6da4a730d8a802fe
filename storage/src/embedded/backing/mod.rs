//! The ordered store behind the journal: a port, and sled behind it.

pub(crate) mod directories;
mod files;
mod merge;
mod panic_guard;
mod parts;
pub(crate) mod port;
mod recorded;
pub(crate) mod sled_backing;
