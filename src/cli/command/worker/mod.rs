//! The commands of workers.

pub(crate) mod heartbeat;
pub(crate) mod workers;
