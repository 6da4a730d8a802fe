//! Engines that fail where they are told to, and the suite that every engine passes.

#[cfg(feature = "test-util")]
pub mod conformance;
#[cfg(feature = "test-util")]
pub(crate) mod fault;
