//! The rules of a gate: a time and a batch in, no clock, no I/O, no task.

mod deadline;
pub(crate) mod entry;
pub(crate) mod extras;
pub(crate) mod gate_state;
mod group_counter;
mod group_queue;
mod persist;
pub(crate) mod rate_limit;
pub(crate) mod release_rate;
pub(crate) mod turn_context;
pub(crate) mod wait_histogram;
pub(crate) mod wait_queue;
