//! What a run showed, as it is written to a file and read again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::loadtest::{
    plan::{
        action::Action,
        run_plan::{Model, Plan},
        scenario::Scenario,
    },
    record::{
        latency::{Latencies, PERCENTS},
        monitor::Sample,
        tally::{Count, SecondCounts},
        timeline::Timeline,
    },
    verify::Verification,
};

/// The format of result files; readers refuse a newer one.
pub(crate) const FORMAT: u32 = 1;

/// A file of results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ResultFile {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// The version of the program that made it.
    pub(crate) version: String,
    /// One for each scenario that was run.
    pub(crate) results: Vec<RunResult>,
    /// What could not be run here.
    #[serde(default)]
    pub(crate) skipped: Vec<Skipped>,
}

/// A scenario that could not be run here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skipped {
    /// How it is called.
    pub(crate) scenario: String,
    /// Why not.
    pub(crate) reason: String,
}

impl ResultFile {
    /// A file of these results.
    pub(crate) fn new(results: Vec<RunResult>, skipped: Vec<Skipped>) -> Self {
        Self { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), results, skipped }
    }
}

/// What one run showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunResult {
    /// What was asked.
    pub(crate) scenario: Scenario,
    /// Names the run.
    pub(crate) run: String,
    /// Repeats the same choices.
    pub(crate) seed: u64,
    /// When requests were sent.
    pub(crate) model: Model,
    /// When it began, in Unix milliseconds.
    pub(crate) started_at: u64,
    /// How long was to be measured, in seconds.
    pub(crate) planned_seconds: f64,
    /// How long was measured, in seconds.
    pub(crate) measured_seconds: f64,
    /// Whether it ran to its end.
    pub(crate) is_complete: bool,
    /// By name of request.
    pub(crate) requests: BTreeMap<String, Count>,
    /// The same in figures.
    pub(crate) figures: BTreeMap<String, Figures>,
    /// Why requests failed.
    pub(crate) failures: Vec<Failed>,
    /// How late the generator was.
    pub(crate) lag: Latencies,
    /// Requests that waited for a connection.
    pub(crate) delayed: u64,
    /// Connections cut on purpose.
    pub(crate) cuts: u64,
    /// Pops and leases that found nothing.
    pub(crate) empty_pops: u64,
    /// Pushes that were refused, and rightly so, because the disk was full.
    #[serde(default)]
    pub(crate) turned_away: u64,
    /// Second by second.
    pub(crate) seconds: Vec<Second>,
    /// Whether the queues kept their promises; nothing if that was not looked at.
    pub(crate) verification: Option<Verification>,
    /// What a reader must know before believing the figures.
    pub(crate) warnings: Vec<String>,
    /// Where it ran.
    pub(crate) environment: Environment,
    /// What was demanded, and whether it was met.
    #[serde(default)]
    pub(crate) thresholds: Vec<Demand>,
}

/// A reason for failures, and how many there were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// The kind of request.
    pub(crate) name: String,
    /// Why.
    pub(crate) reason: String,
    /// How often.
    pub(crate) count: u64,
}

/// One second of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Second {
    /// Counted from the beginning of what is measured.
    pub(crate) second: u64,
    /// By name of request.
    pub(crate) requests: BTreeMap<String, Figures>,
    /// All together.
    pub(crate) total: Figures,
    /// All since the beginning.
    pub(crate) so_far: Figures,
    /// Users, or requests under way in the open model.
    pub(crate) users: u64,
    /// What the server used.
    pub(crate) sample: Option<Sample>,
}

/// A count in figures; times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Requests.
    pub(crate) requests: u64,
    /// Failures among them.
    pub(crate) failures: u64,
    /// Half took no longer.
    pub(crate) p50: f64,
    /// 95 of 100 took no longer.
    pub(crate) p95: f64,
    /// 99 of 100 took no longer.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
    /// The shortest.
    pub(crate) min: f64,
    /// The mean.
    pub(crate) mean: f64,
    /// Bytes of an answer's body, in the mean.
    pub(crate) bytes: f64,
    /// By [`PERCENTS`].
    pub(crate) percentiles: [f64; PERCENTS.len()],
}

impl From<&Count> for Figures {
    fn from(count: &Count) -> Self {
        Self {
            requests: count.requests,
            failures: count.failures,
            p50: count.latencies.quantile(0.50),
            p95: count.latencies.quantile(0.95),
            p99: count.latencies.quantile(0.99),
            max: count.latencies.max(),
            min: count.latencies.min(),
            mean: count.latencies.mean(),
            bytes: count.bytes as f64 / count.requests.max(1) as f64,
            percentiles: PERCENTS.map(|part| count.latencies.quantile(part)),
        }
    }
}

/// Where a run took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// Processors of the generator's machine.
    pub(crate) processors: usize,
    /// `linux-x86_64`
    pub(crate) system: String,
    /// Generators.
    pub(crate) threads: usize,
    /// Connections at most.
    pub(crate) connections: usize,
    /// Whether the server was one of its own.
    pub(crate) is_own_server: bool,
    /// Durability of a server of its own.
    pub(crate) durability: Option<String>,
}

/// A threshold and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Demand {
    /// As it was written.
    pub(crate) threshold: String,
    /// What the figure was; nothing if there were no such requests.
    pub(crate) found: Option<f64>,
    /// Whether it was met.
    pub(crate) is_met: bool,
}

/// Why requests failed, those of each kind together.
fn failures(all: &SecondCounts) -> Vec<Failed> {
    let mut failures = Vec::new();
    for (action, reasons) in &all.failures {
        for (reason, &count) in reasons {
            failures.push(Failed { name: action.name().to_owned(), reason: reason.clone(), count });
        }
    }
    failures
}

impl RunResult {
    /// What a plan showed so far.
    pub(crate) fn of(plan: &Plan, timeline: &Timeline, environment: Environment) -> Self {
        let all = &timeline.all;
        let name = |action: Action| action.name().to_owned();
        Self {
            scenario: plan.scenario.clone(),
            run: plan.run.clone(),
            seed: plan.seed,
            model: plan.model,
            started_at: timeline.started_at,
            planned_seconds: plan.duration.as_secs_f64(),
            measured_seconds: timeline.measured_seconds,
            is_complete: false,
            requests: all.counts.iter().map(|(&key, count)| (name(key), count.clone())).collect(),
            figures: crate::loadtest::record::timeline::figures(all),
            failures: failures(all),
            lag: all.lag.clone(),
            delayed: all.delayed,
            cuts: all.cuts,
            empty_pops: all.empty_pops,
            turned_away: all.turned_away,
            seconds: timeline.seconds.clone(),
            verification: None,
            warnings: Vec::new(),
            environment,
            thresholds: Vec::new(),
        }
    }

    /// All requests together.
    pub(crate) fn total(&self) -> Count {
        let mut total = Count::default();
        self.requests.values().for_each(|count| total.add(count));
        total
    }

    /// How many of a count there were each second.
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.measured_seconds.max(1e-3)
    }
}
