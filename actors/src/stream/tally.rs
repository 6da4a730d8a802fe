//! What all streams of a node count together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{
    Class, End, Published, StreamTotals,
    class::{CLASS_COUNT, PerClass},
};

/// Counters that every stream and subscriber of a node adds to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    subscribed: AtomicU64,
    ended: [AtomicU64; End::ALL.len()],
    slowed: AtomicU64,
    published: Counter,
    evicted: Counter,
    refused: Counter,
    queued: AtomicU64,
    delivered: AtomicU64,
}

#[derive(Debug, Default)]
struct Counter([AtomicU64; CLASS_COUNT]);

impl Counter {
    fn add(&self, counts: &PerClass<u64>) {
        for class in Class::ALL {
            if let count @ 1.. = *counts.of(class) {
                self.0[class as usize].fetch_add(count, Relaxed);
            }
        }
    }

    fn read(&self) -> PerClass<u64> {
        let mut counts = PerClass::default();
        for class in Class::ALL {
            *counts.of_mut(class) = self.0[class as usize].load(Relaxed);
        }
        counts
    }
}

impl Tally {
    /// A subscriber more; answers how many there were before, ever.
    pub(super) fn subscribed(&self) -> u64 {
        self.subscribed.fetch_add(1, Relaxed)
    }

    pub(super) fn ended(&self, end: End) {
        self.ended[end as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn slowed(&self) {
        self.slowed.fetch_add(1, Relaxed);
    }

    pub(super) fn delivered(&self, count: u64) {
        self.delivered.fetch_add(count, Relaxed);
    }

    pub(super) fn published(&self, class: Class, done: &Published, evicted: &PerClass<u64>) {
        self.published.0[class as usize].fetch_add(1, Relaxed);
        self.refused.0[class as usize].fetch_add(done.refused, Relaxed);
        self.queued.fetch_add(done.queued, Relaxed);
        self.evicted.add(evicted);
    }

    pub(super) fn totals(&self) -> StreamTotals {
        let ended = |end: End| (end, self.ended[end as usize].load(Relaxed));
        let ended: Vec<_> = End::ALL.into_iter().map(ended).collect();
        let subscribed = self.subscribed.load(Relaxed);
        let gone: u64 = ended.iter().map(|(_, count)| count).sum();
        StreamTotals {
            subscriber_count: subscribed.saturating_sub(gone),
            subscribed,
            published: self.published.read(),
            queued: self.queued.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            evicted: self.evicted.read(),
            refused: self.refused.read(),
            slowed: self.slowed.load(Relaxed),
            ended,
        }
    }
}
