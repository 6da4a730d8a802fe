//! What a stream is asked: requests and their handlers.

mod change_config;
mod delete;
pub(crate) mod handler;
