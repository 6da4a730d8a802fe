//! The ordered store behind the journal: a port, and sled behind it.

pub(crate) mod directories;
mod files;
mod merge;
mod panic_guard;
pub(crate) mod port;
pub(crate) mod sled_backing;
