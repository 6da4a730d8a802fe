//! What survives a crash: the engine seam, and the engines behind it.
//!
//! The runtime asks little of what is below it: *load* ([`Engine::get`], [`Engine::scan`]),
//! *commit* ([`Engine::commit`], [`Engine::poll_committed`]) and *ownership* ([`Engine::claim`]).
//! Keys are made in [`key`], values in [`record`]; nothing else knows a byte of either. What is on
//! the disk is described in `FORMAT.md`.
//!
//! Nothing here knows actors, tasks or sockets.

mod batch;
mod check;
mod codec;
mod embedded;
mod engine;
mod error;
pub mod key;
mod memory;
pub mod record;
mod salvage;
mod stopwatch;
mod testing;

pub use batch::{Batch, Write};
pub use check::{CheckReport, Problem, check};
pub use codec::{CodecError, decode_state, encode_state};
pub use embedded::{EmbeddedEngine, EmbeddedOptions};
pub use engine::seam::{
    CommitSeq, Durability, Engine, EngineStatus, Epoch, Fence, Maintenance, ScanLimit, ShardNo,
};
pub use error::{CommitError, LoadError, OpenError};
pub use key::{Key, KeyRange};
pub use memory::MemoryEngine;
pub use salvage::{Salvage, SavedMessage};
#[cfg(feature = "test-util")]
pub use testing::conformance;
#[cfg(feature = "test-util")]
pub use testing::fault::{Crash, Failure, FaultDisk, FaultEngine};
