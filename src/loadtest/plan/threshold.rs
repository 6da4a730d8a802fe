//! What a run must achieve: `push.p95<50ms`, `errors<1%`, `rate>=100`.

use std::{fmt, str::FromStr};

use crate::loadtest::{
    plan::action::Action,
    record::{
        result::{Demand, RunResult},
        tally::Count,
    },
};

/// A figure and its bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Threshold {
    text: String,
    /// The kind of request; all together if it is not given.
    name: Option<String>,
    metric: Metric,
    bound: f64,
    is_upper: bool,
    is_strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// Milliseconds that a part of the requests does not exceed.
    Quantile(f64),
    Max,
    Mean,
    /// Failures among a hundred.
    Errors,
    /// Requests per second.
    Rate,
}

/// The generator's own delay, as if it were a kind of request.
const LAG: &str = "lag";

const EXAMPLES: &str = "one such as push.p95<50ms, p99.9<=1s, max<500ms, errors<1% or rate>=100";

/// What every scenario on two processors is to hold: a preset.
pub(crate) const BASELINE: [&str; 5] =
    ["p50<30ms", "p95<50ms", "p99<100ms", "max<500ms", "errors<1%"];

impl Threshold {
    /// Whether a scenario that breaks things on purpose is to be judged by it.
    pub(crate) fn is_of_calm(&self) -> bool {
        matches!(self.metric, Metric::Max | Metric::Errors)
    }

    /// Judges a run. What a scenario does not ask at all is no breach.
    pub(crate) fn judge(&self, result: &RunResult) -> Demand {
        let found = self.found(result);
        let is_asked = |name: &String| {
            let mut mix = result.scenario.mix.iter();
            name == LAG || mix.any(|share| share.action.name() == name)
        };
        let is_met = match found {
            Some(found) => self.is_met(found),
            None => !self.name.as_ref().is_none_or(is_asked),
        };
        Demand { threshold: self.text.clone(), found, is_met }
    }

    fn is_met(&self, found: f64) -> bool {
        match (self.is_upper, self.is_strict) {
            (true, true) => found < self.bound,
            (true, false) => found <= self.bound,
            (false, true) => found > self.bound,
            (false, false) => found >= self.bound,
        }
    }

    fn found(&self, result: &RunResult) -> Option<f64> {
        let count = match self.name.as_deref() {
            None => result.total(),
            Some(LAG) => Count {
                requests: result.lag.count(),
                latencies: result.lag.clone(),
                ..Count::default()
            },
            Some(name) => result.requests.get(name)?.clone(),
        };
        if count.requests == 0 {
            return None;
        }
        Some(match self.metric {
            Metric::Quantile(part) => count.latencies.quantile(part),
            Metric::Max => count.latencies.max(),
            Metric::Mean => count.latencies.mean(),
            Metric::Errors => count.failures as f64 * 100.0 / count.requests as f64,
            Metric::Rate => result.per_second(count.requests),
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no threshold: write {EXAMPLES}");
        let compact: String = text.split_whitespace().collect();
        let place = compact.find(['<', '>']).ok_or_else(wrong)?;
        let (what, rest) = compact.split_at(place);
        let is_upper = rest.starts_with('<');
        let (is_strict, bound) = match rest[1..].strip_prefix('=') {
            Some(bound) => (false, bound),
            None => (true, &rest[1..]),
        };
        let (name, metric) = named(what).ok_or_else(wrong)?;
        let bound = amount(bound, metric).ok_or_else(wrong)?;
        Ok(Self { text: compact.clone(), name, metric, bound, is_upper, is_strict })
    }
}

/// `push.p95`, or `p95` of all.
fn named(what: &str) -> Option<(Option<String>, Metric)> {
    if let Some(metric) = metric(what) {
        return Some((None, metric));
    }
    let (name, rest) = what.split_once('.')?;
    let is_known = name == LAG || Action::ALL.iter().any(|action| action.name() == name);
    let name = if name == "all" { None } else { Some(name.to_owned()) };
    (is_known || name.is_none()).then_some((name, metric(rest)?))
}

fn metric(text: &str) -> Option<Metric> {
    Some(match text {
        "max" => Metric::Max,
        "mean" => Metric::Mean,
        "errors" => Metric::Errors,
        "rate" => Metric::Rate,
        _ => {
            let percent: f64 = text.strip_prefix('p')?.parse().ok()?;
            let is_one = percent > 0.0 && percent <= 100.0;
            return is_one.then_some(Metric::Quantile(percent / 100.0));
        }
    })
}

/// A bound in the unit of its metric; times need one.
fn amount(text: &str, metric: Metric) -> Option<f64> {
    let (number, factor) = match metric {
        Metric::Errors => (text.strip_suffix('%')?, 1.0),
        Metric::Rate => (text.strip_suffix("/s").unwrap_or(text), 1.0),
        Metric::Quantile(_) | Metric::Max | Metric::Mean => {
            let units = [("us", 1e-3), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];
            let unit = units.iter().find(|(unit, _)| text.ends_with(unit))?;
            (text.strip_suffix(unit.0)?, unit.1)
        }
    };
    let number: f64 = number.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_in_their_units() {
        let read = |text: &str| text.parse::<Threshold>().unwrap();
        let push = read("push.p95 < 50ms");
        assert_eq!((push.name.as_deref(), push.bound), (Some("push"), 50.0));
        assert_eq!(push.metric, Metric::Quantile(0.95));
        let fine = read("p99.9<=1s").metric;
        assert!(matches!(fine, Metric::Quantile(part) if (part - 0.999).abs() < 1e-12));
        assert_eq!(read("p99.9<=1s").bound, 1_000.0);
        assert_eq!(read("errors<1%").bound, 1.0);
        assert_eq!(read("all.rate>=100").name, None);
        assert_eq!(read("lag.p99<500us").bound, 0.5);
        BASELINE.iter().for_each(|text| drop(read(text)));
    }

    #[test]
    fn what_is_no_threshold_is_refused_with_examples() {
        for text in
            ["", "p95", "p95<50", "p101<1s", "pull.p95<1s", "errors<1", "p95<-1ms", "p95=1s"]
        {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains("push.p95<50ms"), "{text}: {error}");
        }
    }

    #[test]
    fn a_bound_is_strict_or_not_as_written() {
        let is_met = |text: &str, found| text.parse::<Threshold>().unwrap().is_met(found);
        assert!(is_met("p50<=30ms", 30.0) && !is_met("p50<30ms", 30.0));
        assert!(is_met("rate>=100", 100.0) && !is_met("rate>100", 100.0));
    }
}
