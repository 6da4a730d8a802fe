//! The rules of a queue on a memory engine, and against the simplest queue there is.

mod model;
pub(crate) mod test_harness;
