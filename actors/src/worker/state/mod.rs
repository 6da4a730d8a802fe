//! The rules of liveness: who is online, and what has to be written. No clock, no I/O.

pub(crate) mod pending_write;
pub(crate) mod worker_entry;
pub(crate) mod worker_table;
