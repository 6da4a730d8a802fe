//! What is promised over HTTP, resource by resource.

mod control;
mod errors;
mod gate;
mod gate_figure;
mod lease;
mod lease_limits;
mod limits;
mod message;
mod operations;
mod push;
mod settings;
pub(crate) mod stream;
mod take;
mod worker;
