//! Consuming a queue: the loop that leases, the tasks that handle, and what failed.

pub(crate) mod lease_source;
pub(crate) mod options;
pub(crate) mod retry;
mod run;
mod task;
