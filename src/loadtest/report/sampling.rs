//! What a sample cannot tell: how far figures of short runs differ by chance alone.

use crate::loadtest::record::{latency::Latencies, tally::Count};

/// Standard deviations beyond which a difference is not taken for chance.
const SIGMAS: f64 = 3.0;

/// Requests that must be slower than a percentile for it to say anything.
const TAIL_MIN: f64 = 5.0;

/// The requests of one kind on one side, of all its runs together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) requests: f64,
    pub(crate) failures: f64,
    /// None where percentiles alone are known.
    latencies: Option<Latencies>,
}

impl Sample {
    /// Adds a run of which every latency is known.
    pub(crate) fn add(&mut self, count: &Count) {
        self.requests += count.requests as f64;
        self.failures += count.failures as f64;
        self.latencies.get_or_insert_default().add(&count.latencies);
    }

    /// Adds a run of which the latencies are not known.
    pub(crate) fn add_counts(&mut self, requests: f64, failures: f64) {
        self.requests += requests;
        self.failures += failures;
    }

    /// Whether there are enough requests for a percentile, given as a part of one.
    pub(crate) fn is_enough_for(&self, part: f64) -> bool {
        self.requests * (1.0 - part) >= TAIL_MIN
    }

    /// Whether a percentile is higher than that of a base beyond chance, as far as the latencies
    /// are known.
    pub(crate) fn is_slower(&self, base: &Self, part: f64) -> bool {
        let known = self.latencies.as_ref().zip(base.latencies.as_ref());
        let Some((new, base)) = known else { return true };
        let error = |count: u64| SIGMAS * (part * (1.0 - part) / count.max(1) as f64).sqrt();
        let (least, most) = (part - error(new.count()), part + error(base.count()));
        new.quantile(least.max(0.0)) > base.quantile(most.min(1.0))
    }

    /// Whether a larger part failed than of a base, beyond chance.
    pub(crate) fn fails_more(&self, base: &Self) -> bool {
        let parts = [(base.failures, base.requests), (self.failures, self.requests)];
        exceeds(parts)
    }
}

/// Whether the second part of a whole is larger than the first, beyond chance.
fn exceeds([(few, of_base), (many, of_new)]: [(f64, f64); 2]) -> bool {
    let (of_base, of_new) = (of_base.max(1.0), of_new.max(1.0));
    let together = (few + many) / (of_base + of_new);
    let variance = together * (1.0 - together) * (1.0 / of_base + 1.0 / of_new);
    many / of_new - few / of_base > SIGMAS * variance.max(0.0).sqrt()
}

/// Whether a kind of request has another share on both sides, beyond chance.
pub(crate) fn is_another_share((part, whole): (f64, f64), (other, all): (f64, f64)) -> bool {
    exceeds([(part, whole), (other, all)]) || exceeds([(other, all), (part, whole)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: &[u64], times: usize) -> Sample {
        let mut count = Count::default();
        for _ in 0..times {
            for &millis in millis {
                count.requests += 1;
                count.latencies.record(millis * 1_000_000);
            }
        }
        let mut sample = Sample::default();
        sample.add(&count);
        sample
    }

    #[test]
    fn a_share_that_was_drawn_is_told_from_one_that_was_changed() {
        assert!(!is_another_share((60.0, 100.0), (45.0, 100.0)), "a coin does that");
        assert!(is_another_share((70.0, 100.0), (45.0, 100.0)));
        assert!(is_another_share((6_000.0, 10_000.0), (4_500.0, 10_000.0)));
        assert!(!is_another_share((0.0, 0.0), (0.0, 10.0)));
    }

    #[test]
    fn a_percentile_is_slower_only_beyond_what_its_sample_can_tell() {
        let (base, slower) = (sample(&[1, 2, 3, 4, 5, 6], 5), sample(&[3, 4, 5, 6, 7, 8], 5));
        assert!(!slower.is_slower(&base, 0.5), "thirty requests cannot tell");
        let (base, slower) = (sample(&[1, 2, 3, 4, 5, 6], 500), sample(&[3, 4, 5, 6, 7, 8], 500));
        assert!(slower.is_slower(&base, 0.5));
        assert!(!base.is_slower(&slower, 0.5));
        assert!(sample(&[1], 100).is_enough_for(0.95) && !sample(&[1], 99).is_enough_for(0.95));
    }
}
