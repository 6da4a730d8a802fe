//! What all streams of a node count together.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::stream::api::{
    event::End,
    priority_class::{CLASS_COUNT, Class, PerClass},
    stats::{Published, SEND_BOUNDS, StreamTotals},
};

/// Counters that every stream and subscriber of a node adds to.
#[derive(Debug, Default)]
pub(crate) struct StreamMetrics {
    subscribed: AtomicU64,
    ended: [AtomicU64; End::ALL.len()],
    slowed: AtomicU64,
    slow_events: AtomicU64,
    backpressure_events: AtomicU64,
    published: Counter,
    evicted: Counter,
    refused: Counter,
    queued: AtomicU64,
    delivered: AtomicU64,
    delivered_bytes: AtomicU64,
    sends: [AtomicU64; SEND_BOUNDS.len() + 1],
    send_micros: AtomicU64,
}

/// What was given to a subscriber, and how long that took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Sends, by the first of the [`SEND_BOUNDS`] that they did not exceed.
    pub(crate) sends: [u32; SEND_BOUNDS.len() + 1],
    pub(crate) send_time: Duration,
}

impl Given {
    /// A send has ended.
    pub(crate) fn sent(&mut self, took: Duration) {
        self.sends[SEND_BOUNDS.iter().take_while(|bound| took > **bound).count()] += 1;
        self.send_time += took;
    }
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

impl StreamMetrics {
    /// A subscriber more; answers how many there were before, ever.
    pub(crate) fn subscribed(&self) -> u64 {
        self.subscribed.fetch_add(1, Relaxed)
    }

    pub(crate) fn ended(&self, end: End) {
        self.ended[end as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn slowed(&self) {
        self.slowed.fetch_add(1, Relaxed);
    }

    /// A send was slow.
    pub(crate) fn dawdled(&self) {
        self.slow_events.fetch_add(1, Relaxed);
    }

    /// A subscriber came under backpressure.
    pub(crate) fn pressed(&self) {
        self.backpressure_events.fetch_add(1, Relaxed);
    }

    pub(crate) fn given(&self, given: &Given) {
        self.delivered.fetch_add(given.messages, Relaxed);
        self.delivered_bytes.fetch_add(given.bytes, Relaxed);
        for (count, sends) in self.sends.iter().zip(given.sends) {
            if sends > 0 {
                count.fetch_add(u64::from(sends), Relaxed);
            }
        }
        let micros = u64::try_from(given.send_time.as_micros()).unwrap_or(u64::MAX);
        self.send_micros.fetch_add(micros, Relaxed);
    }

    pub(crate) fn published(&self, class: Class, done: &Published, evicted: &PerClass<u64>) {
        self.published.0[class as usize].fetch_add(1, Relaxed);
        self.refused.0[class as usize].fetch_add(done.refused, Relaxed);
        self.queued.fetch_add(done.queued, Relaxed);
        self.evicted.add(evicted);
    }

    pub(crate) fn totals(&self) -> StreamTotals {
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
            slow_events: self.slow_events.load(Relaxed),
            backpressure_events: self.backpressure_events.load(Relaxed),
            delivered_bytes: self.delivered_bytes.load(Relaxed),
            sends: self.sends.each_ref().map(|count| count.load(Relaxed)),
            send_time: Duration::from_micros(self.send_micros.load(Relaxed)),
            ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_counts_at_the_first_bound_that_it_does_not_exceed() {
        let metrics = StreamMetrics::default();
        for micros in [0, 10, 11, 5_000_000, 5_000_001] {
            let mut given = Given::default();
            given.sent(Duration::from_micros(micros));
            metrics.given(&given);
        }
        let totals = metrics.totals();
        let counted = totals.sends.iter().zip(1..).filter(|(count, _)| **count > 0);
        let counted: Vec<(u64, usize)> = counted.map(|(count, place)| (*count, place)).collect();
        assert_eq!(counted, [(2, 1), (1, 2), (1, 12), (1, 13)]);
        assert_eq!(totals.send_time, Duration::from_micros(10_000_022));
    }
}
