//! Liveness: which workers are alive, and who is told when one is not any more.
//!
//! A worker's beats are merged in memory and written together at the flush; what changes its status
//! is written at once. `worker_table` holds the rules, `service` brings them to the store, `duty`
//! flushes, sweeps and tells by itself.

pub(crate) mod api;
pub(crate) mod background;
pub(crate) mod delete;
mod load;
mod service;
mod state;
#[cfg(test)]
mod testing;

pub use api::{
    error::LivenessError,
    handle::{Liveness, Worker},
    heartbeat::Heartbeat,
    list::{ListWorkers, WorkerList},
    options::{InvalidLiveness, LivenessOptions},
    stats::LivenessStats,
    worker_info::{Beat, Departure, OfflineCause, WorkerInfo, WorkerStatus},
};
