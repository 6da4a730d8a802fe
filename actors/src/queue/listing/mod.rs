//! Which queues there are and what they hold, read without activating any of them.

pub(crate) mod counts;
pub(crate) mod depths;
pub(crate) mod ids;
