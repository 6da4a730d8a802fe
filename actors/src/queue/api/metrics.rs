//! Figures of all queues of a node together.

use lanekeeper_storage::record::QueueTotals;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::node::lifecycle::Node;

/// What all queues did, one count for each of [`QueueTotals`].
#[derive(Debug, Default)]
pub(crate) struct QueueMetrics([AtomicU64; COUNTS]);

/// Totals are counts and nothing else, so that none can be forgotten below.
const COUNTS: usize = size_of::<QueueTotals>() / size_of::<u64>();

impl QueueMetrics {
    /// Counts what a queue did between two moments.
    pub(crate) fn add(&self, before: &QueueTotals, after: &QueueTotals) {
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
        let mut totals = QueueTotals::default();
        for (total, count) in each(&mut totals).into_iter().zip(&self.0) {
            *total = count.load(Relaxed);
        }
        totals
    }
}

/// The totals in the order in which they are counted, all of them.
fn each(totals: &mut QueueTotals) -> [&mut u64; COUNTS] {
    [
        &mut totals.pushed,
        &mut totals.received,
        &mut totals.popped,
        &mut totals.acked,
        &mut totals.nacked,
        &mut totals.expired,
        &mut totals.dropped,
        &mut totals.dead_lettered,
        &mut totals.redriven,
        &mut totals.rejected,
        &mut totals.duplicates,
        &mut totals.evicted,
        &mut totals.cancelled,
        &mut totals.purged,
    ]
}

fn counts(totals: &QueueTotals) -> [u64; COUNTS] {
    let mut totals = *totals;
    each(&mut totals).map(|total| *total)
}

impl Node {
    /// What all queues of this node did since it was opened.
    pub fn queue_totals(&self) -> QueueTotals {
        self.runtime().shared.get::<QueueMetrics>().totals()
    }
}
