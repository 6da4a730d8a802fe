//! The fault engine: the embedded engine's own journal, overlay, checkpoint and recovery, on a disk
//! that is made to fail, all from a seed.
//!
//! Nothing runs by itself: whoever waits for a commit does the work of the commit thread, so that
//! the same calls come to the same operations of the disk, and each of them can be cut.

mod base;
pub(crate) mod disk;
mod engine;
mod files;

pub use disk::{Crash, Failure, FaultDisk};
pub use engine::FaultEngine;
