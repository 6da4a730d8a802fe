//! The commands of queues and their messages.

pub(crate) mod peek;
pub(crate) mod pop;
pub(crate) mod prepopulate;
pub(crate) mod purge;
pub(crate) mod push;
pub(crate) mod queues;
pub(crate) mod stats;
