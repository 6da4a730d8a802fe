//! The commands of a data directory that nobody has open.

pub(crate) mod check;
pub(crate) mod export;
mod repair;
