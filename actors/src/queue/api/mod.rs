//! What a user holds of a queue: its address, requests, messages, leases, figures, errors.

pub(crate) mod config;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod item;
pub(crate) mod lease_handle;
pub(crate) mod lease_request;
pub(crate) mod lease_token;
mod long_poll;
pub(crate) mod message;
pub(crate) mod metrics;
pub(crate) mod requests;
pub(crate) mod stats;
