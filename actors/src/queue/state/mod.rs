//! The rules of a queue: a time and a batch in, no clock, no I/O, no task.

pub(crate) mod expiry;
pub(crate) mod message;
pub(crate) mod order;
pub(crate) mod queue_state;
mod settings;
pub(crate) mod settle;
pub(crate) mod undelivered;
pub(crate) mod waiters;
