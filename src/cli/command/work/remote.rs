//! Working on a queue of a server.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lanekeeper::queue::Retry;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::cli::{
    args,
    command::work::{
        Summary,
        child::{CommandOutcome, Job, Task},
        lease::Leases,
    },
    exit::CommandFailure,
    output,
};

/// How long one call waits for a message: so long a stop may take that finds nothing to do.
const POLL_WAIT: Duration = Duration::from_secs(1);
/// The pause after a call that failed; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A message as it was leased.
#[derive(Debug, Deserialize)]
pub(crate) struct Leased {
    id: String,
    priority: u32,
    item: Box<RawValue>,
    pushed_at: u64,
    deliveries: u32,
    lease: String,
}

#[derive(Debug, Default)]
struct Counts {
    handled: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
    released: AtomicU64,
}

/// A queue being worked on.
pub(crate) struct Remote {
    counts: Arc<Counts>,
    stop: watch::Sender<Option<Instant>>,
    task: Option<JoinHandle<Result<(), CommandFailure>>>,
}

impl Remote {
    pub(crate) fn start(args: &args::work::Work, job: Arc<Job>) -> Result<Self, CommandFailure> {
        let (stop, stopped) = watch::channel(None);
        let counts = Arc::new(Counts::default());
        let work = Work {
            leases: Arc::new(Leases::new(args)?),
            job,
            counts: Arc::clone(&counts),
            retry: crate::cli::command::work::retry(args),
            ttl: args.ttl.0,
            stop: stopped,
        };
        let plan = Plan {
            concurrency: args.concurrency,
            left: args.once.then_some(1),
            until_empty: args.until_empty,
        };
        Ok(Self { counts, stop, task: Some(tokio::spawn(work.run(plan))) })
    }

    pub(crate) async fn ended(&mut self) -> Result<(), CommandFailure> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let ended = task.await;
        self.task = None;
        ended.map_err(CommandFailure::failed)?
    }

    pub(crate) async fn stop(&mut self, grace: Duration) {
        // Nobody receives it if it has ended by itself.
        let _ = self.stop.send(Some(Instant::now() + grace));
        if let Err(failure) = self.ended().await {
            output::note(&failure.message);
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        let count = |count: &AtomicU64| count.load(Ordering::Acquire);
        Summary {
            handled: count(&self.counts.handled),
            failed: count(&self.counts.failed),
            lost: count(&self.counts.lost),
            released: count(&self.counts.released),
        }
    }
}

/// How much is still to be done.
struct Plan {
    concurrency: usize,
    left: Option<usize>,
    until_empty: bool,
}

impl Plan {
    fn depth(&self, running: usize) -> usize {
        let free = self.concurrency.saturating_sub(running).min(100);
        self.left.map_or(free, |left| left.min(free))
    }

    /// How long a call waits for messages.
    fn wait(&self, turn: Option<Duration>) -> Duration {
        match turn {
            Some(turn) => turn + POLL_WAIT,
            None if self.until_empty => Duration::ZERO,
            None => POLL_WAIT,
        }
    }

    /// Its turn after a refusal, if it is to be waited for in line.
    fn turn_after(&self, failure: &CommandFailure) -> Option<Duration> {
        failure.retry_after.filter(|&after| self.until_empty && after < PAUSE_MAX)
    }
}

#[derive(Clone)]
struct Work {
    leases: Arc<Leases>,
    job: Arc<Job>,
    counts: Arc<Counts>,
    retry: Retry,
    ttl: Duration,
    stop: watch::Receiver<Option<Instant>>,
}

impl Work {
    async fn run(mut self, mut plan: Plan) -> Result<(), CommandFailure> {
        let mut running = JoinSet::new();
        let mut pause = PAUSE;
        // When its turn comes: one that does not wait for messages waits for that as well.
        let mut turn = None;
        while self.stop.borrow().is_none() && plan.left != Some(0) {
            while running.try_join_next().is_some() {}
            let depth = plan.depth(running.len());
            if depth == 0 {
                self.stopped_or(running.join_next()).await;
                continue;
            }
            let wait = plan.wait(turn);
            let had_turn = turn.take().is_some();
            // Not given up when a stop comes: what it leases has to be given back.
            match self.leases.lease(depth, wait).await {
                // Somebody else may have had the turn: is there anything?
                Ok(messages) if messages.is_empty() && had_turn => {}
                Ok(messages) if messages.is_empty() && plan.until_empty => {
                    if running.is_empty() {
                        break;
                    }
                    self.stopped_or(running.join_next()).await;
                }
                Ok(messages) => {
                    pause = PAUSE;
                    plan.left = plan.left.map(|left| left.saturating_sub(messages.len()));
                    for message in messages {
                        running.spawn(self.clone().handle(message));
                    }
                }
                Err(failure) if failure.is_passing() => {
                    turn = plan.turn_after(&failure).filter(|_| !had_turn);
                    if turn.is_none() {
                        self.pause(&failure, &mut pause).await;
                    }
                }
                Err(failure) => {
                    while running.join_next().await.is_some() {}
                    return Err(failure);
                }
            }
        }
        while running.join_next().await.is_some() {}
        Ok(())
    }

    async fn pause(&mut self, failure: &CommandFailure, pause: &mut Duration) {
        if *pause == PAUSE {
            output::note(&format!("{}; trying again", failure.message));
        }
        let after = failure.retry_after.map_or(*pause, |after| after.min(PAUSE_MAX));
        self.stopped_or(sleep(after)).await;
        *pause = (*pause * 2).min(PAUSE_MAX);
    }

    async fn stopped_or<T>(&mut self, other: impl Future<Output = T>) {
        tokio::select! { _ = self.stop.changed() => {}, _ = other => {} }
    }

    /// Runs the command for one message, keeps the lease meanwhile, and settles it.
    async fn handle(mut self, message: Leased) {
        let Leased { id, priority, item, pushed_at, deliveries, lease } = message;
        let payload = item.get().to_owned();
        let (pushed_at_ms, own) = (pushed_at, Some(lease.clone()));
        let task = Task { id, lease: own, priority, deliveries, pushed_at_ms, payload };
        let (job, leases) = (Arc::clone(&self.job), Arc::clone(&self.leases));
        let outcome = {
            let mut handled = std::pin::pin!(job.run(task));
            let keep = keep(&leases, &lease, self.ttl);
            tokio::select! {
                biased;
                outcome = &mut handled => Some(outcome),
                () = self.deadline() => None,
                () = keep => {
                    // It is somebody else's now, but is not cut off where it does not expect it.
                    tokio::select! { _ = &mut handled => {}, () = self.deadline() => {} }
                    return self.count(true, |counts| &counts.lost);
                }
            }
        };
        let Some(outcome) = outcome else {
            let _ = leases.release(&lease).await;
            return self.count(true, |counts| &counts.released);
        };
        let is_done = outcome == CommandOutcome::Done;
        let is_kept = match outcome {
            CommandOutcome::Done => leases.ack(&lease).await,
            CommandOutcome::Failed(reason) => {
                leases.nack(&lease, self.retry.delay(deliveries), &reason).await
            }
            CommandOutcome::GivenUp(reason) => leases.dead_letter(&lease, &reason).await,
        };
        self.count(is_kept, |counts| if is_done { &counts.handled } else { &counts.failed });
        self.count(!is_kept, |counts| &counts.lost);
    }

    fn count(&self, is_so: bool, count: impl FnOnce(&Counts) -> &AtomicU64) {
        count(&self.counts).fetch_add(u64::from(is_so), Ordering::AcqRel);
    }

    /// Waits for a stop, and for as long as that lets commands go on.
    async fn deadline(&mut self) {
        loop {
            let by = *self.stop.borrow_and_update();
            let passed = async {
                match by {
                    Some(by) => sleep(by.saturating_duration_since(Instant::now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
                changed = self.stop.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Prolongs a lease again and again; returns once it is lost.
async fn keep(leases: &Arc<Leases>, lease: &str, ttl: Duration) {
    let mut ends = Instant::now() + ttl;
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        sleep((left / 3).max(PAUSE)).await;
        let asked = Instant::now();
        match leases.extend(lease, ttl).await {
            Ok(()) => ends = asked + ttl,
            Err(failure) if failure.is_passing() && Instant::now() < ends => {}
            Err(_) => return,
        }
    }
}
