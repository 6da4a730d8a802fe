//! Figures of all gates of a node together.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::{
    gate::{api::error::BlockedBy, state::gate_state::GateState},
    node::lifecycle::Node,
};

/// All gates of a node in numbers. Totals count from the opening of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateTotals {
    /// Owners that wait at gates that are in memory.
    pub waiting: u64,
    /// Permits held of gates that are in memory.
    pub held: u64,
    /// Permits granted.
    pub granted_total: u64,
    /// Permits released.
    pub released_total: u64,
    /// Permits that ended by their ttl.
    pub expired_total: u64,
    /// Owners that waited too long.
    pub timed_out_total: u64,
    /// Owners that left the line.
    pub cancelled_total: u64,
    /// Owners that gave way to newcomers.
    pub evicted_total: u64,
    /// Owners refused, by what kept them out, in the order of [`BlockedBy`] from
    /// [`BlockedBy::Pause`] on.
    pub refused_total: [u64; REFUSALS.len()],
}

/// What a gate itself refuses for.
const REFUSALS: [BlockedBy; 5] =
    [BlockedBy::Pause, BlockedBy::Full, BlockedBy::Quota, BlockedBy::Rate, BlockedBy::Concurrency];

impl GateTotals {
    /// Owners refused, each with what kept them out.
    pub fn refusals(&self) -> impl Iterator<Item = (BlockedBy, u64)> {
        REFUSALS.into_iter().zip(self.refused_total)
    }
}

/// The figures as they are counted.
#[derive(Debug, Default)]
pub(crate) struct GateMetrics {
    waiting: AtomicI64,
    held: AtomicI64,
    granted: AtomicU64,
    released: AtomicU64,
    expired: AtomicU64,
    timed_out: AtomicU64,
    cancelled: AtomicU64,
    evicted: AtomicU64,
    refused: [AtomicU64; REFUSALS.len()],
}

/// What a gate has counted, for the difference between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    waiting: u32,
    held: u32,
    granted: u64,
    released: u64,
    extras: [u64; 4],
}

impl Mark {
    pub(crate) fn of(rules: &GateState) -> Self {
        let extras = rules.rare_totals();
        Self {
            waiting: rules.waiting_count(),
            held: rules.held_count(),
            granted: rules.granted_total,
            released: rules.completed_total,
            extras: [extras.expired, extras.timed_out, extras.cancelled, extras.evicted],
        }
    }
}

impl GateMetrics {
    /// Counts what a gate did between two moments.
    pub(crate) fn add(&self, before: Mark, after: Mark) {
        self.stand(before, after);
        add(&self.granted, after.granted - before.granted);
        add(&self.released, after.released - before.released);
        let extras = [&self.expired, &self.timed_out, &self.cancelled, &self.evicted];
        for (entry, total) in extras.into_iter().enumerate() {
            add(total, after.extras[entry] - before.extras[entry]);
        }
    }

    /// Counts who is there at a gate after what, instead of before.
    pub(crate) fn stand(&self, before: Mark, after: Mark) {
        let change = |gauge: &AtomicI64, before: u32, after: u32| {
            if before != after {
                gauge.fetch_add(i64::from(after) - i64::from(before), Relaxed);
            }
        };
        change(&self.waiting, before.waiting, after.waiting);
        change(&self.held, before.held, after.held);
    }

    /// Counts an owner that was refused.
    pub(crate) fn refuse(&self, blocked_by: BlockedBy) {
        if let Some(entry) = REFUSALS.iter().position(|&own| own == blocked_by) {
            add(&self.refused[entry], 1);
        }
    }

    fn totals(&self) -> GateTotals {
        let gauge = |gauge: &AtomicI64| gauge.load(Relaxed).max(0) as u64;
        let read = |total: &AtomicU64| total.load(Relaxed);
        GateTotals {
            waiting: gauge(&self.waiting),
            held: gauge(&self.held),
            granted_total: read(&self.granted),
            released_total: read(&self.released),
            expired_total: read(&self.expired),
            timed_out_total: read(&self.timed_out),
            cancelled_total: read(&self.cancelled),
            evicted_total: read(&self.evicted),
            refused_total: std::array::from_fn(|entry| read(&self.refused[entry])),
        }
    }
}

fn add(total: &AtomicU64, count: u64) {
    if count > 0 {
        total.fetch_add(count, Relaxed);
    }
}

impl Node {
    /// All gates of this node together.
    pub fn gate_totals(&self) -> GateTotals {
        self.runtime().shared.get::<crate::gate::policy_cache::PolicyCache>().metrics.totals()
    }
}
