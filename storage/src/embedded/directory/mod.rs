//! The data directory: its lock, its manifest, its format, and a survey before it is opened.

pub(crate) mod format;
pub(crate) mod lock;
pub(crate) mod manifest;
pub(crate) mod survey;
