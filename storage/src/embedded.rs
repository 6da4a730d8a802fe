//! The embedded engine: a journal in front of an ordered store.
//!
//! A commit goes `engine` → `store` (bounds) → `intake` (order, place in the journal) → `overlay`
//! (reads see it) → `commit` (one write and one fsync for all) → `waiters` (who waits is told).
//! In the background `upkeep` folds the overlay into the `base` and frees the `segments` before it.
//! `open` is the way back: manifest, base, and the journal's `recovery` into the overlay.

pub(crate) mod base;
mod bell;
mod commit;
pub(crate) mod directory;
pub(crate) mod disk;
pub(crate) mod engine;
pub(crate) mod failure;
pub(crate) mod fold;
pub(crate) mod format;
pub(crate) mod group;
mod intake;
mod journal;
pub(crate) mod manifest;
mod open;
pub(crate) mod options;
pub(crate) mod overlay;
pub(crate) mod recovery;
mod reserve;
mod room;
mod scan;
pub(crate) mod segment;
mod segments;
mod space;
pub(crate) mod store;
pub(crate) mod survey;
pub(crate) mod tail;
mod upkeep;
mod waiters;

pub use engine::EmbeddedEngine;
pub use options::EmbeddedOptions;
