//! The fault engine: the embedded engine's own journal, memtable, checkpoint and recovery, on a
//! disk that is made to fail, all from a seed.
//!
//! Nothing runs by itself: a caller waiting for a commit does the work of the committer, so that
//! the same calls come to the same operations of the disk, and each of them can be cut.

mod base;
pub(crate) mod disk;
mod engine;
mod files;

pub use disk::{Crash, Failure, FaultDisk};
pub use engine::FaultEngine;
