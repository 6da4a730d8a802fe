//! How turns run: which actor is where, its mailbox, its turn, its commit, its passivation.
//!
//! May use: `time`, `outbox`, `maintenance`.

pub(crate) mod activation;
pub(crate) mod actor_type;
pub(crate) mod call_chain;
pub(crate) mod commit_barrier;
pub(crate) mod directory;
mod extensions;
pub(crate) mod kind_settings;
pub(crate) mod mailbox;
pub(crate) mod memory_budget;
pub(crate) mod passivation;
pub(crate) mod shared_state;
pub(crate) mod turn;
