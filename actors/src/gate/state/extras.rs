//! What most gates never have, kept apart from what all of them do.

use crate::gate::state::{
    rate_limit::RateUsage, release_rate::ReleaseRate, wait_histogram::Buckets,
};

/// Totals that most gates never count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtraTotals {
    pub(crate) timed_out: u64,
    pub(crate) cancelled: u64,
    pub(crate) evicted: u64,
    pub(crate) expired: u64,
    pub(crate) rejected: u64,
}

/// What a gate has only once somebody waited or was refused there, or with a rate or a quota.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    pub(crate) totals: ExtraTotals,
    pub(crate) rate_usage: Option<RateUsage>,
    pub(crate) release_rate: ReleaseRate,
    pub(crate) wait_histogram: Option<Box<Buckets>>,
    /// When the waits were written last, in seconds.
    pub(crate) waits_written_s: u32,
}
