//! The rules of a stream and of each subscriber: no clock, no I/O, no task.

pub(crate) mod class_queue;
mod drain_rate;
pub(crate) mod numbering;
pub(crate) mod retained;
mod send_queue;
pub(crate) mod shared_buffer;
pub(crate) mod subscriber_set;
pub(crate) mod subscriber_state;
