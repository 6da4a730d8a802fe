//! What a user holds of a stream: its address, requests, events, subscribers, figures, errors.

pub(crate) mod config;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod handle;
pub(crate) mod metrics;
pub(crate) mod priority_class;
pub(crate) mod requests;
pub(crate) mod stats;
pub(crate) mod subscriber;
