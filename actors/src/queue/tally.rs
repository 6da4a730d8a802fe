//! Figures of all queues of a node together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::QueueTotals;
use crate::Node;

/// What all queues did, one count for each of [`QueueTotals`].
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; COUNTS]);

const COUNTS: usize = 14;

impl Tally {
    /// Counts what a queue did between two moments.
    pub(super) fn add(&self, before: &QueueTotals, after: &QueueTotals) {
        if before == after {
            return;
        }
        for (count, (before, after)) in
            self.0.iter().zip(counts(before).into_iter().zip(counts(after)))
        {
            if before != after {
                count.fetch_add(after.wrapping_sub(before), Relaxed);
            }
        }
    }

    fn totals(&self) -> QueueTotals {
        let [
            pushed,
            received,
            popped,
            acked,
            nacked,
            expired,
            dropped,
            dead_lettered,
            redriven,
            rejected,
            duplicates,
            evicted,
            cancelled,
            purged,
        ] = std::array::from_fn(|index| self.0[index].load(Relaxed));
        QueueTotals {
            pushed,
            received,
            popped,
            acked,
            nacked,
            expired,
            dropped,
            dead_lettered,
            redriven,
            rejected,
            duplicates,
            evicted,
            cancelled,
            purged,
        }
    }
}

fn counts(totals: &QueueTotals) -> [u64; COUNTS] {
    [
        totals.pushed,
        totals.received,
        totals.popped,
        totals.acked,
        totals.nacked,
        totals.expired,
        totals.dropped,
        totals.dead_lettered,
        totals.redriven,
        totals.rejected,
        totals.duplicates,
        totals.evicted,
        totals.cancelled,
        totals.purged,
    ]
}

impl Node {
    /// What all queues of this node did since it was opened.
    pub fn queue_totals(&self) -> QueueTotals {
        self.runtime().shared.get::<Tally>().totals()
    }
}
