//! What a user holds of a gate: its address, permits, policies, figures, errors.

pub(crate) mod acquire_options;
mod bulk_acquire;
pub(crate) mod error;
pub(crate) mod group;
pub(crate) mod handle;
pub(crate) mod list;
pub(crate) mod metrics;
pub(crate) mod permit;
pub(crate) mod policy;
pub(crate) mod stats;
