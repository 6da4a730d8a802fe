//! What was delivered, counted over all sinks.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Figures of all sinks together; totals count from the start of the delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkStats {
    /// Messages that their receivers were done with.
    pub delivered_total: u64,
    /// Messages that their receivers took over, to settle them later.
    pub accepted_total: u64,
    /// Deliveries that failed.
    pub failed_total: u64,
    /// Messages given back without being sent, or cut off while they were.
    pub released_total: u64,
    /// Deliveries that came to an end after their lease had: another follows or has followed.
    pub late_total: u64,
    /// Deliveries under way.
    pub under_way: u64,
    /// Sinks that wait because there are more than
    /// [`SinkOptions`](crate::webhook::runner::SinkOptions) allows.
    pub waiting: u64,
    /// Sinks whose receivers are taken to be down: they are tried now and then.
    pub held_back: u64,
    /// Pauses made because a receiver was down.
    pub pauses_total: u64,
    /// Times that a queue refused to lease, as one does that is paused.
    pub refusals_total: u64,
}

/// Reads the [`SinkStats`] of a delivery. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SinkFigures(pub(crate) Arc<Counters>);

impl SinkFigures {
    /// The figures as of now.
    pub fn stats(&self) -> SinkStats {
        self.0.stats()
    }

    /// Whether the sink of a queue waits because there are too many.
    pub(crate) fn is_waiting(&self, queue: &str) -> bool {
        self.0.waiting().contains(queue)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) released: AtomicU64,
    pub(crate) late: AtomicU64,
    under_way: AtomicU64,
    held_back: AtomicU64,
    /// The queues whose sinks have no place.
    waiting: Mutex<BTreeSet<String>>,
    pub(crate) pauses: AtomicU64,
    pub(crate) refusals: AtomicU64,
}

impl Counters {
    pub(crate) fn stats(&self) -> SinkStats {
        SinkStats {
            delivered_total: self.delivered.load(Relaxed),
            accepted_total: self.accepted.load(Relaxed),
            failed_total: self.failed.load(Relaxed),
            released_total: self.released.load(Relaxed),
            late_total: self.late.load(Relaxed),
            under_way: self.under_way.load(Relaxed),
            waiting: self.waiting().len() as u64,
            held_back: self.held_back.load(Relaxed),
            pauses_total: self.pauses.load(Relaxed),
            refusals_total: self.refusals.load(Relaxed),
        }
    }

    /// Counts a delivery as under way until what is returned is dropped.
    pub(crate) fn begin(&self) -> Counted<'_> {
        Counted::new(&self.under_way)
    }

    /// The queues whose sinks have no place.
    pub(crate) fn waiting(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.waiting.lock().expect("nobody panics with it")
    }

    /// Counts a sink as held back until what is returned is dropped.
    pub(crate) fn hold_back(&self) -> Counted<'_> {
        Counted::new(&self.held_back)
    }
}

/// Something that is counted for as long as this is there.
pub(crate) struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
