//! How fast a subscriber takes what it is sent.

use std::time::Duration;

/// Slow sends in a row that are borne with, and quick ones that show that it keeps up again.
pub(crate) const SLOW_MAX: u64 = 5;

/// What a send changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateChange {
    /// The subscriber is slow from now on.
    Slow,
    /// It keeps up again.
    Quick,
}

/// The sends to one subscriber: how long they took, and what is concluded.
#[derive(Debug)]
pub(crate) struct DrainRate {
    slow_after: Duration,
    is_slow: bool,
    /// Sends in a row that were unlike what is concluded, but for those that say nothing.
    unlike: u64,
    pub(crate) slow_total: u64,
    times: SendTimes,
}

impl DrainRate {
    pub(crate) fn new(slow_after: Duration) -> Self {
        let times = SendTimes::default();
        Self { slow_after, is_slow: false, unlike: 0, slow_total: 0, times }
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.is_slow
    }

    pub(crate) fn times(&self) -> &SendTimes {
        &self.times
    }

    /// Notes a send; says what it changed.
    ///
    /// What lies between a subscriber and who reads may take a burst of sends at once, however
    /// slowly that one reads: a quick send shows that it keeps up only if nothing waited behind it.
    pub(crate) fn sent(&mut self, took: Duration, is_last: bool) -> Option<RateChange> {
        self.times.add(took);
        let is_slow = took > self.slow_after;
        self.slow_total += u64::from(is_slow);
        if !is_slow && !is_last {
            return None;
        }
        if is_slow == self.is_slow {
            self.unlike = 0;
            return None;
        }
        self.unlike += 1;
        if self.unlike <= SLOW_MAX {
            return None;
        }
        (self.is_slow, self.unlike) = (is_slow, 0);
        Some(if is_slow { RateChange::Slow } else { RateChange::Quick })
    }
}

/// Steps into which each doubling of a send time is divided.
const STEPS: usize = 4;
/// Doublings from a microsecond on that are told apart: up to 16 s.
const DOUBLINGS: usize = 24;

/// How long sends took, to within a fifth.
#[derive(Clone, Debug)]
pub(crate) struct SendTimes {
    buckets: [u32; STEPS * DOUBLINGS],
    count: u64,
    sum: Duration,
}

impl Default for SendTimes {
    fn default() -> Self {
        Self { buckets: [0; STEPS * DOUBLINGS], count: 0, sum: Duration::ZERO }
    }
}

impl SendTimes {
    fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket_of(micros);
        self.buckets[bucket] = self.buckets[bucket].saturating_add(1);
        self.count += 1;
        self.sum += took;
    }

    /// The mean; zero without sends.
    pub(crate) fn mean(&self) -> Duration {
        let nanos = self.sum.as_nanos().checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What 99 of 100 sends stayed below; zero without sends.
    pub(crate) fn p99(&self) -> Duration {
        let counted: u64 = self.buckets.iter().copied().map(u64::from).sum();
        let mut above = counted / 100;
        for (bucket, &count) in self.buckets.iter().enumerate().rev() {
            match above.checked_sub(u64::from(count)) {
                Some(rest) => above = rest,
                None => return Duration::from_micros(upper_bound(bucket)),
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a send time: the highest bit says which doubling, the next two which step.
fn bucket_of(micros: u64) -> usize {
    let micros = micros.max(1);
    let doubling = micros.ilog2() as usize;
    let step = if doubling < 2 { 0 } else { (micros >> (doubling - 2)) as usize & (STEPS - 1) };
    (doubling * STEPS + step).min(STEPS * DOUBLINGS - 1)
}

/// The first microsecond above a bucket.
fn upper_bound(bucket: usize) -> u64 {
    let (doubling, step) = (bucket / STEPS, bucket % STEPS);
    match doubling {
        0 | 1 => 2 << doubling,
        _ => ((STEPS + step + 1) as u64) << (doubling - 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(501);
    const QUICK: Duration = Duration::from_millis(500);

    fn drain_rate() -> DrainRate {
        DrainRate::new(QUICK)
    }

    #[test]
    fn more_than_five_slow_sends_in_a_row_make_it_slow() {
        let mut drain_rate = drain_rate();
        for _ in 0..3 {
            for _ in 0..SLOW_MAX {
                assert_eq!(drain_rate.sent(SLOW, true), None);
            }
            assert_eq!(drain_rate.sent(QUICK, true), None, "a quick one in between begins anew");
        }
        for _ in 0..SLOW_MAX {
            drain_rate.sent(SLOW, true);
        }
        assert_eq!(drain_rate.sent(SLOW, true), Some(RateChange::Slow));
        assert_eq!(drain_rate.sent(SLOW, true), None, "it is told once");
        assert_eq!(drain_rate.slow_total, 22);
    }

    #[test]
    fn it_recovers_as_it_became_slow() {
        let mut drain_rate = drain_rate();
        for _ in 0..=SLOW_MAX {
            drain_rate.sent(SLOW, true);
        }
        for _ in 0..SLOW_MAX {
            assert_eq!(drain_rate.sent(QUICK, true), None);
        }
        assert_eq!(drain_rate.sent(QUICK, true), Some(RateChange::Quick));
        assert!(!drain_rate.is_slow());
    }

    #[test]
    fn a_burst_that_is_taken_at_once_says_nothing() {
        let mut drain_rate = drain_rate();
        for _ in 0..SLOW_MAX {
            assert_eq!(drain_rate.sent(SLOW, false), None);
            assert_eq!(drain_rate.sent(QUICK, false), None);
        }
        assert_eq!(drain_rate.sent(SLOW, false), Some(RateChange::Slow));
        for _ in 0..2 * SLOW_MAX {
            assert_eq!(drain_rate.sent(QUICK, false), None);
        }
        for _ in 0..SLOW_MAX {
            assert_eq!(drain_rate.sent(QUICK, true), None);
            assert_eq!(drain_rate.sent(QUICK, false), None);
        }
        assert_eq!(drain_rate.sent(QUICK, true), Some(RateChange::Quick));
        assert_eq!(drain_rate.slow_total, SLOW_MAX + 1);
    }

    #[test]
    fn send_times_are_told_to_within_a_fourth() {
        for micros in [1, 2, 3, 5, 10, 100, 777, 5_000, 499_999, 1_000_000, 5_000_000] {
            let mut times = SendTimes::default();
            times.add(Duration::from_micros(micros));
            let told = times.p99().as_micros() as u64;
            assert!(told > micros && told <= (micros * 5).div_ceil(4).max(4), "{micros}: {told}");
        }
    }

    #[test]
    fn one_of_a_hundred_may_be_above_the_p99() {
        let mut times = SendTimes::default();
        for _ in 0..99 {
            times.add(Duration::from_micros(100));
        }
        times.add(Duration::from_secs(1));
        assert!(times.p99() < Duration::from_micros(130), "{:?}", times.p99());
        times.add(Duration::from_secs(1));
        assert!(times.p99() >= Duration::from_secs(1), "{:?}", times.p99());
        assert_eq!(SendTimes::default().p99(), Duration::ZERO);
    }
}
