//! Which addresses may be posted to, and how they are found.

pub(crate) mod policy;
pub(crate) mod range;
pub(crate) mod resolver;
pub(crate) mod target;
