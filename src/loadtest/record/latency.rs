//! Latencies, counted in an HdrHistogram at microsecond resolution, three digits exact.

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest latency told apart, in microseconds: an hour.
const MICROS_MAX: u64 = 3_600_000_000;

/// Percentiles of tables, as parts of one.
pub(crate) const PERCENTS: [f64; 10] =
    [0.50, 0.66, 0.75, 0.80, 0.90, 0.95, 0.98, 0.99, 0.999, 0.9999];

/// How often each latency was seen.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("the bounds are in order"))
    }
}

impl PartialEq for Latencies {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Latencies {
    /// Counts one, given in nanoseconds.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos.saturating_add(500) / 1_000);
    }

    /// Adds those counted elsewhere; nothing is lost by it.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that a part of them, from 0 to 1, does not exceed, in milliseconds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        if self.0.is_empty() { 0.0 } else { millis(self.0.value_at_quantile(part)) }
    }

    /// The longest, in milliseconds.
    pub(crate) fn max(&self) -> f64 {
        millis(self.0.max())
    }

    /// The shortest, in milliseconds.
    pub(crate) fn min(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { millis(self.0.min()) }
    }

    /// Their mean, in milliseconds.
    pub(crate) fn mean(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.mean() / 1e3 }
    }

    /// Microseconds and how often: every bucket that is not empty.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    /// Counts microseconds so often.
    pub(crate) fn record_many(&mut self, micros: u64, count: u64) {
        self.0.saturating_record_n(micros, count);
    }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.buckets())
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut latencies = Self::default();
        for (micros, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            latencies.record_many(micros, count);
        }
        Ok(latencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_merged_exactly() {
        let (mut one, mut other, mut all) =
            (Latencies::default(), Latencies::default(), Latencies::default());
        let mut random = fastrand::Rng::with_seed(7);
        for turn in 0..10_000 {
            let nanos = random.u64(1_000..2_000_000_000);
            if turn % 3 == 0 {
                one.record(nanos);
            } else {
                other.record(nanos);
            }
            all.record(nanos);
        }
        let text = serde_json::to_string(&other).unwrap();
        one.add(&serde_json::from_str(&text).unwrap());
        assert_eq!(one, all);
        assert_eq!(one.count(), 10_000);
    }

    #[test]
    fn a_microsecond_is_told_from_two_and_a_second_is_a_second() {
        let mut latencies = Latencies::default();
        latencies.record(1_000);
        latencies.record(2_000);
        latencies.record(1_000_000_000);
        assert_eq!((latencies.quantile(0.0), latencies.quantile(0.5)), (0.001, 0.002));
        assert!((latencies.max() - 1_000.0).abs() < 1.0, "{}", latencies.max());
    }
}
