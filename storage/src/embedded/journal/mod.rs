//! The journal: preallocated segments of frames, one fsync for all who wait.

pub(crate) mod frame;
pub(crate) mod journal_space;
pub(crate) mod recovery;
pub(crate) mod segment;
pub(crate) mod segment_files;
pub(crate) mod tail;
pub(crate) mod writer;
