//! What a queue is told about itself: config, durability, sink.

pub(crate) mod change_config;
mod durability;
pub(crate) mod sink;
