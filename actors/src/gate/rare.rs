//! What most gates never have, kept apart from what all of them do.

use super::{pace::Pace, usage::Usage, waits::Buckets};

/// Totals that most gates never count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RareTotals {
    pub(super) timed_out: u64,
    pub(super) cancelled: u64,
    pub(super) evicted: u64,
    pub(super) expired: u64,
    pub(super) rejected: u64,
}

/// What a gate has only once somebody waited or was refused there, or with a rate or a quota.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rare {
    pub(super) totals: RareTotals,
    pub(super) usage: Option<Usage>,
    pub(super) pace: Pace,
    pub(super) waits: Option<Box<Buckets>>,
    /// When the waits were written last, in seconds.
    pub(super) waits_written_s: u32,
}
