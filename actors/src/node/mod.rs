//! A node: its settings, its opening, its status and lists, and its ordered end.
//!
//! May use: everything below it.

mod advance;
pub(crate) mod builder;
pub(crate) mod event;
pub(crate) mod lifecycle;
pub(crate) mod list;
