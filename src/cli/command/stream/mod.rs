//! The commands of streams.

pub(crate) mod publish;
pub(crate) mod subscribe;
