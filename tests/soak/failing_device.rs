//! The engine on a disk that fails at each of its first operations, in each way, once, for a while
//! and for good: nothing acknowledged is lost, nothing that passes poisons it, and whoever waits is
//! answered.
//!
//! `SOAK=10 cargo test --test soak failing_device` for ten times as many runs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use lanekeeper_storage::{
    Batch, CommitError, CommitSeq, Crash, Durability, EmbeddedEngine, EmbeddedOptions, Engine,
    Failure, FaultDisk, FaultEngine, Fence, Key, ShardNo,
};

use crate::{rounds, seed};

/// Operations of the disk that fail, each in a run of its own.
const POINTS: u64 = 200;
/// Who pushes and pops at a time, and how often each.
const CLIENTS: u64 = 2;
const PUSHES: u64 = 70;
/// Runs at a time: most of a run is waiting for a disk that fails.
const RUNS: usize = 48;
/// How long an answer may take that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long whoever waits for nothing in particular sleeps.
const NAP: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Until {
    /// One operation fails.
    Next,
    /// All operations fail until those who push and pop have done so.
    Lifted,
    /// All operations fail until the engine is closed.
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    seed: u64,
    point: u64,
    failure: Failure,
    until: Until,
}

/// What is known of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Pushed,
    Popped,
    /// Handed over, and held back: it is written once the disk takes it.
    Pushing,
    Popping,
}

type Messages = BTreeMap<String, Known>;

#[derive(Debug, Default)]
struct Counts {
    failed: AtomicUsize,
    poisoned: AtomicUsize,
    held: AtomicUsize,
    refused: AtomicUsize,
    acknowledged: AtomicUsize,
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn options() -> EmbeddedOptions {
    let millisecond = Duration::from_millis(1);
    EmbeddedOptions { held_told_after: millisecond, ..FaultEngine::options() }
}

struct ThisThread(Thread);

impl Wake for ThisThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    Waker::from(Arc::new(ThisThread(thread::current())))
}

struct Run<'a> {
    case: Case,
    engine: &'a EmbeddedEngine,
    fence: Fence,
    counts: &'a Counts,
}

impl Run<'_> {
    /// Waits for an answer, which has to come.
    fn wait(&self, seq: CommitSeq) -> Result<(), CommitError> {
        let waker = waker();
        let (mut cx, began) = (Context::from_waker(&waker), Instant::now());
        loop {
            match self.engine.poll_committed(seq, Durability::Durable, &mut cx) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => thread::park_timeout(PATIENCE),
            }
            assert!(began.elapsed() < PATIENCE, "{:?}: unanswered", self.case);
        }
    }

    fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        let seq = self.engine.commit(self.fence, batch, Durability::Durable)?;
        let answer = self.wait(seq);
        count(match &answer {
            Ok(()) => &self.counts.acknowledged,
            Err(_) => &self.counts.held,
        });
        answer
    }

    fn has(&self, name: &str) -> bool {
        self.engine.get(&Key::from_bytes(name.as_bytes())).unwrap().is_some()
    }

    fn push(&self, name: String, messages: &mut Messages) -> bool {
        let mut batch = Batch::new();
        batch.put(Key::from_bytes(name.as_bytes()), vec![7; 700]);
        let known = match self.commit(batch) {
            Ok(()) => Known::Pushed,
            Err(error) if error.is_refusal() => {
                count(&self.counts.refused);
                assert!(!self.has(&name), "{:?}: {name} was refused: {error}", self.case);
                return false;
            }
            Err(_) => Known::Pushing,
        };
        messages.insert(name, known);
        known == Known::Pushed
    }

    fn pop(&self, messages: &mut Messages) {
        let is_there = |(_, known): &(&String, &mut Known)| **known == Known::Pushed;
        let Some((name, known)) = messages.iter_mut().find(is_there) else { return };
        let mut batch = Batch::new();
        batch.delete(Key::from_bytes(name.as_bytes()));
        batch.frees_space();
        *known = match self.commit(batch) {
            Ok(()) => Known::Popped,
            Err(error) if error.is_refusal() => {
                count(&self.counts.refused);
                assert!(self.has(name), "{:?}: {name} is there: {error}", self.case);
                return;
            }
            Err(_) => Known::Popping,
        };
    }

    /// Pushes, and pops every other time.
    fn work(&self, client: u64) -> Messages {
        let mut messages = Messages::new();
        for n in 0..PUSHES {
            self.push(format!("{client} {n:03}"), &mut messages);
            if n % 2 == 1 {
                self.pop(&mut messages);
            }
        }
        messages
    }

    /// Does what is due until it is over.
    fn do_upkeep(&self, is_over: &AtomicBool) {
        let waker = waker();
        while !is_over.load(Ordering::Acquire) {
            if self.engine.poll_maintenance(&mut Context::from_waker(&waker)).is_pending() {
                thread::park_timeout(NAP);
                continue;
            }
            // What fails stays due.
            drop(self.engine.maintain());
        }
    }

    /// Whatever was held back is written once the disk takes it, and so is what comes then.
    fn recover(&self, messages: &mut Messages) {
        self.until(|| self.is_poisoned() || self.push("last".to_owned(), messages));
        if self.is_poisoned() {
            return;
        }
        self.wait(self.engine.handed_over()).unwrap();
        for known in messages.values_mut() {
            *known = match known {
                Known::Pushed | Known::Pushing => Known::Pushed,
                Known::Popped | Known::Popping => Known::Popped,
            };
        }
        self.until(|| {
            let status = self.engine.status();
            !status.is_disk_full && status.unavailable.is_none()
        });
    }

    /// Waits for what has to come about by itself.
    fn until(&self, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let status = self.engine.status();
            assert!(began.elapsed() < PATIENCE, "{:?}: {status:?}", self.case);
            thread::park_timeout(NAP);
        }
    }

    /// Whether it is poisoned, for the only reason there may be.
    fn is_poisoned(&self) -> bool {
        let Some(reason) = self.engine.status().poisoned else { return false };
        assert!(reason.contains("an fsync of the journal failed"), "{:?}: {reason}", self.case);
        assert_ne!(self.case.failure, Failure::NoDescriptor, "{:?}: {reason}", self.case);
        true
    }
}

/// Opens an engine on a disk that does not fail.
fn open(disk: &FaultDisk, case: Case) -> (EmbeddedEngine, Fence) {
    let engine = EmbeddedEngine::open_on(disk, options());
    let engine = engine.unwrap_or_else(|error| panic!("{case:?}: {error}"));
    let epoch = engine.claim(ShardNo(1)).unwrap();
    (engine, Fence { shard: ShardNo(1), epoch })
}

fn run(case: Case, counts: &Counts) {
    let disk = FaultDisk::new(case.seed);
    let (engine, fence) = open(&disk, case);
    match case.until {
        Until::Next => disk.fail_after(case.point, case.failure),
        Until::Lifted | Until::Closed => disk.fail_from(case.point, case.failure),
    }
    let run = Run { case, engine: &engine, fence, counts };
    let is_over = AtomicBool::new(false);
    let mut messages = thread::scope(|scope| {
        scope.spawn(|| run.do_upkeep(&is_over));
        let clients = (0..CLIENTS).map(|client| {
            scope.spawn({
                let run = &run;
                move || run.work(client)
            })
        });
        let clients: Vec<_> = clients.collect();
        let done: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        let mut messages: Messages = done.into_iter().flat_map(Result::unwrap).collect();
        counts.failed.fetch_add(disk.has_failed().into(), Ordering::Relaxed);
        if case.until != Until::Closed {
            disk.fail_never();
            disk.fail_always(None);
            run.recover(&mut messages);
        }
        is_over.store(true, Ordering::Release);
        messages
    });
    let is_poisoned = run.is_poisoned();
    counts.poisoned.fetch_add(is_poisoned.into(), Ordering::Relaxed);
    // Every other engine is ended by the crash itself.
    if case.point.is_multiple_of(2) {
        let closed = engine.close();
        match case.until {
            Until::Closed => drop(run.wait(engine.handed_over())),
            _ => assert_eq!(closed.is_err(), is_poisoned, "{case:?}: {closed:?}"),
        }
    }
    let crash = if case.point.is_multiple_of(3) { Crash::Kill } else { Crash::PowerCut };
    let found = disk.crash(crash);
    drop(engine);
    let (engine, fence) = open(&found, case);
    let run = Run { case, engine: &engine, fence, counts };
    for (name, known) in &messages {
        match known {
            Known::Pushed => assert!(run.has(name), "{case:?}, {crash:?}: {name} is lost"),
            Known::Popped => assert!(!run.has(name), "{case:?}, {crash:?}: {name} is back"),
            Known::Pushing | Known::Popping => {}
        }
    }
    assert!(run.push("more".to_owned(), &mut messages), "{case:?}");
}

/// Every way to fail at every point.
fn cases(seed: u64) -> impl Iterator<Item = Case> {
    (0..POINTS).flat_map(move |point| {
        let failures = [Failure::Io, Failure::NoDescriptor, Failure::NoSpace];
        failures.into_iter().flat_map(move |failure| {
            let untils = [Until::Next, Until::Lifted, Until::Closed];
            untils.into_iter().map(move |until| Case { seed, point, failure, until })
        })
    })
}

#[test]
fn a_device_that_fails_anywhere_loses_nothing_and_what_passes_is_over_when_it_has_passed() {
    let _machine = crate::machine();
    let seed = seed();
    println!("SEED={seed}");
    let cases: Vec<Case> = (0..rounds(1)).flat_map(|n| cases(seed.wrapping_add(n))).collect();
    let (next, counts) = (AtomicUsize::new(0), Counts::default());
    thread::scope(|scope| {
        let run_some = || {
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                run(*case, &counts);
            }
        };
        (0..RUNS).for_each(|_| drop(scope.spawn(run_some)));
    });
    println!("{} runs: {counts:?}", cases.len());
}

#[test]
fn an_opening_that_fails_anywhere_leaves_a_directory_that_opens() {
    let _machine = crate::machine();
    let seed = seed();
    println!("SEED={seed}");
    for failure in [Failure::Io, Failure::NoDescriptor, Failure::NoSpace] {
        for point in 0.. {
            let case = Case { seed, point, failure, until: Until::Next };
            let disk = FaultDisk::new(seed);
            disk.fail_after(point, failure);
            let opened = EmbeddedEngine::open_on(&disk, options());
            let is_over = !disk.has_failed();
            disk.fail_never();
            drop(opened);
            drop(open(&disk, case));
            if is_over {
                break;
            }
        }
    }
}
