//! What the promises are tested with.

pub(crate) mod altered;
pub(crate) mod counter;
pub(crate) mod fleet;
pub(crate) mod gate;
pub(crate) mod http;
pub(crate) mod lease;
pub(crate) mod loadtest;
pub(crate) mod node;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod socket;
