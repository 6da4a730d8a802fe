//! The embedded engine: a journal in front of an ordered store.
//!
//! A commit passes `engine` → `engine_core` (bounds) → `commit::commit_queue` (order, position in
//! the journal) → `commit::memtable` (reads see it) → `commit::committer` (one write and one fsync
//! for all) → `commit::waiters` (callers are told). In the background `checkpoint` merges the
//! memtable into the `backing` and frees the journal before it. `open` is the way back: manifest,
//! backing, and the journal's `recovery` into the memtable.

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
