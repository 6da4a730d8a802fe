//! The commit: the queue of batches, the committer, the memtable, and the callers waiting.

pub(crate) mod commit_queue;
mod committer;
pub(crate) mod memtable;
mod scan;
pub(crate) mod waiters;
