//! What a user holds of workers: addresses, settings, figures, errors.

pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod heartbeat;
pub(crate) mod list;
pub(crate) mod options;
pub(crate) mod stats;
pub(crate) mod worker_info;
