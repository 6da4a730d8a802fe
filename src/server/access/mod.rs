//! Who may ask: tokens, origins, hosts.

pub(crate) mod auth;
pub(crate) mod cors;
pub(crate) mod door;
