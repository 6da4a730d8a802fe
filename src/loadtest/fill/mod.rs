//! Filling queues before a run, and emptying them after it.

pub(crate) mod backlog;
pub(crate) mod bulk;
pub(crate) mod drain;
pub(crate) mod prepopulate;
