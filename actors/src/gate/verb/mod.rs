//! What a gate is asked: a file for each verb, with its request and its handler.

pub(crate) mod acquire;
mod change_policy;
pub(crate) mod delete;
pub(crate) mod handler;
mod inspect;
pub(crate) mod release_worker;
