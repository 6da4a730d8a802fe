//! Liveness: which workers are alive, and who is told when one is not any more.
//!
//! A worker's beats are merged in memory and written together at the flush; what changes its status
//! is written at once. `fleet` holds the rules, `keeper` brings them to the store, `duty` flushes,
//! sweeps and tells by itself.

mod change;
mod deletion;
mod duty;
mod error;
mod fleet;
mod follower;
mod handle;
mod keeper;
mod list;
mod load;
mod member;
mod options;
mod stats;
#[cfg(test)]
mod trial;
mod verb;
mod worker;

pub(crate) use deletion::forget_offline;
pub use error::LivenessError;
pub use handle::{Liveness, Worker};
pub use list::{ListWorkers, WorkerList};
pub use options::{InvalidLiveness, LivenessOptions};
pub use stats::LivenessStats;
pub use verb::Heartbeat;
pub use worker::{Beat, Departure, OfflineCause, WorkerInfo, WorkerStatus};

pub(crate) use duty::install;
pub(crate) use follower::Followers;
