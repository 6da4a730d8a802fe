//! The rules of a gate against the simplest gate there is.

#[cfg(test)]
mod model;
#[cfg(test)]
pub(crate) mod test_harness;
