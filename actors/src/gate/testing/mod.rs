//! The rules of a gate against the simplest gate there is.

mod model;
pub(crate) mod test_harness;
