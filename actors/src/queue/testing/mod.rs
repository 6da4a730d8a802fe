//! The rules of a queue on a memory engine, and against the simplest queue there is.

#[cfg(test)]
mod model;
#[cfg(test)]
pub(crate) mod test_harness;
