//! What a user writes and holds: actors, requests, addresses, replies, errors.
//!
//! May use: `runtime`, `time`.

pub(crate) mod actor_ref;
pub(crate) mod ask;
pub(crate) mod caller;
pub(crate) mod deferred_reply;
pub(crate) mod error;
pub(crate) mod id;
pub(crate) mod virtual_actor;
