//! What is used of a rate and of a quota.

use lanekeeper_storage::record::Rate;
use std::collections::VecDeque;

use lanekeeper_storage::record::GateUsage;

use crate::gate::api::policy::Quota;

/// Parts into which the window of a quota is divided.
const PARTS: u64 = 60;
const NS_PER_MS: u64 = 1_000_000;

/// What a gate has used of its rate and its quota.
///
/// The rate is the generic cell rate algorithm (ITU-T I.371): a token bucket kept as one instant,
/// the one at which it would be full again.
///
/// The quota is a sliding window of counters: the window is divided into 60 parts, each with a
/// count. What was accepted in a part leaves the window when the whole part has, so that no window
/// of that length ever holds more than the limit, and what is used comes back at most a sixtieth of
/// the window late. It takes 61 counts at most, whatever the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateUsage {
    full_at_ns: u64,
    window_s: u32,
    parts: VecDeque<(u64, u64)>,
}

impl From<GateUsage> for RateUsage {
    fn from(record: GateUsage) -> Self {
        let GateUsage { full_at_ns, window_s, parts } = record;
        Self { full_at_ns, window_s, parts: parts.into() }
    }
}

impl RateUsage {
    pub(crate) fn record(&self) -> GateUsage {
        let Self { full_at_ns, window_s, parts } = self;
        let parts = parts.iter().copied().collect();
        GateUsage { full_at_ns: *full_at_ns, window_s: *window_s, parts }
    }

    /// Milliseconds until the rate accepts one more; 0 if it does now.
    pub(crate) fn rate_wait_ms(&self, rate: Rate, now_ms: u64) -> u64 {
        let now_ns = now_ms.saturating_mul(NS_PER_MS);
        let (interval_ns, bucket_ns) = spans_ns(rate);
        // A clock that was set back must not lock anybody out for longer than a bucket.
        let full_at_ns = self.full_at_ns.clamp(now_ns, now_ns.saturating_add(bucket_ns));
        let free_at_ns = full_at_ns.saturating_add(interval_ns).saturating_sub(bucket_ns);
        free_at_ns.saturating_sub(now_ns).div_ceil(NS_PER_MS)
    }

    /// Milliseconds until the quota accepts one more; 0 if it does now.
    pub(crate) fn quota_wait_ms(&self, quota: Quota, now_ms: u64) -> u64 {
        if self.window_s != quota.per.seconds() {
            return 0;
        }
        let part_ms = part_ms(quota);
        let current = now_ms / part_ms;
        let first = current.saturating_sub(PARTS);
        // A clock that was set back must not lock anybody out for longer than a window.
        let counted = || {
            let parts = self.parts.iter().filter(|(part, _)| *part >= first);
            parts.map(|&(part, count)| (part.min(current), count))
        };
        let used: u64 = counted().map(|(_, count)| count).sum();
        let Some(mut excess) = (used + 1).checked_sub(quota.limit).filter(|&excess| excess > 0)
        else {
            return 0;
        };
        for (part, count) in counted() {
            if excess <= count {
                return ((part + PARTS + 1) * part_ms).saturating_sub(now_ms);
            }
            excess -= count;
        }
        0
    }

    /// Counts one more.
    pub(crate) fn count(&mut self, rate: Option<Rate>, quota: Option<Quota>, now_ms: u64) {
        if let Some(rate) = rate {
            let now_ns = now_ms.saturating_mul(NS_PER_MS);
            let (interval_ns, bucket_ns) = spans_ns(rate);
            let full_at_ns = self.full_at_ns.clamp(now_ns, now_ns.saturating_add(bucket_ns));
            self.full_at_ns = full_at_ns.saturating_add(interval_ns);
        }
        if let Some(quota) = quota {
            self.count_quota(quota, now_ms);
        }
    }

    fn count_quota(&mut self, quota: Quota, now_ms: u64) {
        if self.window_s != quota.per.seconds() {
            self.window_s = quota.per.seconds();
            self.parts.clear();
        }
        let part = now_ms / part_ms(quota);
        while self.parts.front().is_some_and(|(first, _)| *first < part.saturating_sub(PARTS)) {
            self.parts.pop_front();
        }
        let mut accepted = 1;
        // Also parts that are still to come, by a clock that was set back since.
        while let Some((_, count)) = self.parts.pop_back_if(|(last, _)| *last >= part) {
            accepted += count;
        }
        self.parts.push_back((part, accepted));
    }
}

fn part_ms(quota: Quota) -> u64 {
    u64::from(quota.per.seconds()) * 1_000 / PARTS
}

/// The time a token takes to come back, and the time all of them take, in nanoseconds.
fn spans_ns(rate: Rate) -> (u64, u64) {
    let interval_ns = 1_000_000_000_000_000_u64.div_ceil(rate.millionths().max(1));
    (interval_ns, interval_ns.saturating_mul(u64::from(rate.burst)))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::gate::api::policy::Period;

    const NOW: u64 = 1_800_000_000_123;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_one_at_a_time() {
        let rate = Rate::per_second(4, 3);
        let mut rate_usage = RateUsage::default();
        for _ in 0..3 {
            assert_eq!(rate_usage.rate_wait_ms(rate, NOW), 0);
            rate_usage.count(Some(rate), None, NOW);
        }
        assert_eq!(rate_usage.rate_wait_ms(rate, NOW), 250);
        assert_eq!(rate_usage.rate_wait_ms(rate, NOW + 249), 1);
        assert_eq!(rate_usage.rate_wait_ms(rate, NOW + 250), 0);
        rate_usage.count(Some(rate), None, NOW + 250);
        assert_eq!(rate_usage.rate_wait_ms(rate, NOW + 250), 250);
        assert_eq!(rate_usage.rate_wait_ms(rate, NOW + 10_000), 0);
    }

    #[test]
    fn a_rate_below_one_a_second_is_exact() {
        let rate = Rate::millionths_per_second(100_000, 1);
        let mut rate_usage = RateUsage::default();
        rate_usage.count(Some(rate), None, NOW);
        assert_eq!(rate_usage.rate_wait_ms(rate, NOW), 10_000);
        assert_eq!(rate_usage.rate_wait_ms(rate, NOW + 9_999), 1);
        assert_eq!(rate_usage.rate_wait_ms(rate, NOW + 10_000), 0);
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out_for_longer_than_a_bucket() {
        let rate = Rate::per_second(1, 2);
        let mut rate_usage = RateUsage::default();
        rate_usage.count(Some(rate), None, NOW);
        rate_usage.count(Some(rate), None, NOW);
        assert_eq!(rate_usage.rate_wait_ms(rate, NOW - 3_600_000), 1_000);
    }

    #[test]
    fn a_quota_never_gives_more_in_any_window_and_says_when_it_gives_again() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for per in [Period::Minute, Period::Hour, Period::Day] {
            let quota = Quota { limit: random.u64(1..20), per };
            let window_ms = u64::from(per.seconds()) * 1_000;
            let (mut rate_usage, mut now, mut accepted) =
                (RateUsage::default(), NOW, VecDeque::new());
            for _ in 0..2_000 {
                now += random.u64(..window_ms / 10);
                let wait_ms = rate_usage.quota_wait_ms(quota, now);
                if wait_ms > 0 {
                    assert!(wait_ms <= window_ms + window_ms / PARTS, "seed {seed}");
                    assert!(rate_usage.quota_wait_ms(quota, now + wait_ms - 1) > 0, "seed {seed}");
                    assert_eq!(rate_usage.quota_wait_ms(quota, now + wait_ms), 0, "seed {seed}");
                    continue;
                }
                rate_usage.count(None, Some(quota), now);
                accepted.push_back(now);
                accepted.retain(|&at| at + window_ms > now);
                assert!(accepted.len() as u64 <= quota.limit, "seed {seed}");
                assert!(rate_usage.parts.len() <= 61, "seed {seed}");
            }
        }
    }

    #[test]
    fn a_clock_set_back_holds_a_quota_up_for_no_longer_than_its_window() {
        let quota = Quota { limit: 2, per: Period::Minute };
        let mut rate_usage = RateUsage::default();
        rate_usage.count(None, Some(quota), NOW);
        rate_usage.count(None, Some(quota), NOW + 30_000);
        let earlier = NOW - 3_600_000;
        let wait_ms = rate_usage.quota_wait_ms(quota, earlier);
        assert!((60_000..=61_000).contains(&wait_ms), "{wait_ms}");
        rate_usage.count(None, Some(Quota { limit: 3, ..quota }), earlier);
        assert_eq!(rate_usage.parts.len(), 1, "what seems to come later counts as now");
        let wait_ms = rate_usage.quota_wait_ms(quota, earlier + 30_000);
        assert!((30_000..=31_000).contains(&wait_ms), "{wait_ms}");
        assert_eq!(rate_usage.quota_wait_ms(quota, earlier + 30_000 + wait_ms), 0);
    }

    #[test]
    fn usage_survives_its_record() {
        let (rate, quota) = (Rate::per_second(9, 2), Quota { limit: 5, per: Period::Day });
        let mut rate_usage = RateUsage::default();
        rate_usage.count(Some(rate), Some(quota), NOW);
        rate_usage.count(Some(rate), Some(quota), NOW + 86_400_000 / 60);
        assert_eq!(RateUsage::from(rate_usage.record()), rate_usage);
    }
}
