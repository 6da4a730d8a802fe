//! How long those who were let in lately had waited.

use std::time::Duration;

use lanekeeper_storage::record::GateWaits;

/// The length of a window.
const WINDOW_MS: u64 = 300_000;

/// Buckets: 16 of a millisecond each, then 16 for each doubling up to 49 days.
const BUCKETS: usize = 464;

/// Counts of the window under way and of the one before it, of those who did wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buckets([[u32; BUCKETS]; 2]);

/// Percentiles of waits over the last 5 to 10 minutes.
///
/// A log-linear histogram (as HdrHistogram's) of two windows of 5 minutes, the one under way and
/// the one before it: a percentile is at most a sixteenth too high and never too low. Those who did
/// not wait at all take no bucket, so that a gate without a line has none: whoever keeps this keeps
/// the buckets elsewhere, and brings them along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WaitHistogram {
    window: u32,
    zeros: [u32; 2],
}

/// What is told of waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitStats {
    /// How many were let in within the window.
    pub count: u64,
    /// Half of them waited no longer.
    pub p50: Duration,
    /// 95 of 100 waited no longer.
    pub p95: Duration,
    /// 99 of 100 waited no longer.
    pub p99: Duration,
}

impl WaitHistogram {
    /// Counts one that was let in.
    pub(crate) fn add(&mut self, waited_ms: u64, now_ms: u64, buckets: &mut Option<Box<Buckets>>) {
        self.roll(now_ms, buckets);
        let count = match waited_ms {
            0 => &mut self.zeros[0],
            _ => &mut buckets.get_or_insert_default().0[0][bucket_of(waited_ms)],
        };
        *count = count.saturating_add(1);
    }

    /// Brings the windows up to now.
    fn roll(&mut self, now_ms: u64, buckets: &mut Option<Box<Buckets>>) {
        let window = (now_ms / WINDOW_MS) as u32;
        let passed = window.saturating_sub(self.window);
        if passed == 0 {
            return;
        }
        self.window = window;
        self.zeros = if passed == 1 { [0, self.zeros[0]] } else { [0, 0] };
        if let Some(Buckets([current, previous])) = buckets.as_deref_mut().filter(|_| passed == 1) {
            *previous = std::mem::replace(current, [0; BUCKETS]);
        }
        if passed > 1 || buckets.as_deref() == Some(&Buckets::default()) {
            *buckets = None;
        }
    }

    /// The percentiles as of now.
    pub(crate) fn stats(&self, buckets: Option<&Buckets>, now_ms: u64) -> WaitStats {
        let (mut now, mut buckets) = (*self, buckets.copied().map(Box::new));
        now.roll(now_ms, &mut buckets);
        let of =
            |bucket: usize| buckets.as_ref().map_or(0, |own| own.0[0][bucket] + own.0[1][bucket]);
        let zeros = u64::from(now.zeros[0]) + u64::from(now.zeros[1]);
        let count = zeros + (0..BUCKETS).map(|bucket| u64::from(of(bucket))).sum::<u64>();
        let percentile = |percent: u64| {
            let rank = (count * percent).div_ceil(100);
            let mut below = zeros;
            if count == 0 || below >= rank {
                return Duration::ZERO;
            }
            for bucket in 0..BUCKETS {
                below += u64::from(of(bucket));
                if below >= rank {
                    return Duration::from_millis(top_of(bucket));
                }
            }
            Duration::ZERO
        };
        WaitStats { count, p50: percentile(50), p95: percentile(95), p99: percentile(99) }
    }

    pub(crate) fn record(&self, buckets: Option<&Buckets>) -> GateWaits {
        let list = |window: usize| {
            let counts = buckets.into_iter().flat_map(|buckets| buckets.0[window].iter());
            let counts = counts.enumerate().filter(|(_, count)| **count > 0);
            let mut list: Vec<_> = counts.map(|(at, &count)| (at as u16, count)).collect();
            // Nobody waits 0 ms in a bucket: the place is free for those who did not wait.
            if self.zeros[window] > 0 {
                list.insert(0, (0, self.zeros[window]));
            }
            list
        };
        GateWaits { window: u64::from(self.window), current: list(0), previous: list(1) }
    }

    /// The waits as their record has them, and their buckets.
    pub(crate) fn restored(record: GateWaits) -> (Self, Option<Box<Buckets>>) {
        let mut wait_histogram = Self { window: record.window as u32, ..Self::default() };
        let mut buckets: Option<Box<Buckets>> = None;
        for (window, list) in [record.current, record.previous].into_iter().enumerate() {
            for (at, count) in list {
                match usize::from(at) {
                    0 => wait_histogram.zeros[window] = count,
                    at if at < BUCKETS => buckets.get_or_insert_default().0[window][at] = count,
                    _ => {}
                }
            }
        }
        (wait_histogram, buckets)
    }
}

impl Default for Buckets {
    fn default() -> Self {
        Self([[0; BUCKETS]; 2])
    }
}

fn bucket_of(waited_ms: u64) -> usize {
    let waited = waited_ms.min(u64::from(u32::MAX));
    if waited < 16 {
        return waited as usize;
    }
    let exponent = waited.ilog2();
    let part = (waited >> (exponent - 4)) & 15;
    (exponent as usize - 3) * 16 + part as usize
}

/// The longest wait of a bucket, in milliseconds.
fn top_of(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64;
    }
    let exponent = bucket / 16 + 3;
    ((16 + bucket as u64 % 16 + 1) << (exponent - 4)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn a_bucket_holds_what_is_at_most_a_sixteenth_below_its_top() {
        for waited in (0..100_000).chain([1 << 31, u64::from(u32::MAX), u64::MAX]) {
            let bucket = bucket_of(waited);
            assert!(bucket < BUCKETS, "{waited}");
            let (top, waited) = (top_of(bucket), waited.min(u64::from(u32::MAX)));
            assert!(top >= waited && top - waited <= waited / 16, "{waited} in {top}");
        }
    }

    #[test]
    fn percentiles_count_those_who_did_not_wait() {
        let (mut wait_histogram, mut buckets) = (WaitHistogram::default(), None);
        (0..90).for_each(|_| wait_histogram.add(0, NOW, &mut buckets));
        assert!(buckets.is_none());
        (0..10).for_each(|_| wait_histogram.add(8, NOW, &mut buckets));
        let stats = wait_histogram.stats(buckets.as_deref(), NOW);
        assert_eq!((stats.count, stats.p50.as_millis(), stats.p95.as_millis()), (100, 0, 8));
        assert_eq!(stats.p99.as_millis(), 8);
    }

    #[test]
    fn what_is_older_than_two_windows_is_forgotten_with_its_memory() {
        let (mut wait_histogram, mut buckets) = (WaitHistogram::default(), None);
        wait_histogram.add(5, NOW, &mut buckets);
        assert_eq!(wait_histogram.stats(buckets.as_deref(), NOW + WINDOW_MS).count, 1);
        assert_eq!(wait_histogram.stats(buckets.as_deref(), NOW + 2 * WINDOW_MS).count, 0);
        wait_histogram.add(0, NOW + 2 * WINDOW_MS, &mut buckets);
        assert!(buckets.is_none());
        assert_eq!(wait_histogram.stats(None, NOW + 2 * WINDOW_MS).count, 1);
    }

    #[test]
    fn waits_survive_their_record() {
        let (mut wait_histogram, mut buckets) = (WaitHistogram::default(), None);
        for (waited, at) in [(0, 0), (3, 0), (100_000, 0), (0, WINDOW_MS), (70, WINDOW_MS)] {
            wait_histogram.add(waited, NOW + at, &mut buckets);
        }
        let record = wait_histogram.record(buckets.as_deref());
        assert_eq!(WaitHistogram::restored(record), (wait_histogram, buckets));
    }
}
