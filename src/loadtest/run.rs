//! A run from its first item to its verdict.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::loadtest::{
    cluster::coordinator::Team,
    fill::{
        drain,
        prepopulate::{self, Filling},
    },
    generate::{Generator, Report, subscribers::Subscribers},
    load_clock::{nanos, now, unix_millis},
    plan::{
        run_plan::{Control, Model, Plan},
        scenario::Fault,
    },
    record::{
        expected_items::ExpectedItems,
        monitor::Monitor,
        result::{Environment, RunResult},
        timeline::Timeline,
    },
    target::{Subject, client::ClientError},
    verify,
};

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The queues could not be filled.
    #[error("the queues could not be filled: {0}")]
    Filling(ClientError),
    /// The generators could not be started or failed.
    #[error("the generator failed: {0}")]
    Generator(#[from] io::Error),
}

/// Whoever watches a run.
pub(crate) trait Watcher {
    /// The queues are being filled.
    fn filling(&mut self, filling: Filling);
    /// A second is over.
    fn second(&mut self, plan: &Plan, timeline: &Timeline);
    /// Something worth knowing happened.
    fn note(&mut self, text: &str);
}

/// A generator's own delay beyond which it is suspected to be the limit, in milliseconds.
const LAG_MAX_MILLIS: f64 = 5.0;

/// Threads begin this long after they were made, all at the same moment.
const HEAD_START: u64 = 50_000_000;

/// Lanes of fillers and drainers come after those of the generators.
const LANES_EACH: u16 = 16;

/// Runs a plan against a server.
///
/// # Errors
/// [`RunError`] if nothing could be measured; what goes wrong later is told in the result.
pub(crate) fn run(
    plan: &Arc<Plan>,
    control: &Arc<Control>,
    (target, mut cluster): (&mut Subject, Option<&mut Team>),
    watcher: &mut dyn Watcher,
) -> Result<RunResult, RunError> {
    let lanes = plan.first_lane + plan.generators as u16;
    let monitor = Monitor::new(target);
    prepopulate::configure(plan).map_err(RunError::Filling)?;
    let mut ledgers = prepopulate::fill(plan, control, lanes, |filling| watcher.filling(filling))
        .map_err(RunError::Filling)?;
    let (brisk, slow) = (plan.scenario.subscribers, plan.scenario.slow_subscribers);
    let subscribers = Subscribers::begin(plan, brisk as usize, slow as usize)?;
    let (mut reports, running, start) = match cluster.as_deref_mut() {
        Some(cluster) => cluster.start(plan, control)?,
        None => start_all(plan, control)?,
    };
    let mut timeline = Timeline::new(plan.generators, unix_millis());
    let mut collector = Collector::new(plan, control, start, monitor);
    collector.collect(&mut reports, &mut timeline, target, watcher);
    for generator in running {
        ledgers.extend(generator.join().expect("a generator does not panic")?);
    }
    timeline.measured_seconds = collector.measured_seconds();
    let mut result = RunResult::of(plan, &timeline, environment(plan, target));
    result.is_complete = !control.is_stopped();
    result.warnings = std::mem::take(&mut collector.warnings);
    warn_of_generator(&mut result);
    if plan.scenario.fault == Some(Fault::Disk) && result.turned_away == 0 {
        let warning = "the disk was never full: nothing was shown of that; run it for longer";
        result.warnings.push(warning.to_owned());
    }
    if plan.is_verified {
        let is_one_clock = cluster.is_none_or(|cluster| cluster.is_on_one_machine());
        let published = published(&ledgers);
        judge(plan, ledgers, (lanes + LANES_EACH, is_one_clock), &mut result);
        if let Some(found) = &mut result.verification {
            subscribers.end(published, found);
        }
    }
    Ok(result)
}

/// Messages published by all, and those of which that is not known.
fn published(ledgers: &[ExpectedItems]) -> (u64, u64) {
    let add = |(one, other): (u64, u64), ledger: &ExpectedItems| {
        (one + ledger.published.0, other + ledger.published.1)
    };
    ledgers.iter().fold((0, 0), add)
}

type Running = Vec<JoinHandle<io::Result<Vec<ExpectedItems>>>>;

fn start_all(
    plan: &Arc<Plan>,
    control: &Arc<Control>,
) -> io::Result<(Receiver<Report>, Running, u64)> {
    let start = now() + HEAD_START;
    let (sender, reports) = channel();
    let mut running = Vec::new();
    for place in 0..plan.threads {
        let generator = Generator::new(plan, control, sender.clone(), start, place)?;
        let thread = thread::Builder::new().name(format!("generator-{place}"));
        running.push(thread.spawn(move || generator.run().map(|ledger| vec![ledger]))?);
    }
    Ok((reports, running, start))
}

/// Follows the generators from the thread that started them.
struct Collector {
    plan: Arc<Plan>,
    control: Arc<Control>,
    begin: u64,
    end: u64,
    /// When something is done to the server, the last first.
    faults: Vec<u64>,
    monitor: Monitor,
    sampled: u64,
    stopped_at: Option<u64>,
    warnings: Vec<String>,
}

impl Collector {
    fn new(plan: &Arc<Plan>, control: &Arc<Control>, start: u64, mut monitor: Monitor) -> Self {
        monitor.begin();
        let begin = start + nanos(plan.warmup);
        let length = nanos(plan.duration);
        let faults = match plan.scenario.fault {
            Some(Fault::Kill) => vec![begin + length * 2 / 3, begin + length / 3],
            Some(Fault::Disk) => vec![begin + length * 2 / 3],
            Some(Fault::Cut) | None => Vec::new(),
        };
        Self {
            plan: Arc::clone(plan),
            control: Arc::clone(control),
            begin,
            end: begin + length,
            faults,
            monitor,
            sampled: u64::MAX,
            stopped_at: None,
            warnings: Vec::new(),
        }
    }

    /// Takes reports until the last generator has ended.
    fn collect(
        &mut self,
        reports: &mut Receiver<Report>,
        timeline: &mut Timeline,
        target: &mut Subject,
        watcher: &mut dyn Watcher,
    ) {
        loop {
            let moment = now();
            if self.control.is_stopped() && self.stopped_at.is_none() {
                self.stopped_at = Some(moment);
            }
            self.sample(moment, timeline);
            if self.faults.last().is_some_and(|due| *due <= moment) {
                self.faults.pop();
                match self.plan.scenario.fault {
                    Some(Fault::Disk) => self.return_space(target, watcher),
                    _ => self.kill(target, watcher),
                }
            }
            match reports.recv_timeout(Duration::from_millis(20)) {
                Ok(report) if timeline.take(&report) => {
                    timeline.measured_seconds = self.measured_seconds();
                    watcher.second(&self.plan, timeline);
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        timeline.finish();
        watcher.second(&self.plan, timeline);
    }

    fn sample(&mut self, moment: u64, timeline: &mut Timeline) {
        let second = moment.saturating_sub(self.begin) / 1_000_000_000;
        if moment >= self.begin && moment < self.end && second != self.sampled {
            self.sampled = second;
            if let Some(sample) = self.monitor.sample() {
                timeline.sample(second, sample);
            }
        }
    }

    fn kill(&mut self, target: &mut Subject, watcher: &mut dyn Watcher) {
        let began = now();
        match target.kill_and_restart() {
            Ok(()) => {
                let millis = (now() - began) / 1_000_000;
                watcher.note(&format!("the server was killed and is back after {millis} ms"));
                self.monitor = Monitor::resume(target, &self.plan);
            }
            Err(error) => {
                self.warnings.push(error.to_string());
                self.control.stop();
            }
        }
    }

    fn return_space(&mut self, target: &Subject, watcher: &mut dyn Watcher) {
        match target.free_space() {
            Ok(()) => {
                self.control.return_space(now());
                watcher.note("the disk of the server has space again");
            }
            Err(error) => {
                self.warnings.push(error.to_string());
                self.control.stop();
            }
        }
    }

    fn measured_seconds(&self) -> f64 {
        let until = self.stopped_at.unwrap_or_else(now).min(self.end);
        until.saturating_sub(self.begin) as f64 / 1e9
    }
}

/// Where a plan is run.
pub(crate) fn environment(plan: &Plan, target: &Subject) -> Environment {
    Environment {
        processors: thread::available_parallelism().map_or(1, usize::from),
        system: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        threads: plan.generators,
        connections: plan.connections,
        is_own_server: target.data().is_some(),
        durability: target.durability(),
    }
}

/// Says so when the figures are the generator's rather than the server's.
fn warn_of_generator(result: &mut RunResult) {
    let lag = result.lag.quantile(0.99);
    if matches!(result.model, Model::Open { .. }) && lag > LAG_MAX_MILLIS {
        result.warnings.push(format!(
            "the generator was the limit: 1 in 100 requests left more than {lag:.1} ms late by its \
             own fault; use fewer requests, more --threads or another machine"
        ));
    }
    if result.delayed > 0 {
        result.warnings.push(format!(
            "{} requests waited for one of {} connections, all busy; their latency includes the \
             wait",
            result.delayed, result.environment.connections
        ));
    }
}

/// Empties the queues and says whether they kept their promises.
fn judge(
    plan: &Plan,
    mut ledgers: Vec<ExpectedItems>,
    (first_lane, is_one_clock): (u16, bool),
    result: &mut RunResult,
) {
    match drain::drain(plan, &ledgers, first_lane) {
        Ok(drained) => {
            ledgers.extend(drained);
            let mut found = verify::verify(&ledgers, plan.scenario.work.max_deliveries.is_none());
            if !is_one_clock {
                found.forget_moments();
                let warning = "order was not judged: generators on several machines share no clock";
                result.warnings.push(warning.to_owned());
            }
            result.verification = Some(found);
        }
        Err(error) => {
            result.warnings.push(format!("not verified: the queues could not be emptied: {error}"));
        }
    }
}
