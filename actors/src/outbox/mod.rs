//! Messages from one actor's turn to another actor, taken exactly once.

pub(crate) mod delivery;
mod delivery_queue;
