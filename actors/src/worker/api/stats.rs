//! Liveness in numbers.

/// The statistics of liveness; totals count from the opening of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LivenessStats {
    /// Online workers.
    pub online: u64,
    /// Offline workers.
    pub offline: u64,
    /// Workers with heartbeats that are not written yet.
    pub pending: u64,
    /// Offline events that wait for their handlers.
    pub untold: u64,
    /// Heartbeats accepted.
    pub beats_total: u64,
    /// Workers written at once, because their status changed or heartbeats are not merged.
    pub written_total: u64,
    /// Workers written by a flush.
    pub flushed_total: u64,
    /// Flushes that wrote something.
    pub flushes_total: u64,
    /// Flushes that failed; their heartbeats are kept for the next one.
    pub flush_failures_total: u64,
    /// Workers that came online, new ones included.
    pub arrived_total: u64,
    /// Workers marked offline by the sweep.
    pub silent_total: u64,
    /// Workers that deregistered.
    pub deregistered_total: u64,
    /// Offline events that all handlers have handled.
    pub told_total: u64,
    /// Workers removed for new ones.
    pub forgotten_total: u64,
}

/// What is counted as it happens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) beats: u64,
    pub(crate) written: u64,
    pub(crate) flushed: u64,
    pub(crate) flushes: u64,
    pub(crate) flush_failures: u64,
    pub(crate) arrived: u64,
    pub(crate) silent: u64,
    pub(crate) deregistered: u64,
    pub(crate) told: u64,
    pub(crate) forgotten: u64,
}
