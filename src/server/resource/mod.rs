//! A file for each resource: its calls, from the request to its answer.

pub(crate) mod consumer;
pub(crate) mod gate;
pub(crate) mod lease;
pub(crate) mod message;
pub(crate) mod operation;
pub(crate) mod push;
pub(crate) mod queue;
pub(crate) mod queue_config;
pub(crate) mod queues;
mod settings_patch;
pub(crate) mod sink;
pub(crate) mod stream;
pub(crate) mod subscribe;
pub(crate) mod worker;
