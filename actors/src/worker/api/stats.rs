//! Liveness in numbers.

/// Liveness in numbers; totals count from the opening of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LivenessStats {
    /// Workers taken to be alive.
    pub online: u64,
    /// Workers known and not taken to be alive.
    pub offline: u64,
    /// Workers whose beats wait for the disk.
    pub pending: u64,
    /// Departures that are still to be told.
    pub untold: u64,
    /// Beats taken.
    pub beats_total: u64,
    /// Workers written at once, because their status changed or every beat is written.
    pub written_total: u64,
    /// Workers written by a flush.
    pub flushed_total: u64,
    /// Flushes that wrote something.
    pub flushes_total: u64,
    /// Flushes that failed; what they were to write is kept for the next.
    pub flush_failures_total: u64,
    /// Workers that came online, new ones included.
    pub arrived_total: u64,
    /// Workers taken for dead.
    pub silent_total: u64,
    /// Workers that said goodbye.
    pub deregistered_total: u64,
    /// Departures told to everyone who follows.
    pub told_total: u64,
    /// Workers forgotten to make room for others.
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
