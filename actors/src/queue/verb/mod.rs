//! What a queue is asked: a file for each verb, with its request and its handler.

pub(crate) mod change_message;
pub(crate) mod dead_letter;
pub(crate) mod delete;
pub(crate) mod expire;
pub(crate) mod gate_permits;
pub(crate) mod handler;
pub(crate) mod inspect;
pub(crate) mod peek;
mod pop;
pub(crate) mod push;
pub(crate) mod redrive;
pub(crate) mod serve_waiters;
pub(crate) mod settle;
pub(crate) mod worker_offline;
