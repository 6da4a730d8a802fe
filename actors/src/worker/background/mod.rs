//! What liveness does by itself: flush, sweep, and tell who went offline.

pub(crate) mod maintenance;
pub(crate) mod offline_handlers;
