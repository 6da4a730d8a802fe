//! The embedded engine: a journal in front of an ordered store.
//!
//! A commit goes `engine` → `store` (bounds) → `intake` (order, place in the journal) → `overlay`
//! (reads see it) → `commit` (one write and one fsync for all) → `waiters` (who waits is told).
//! In the background `upkeep` folds the overlay into the `base` and frees the `segments` before it.
//! `open` is the way back: manifest, base, and the journal's `recovery` into the overlay.

pub(crate) mod backing;
mod checkpoint;
pub(crate) mod commit;
pub(crate) mod directory;
pub(crate) mod disk;
pub(crate) mod engine;
pub(crate) mod engine_core;
pub(crate) mod journal;
mod maintenance_signal;
mod open;
pub(crate) mod options;
pub(crate) mod os_error;
mod reserve;
mod space;

pub use engine::EmbeddedEngine;
pub use options::EmbeddedOptions;
