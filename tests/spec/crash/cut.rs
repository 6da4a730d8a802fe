//! Queues on a disk that is cut before every one of its operations: by `kill -9`, where everything
//! written survives, and by a power cut, where only what was fsynced does.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use lanekeeper_actors::{
    Clock, Durability, Node,
    queue::{LeaseToken, NackOptions, NewMessage, Queue, QueueError},
};
use lanekeeper_storage::{Crash, Engine, Failure, FaultDisk, FaultEngine};

const WORKLOADS: u64 = 20;
const STEPS: usize = 12;
const TTL: Duration = Duration::from_secs(1);

/// What a user does in one step.
#[derive(Clone, Debug)]
enum Step {
    Push(Vec<(u32, u32)>),
    Pop(usize),
    /// Leases and acks.
    Work(usize),
    /// Leases and nacks.
    Fail(usize),
    Purge(u32),
    Passivate,
    Upkeep,
}

fn workload(seed: u64) -> Vec<Step> {
    let mut random = Rng::with_seed(seed);
    let mut number = 0;
    let mut message = |random: &mut Rng| {
        number += 1;
        (random.u32(0..3), number)
    };
    let mut step = |random: &mut Rng| match random.u32(0..14) {
        0..4 => Step::Push(vec![message(random)]),
        4 => Step::Work(random.usize(1..5)),
        12.. => Step::Fail(random.usize(1..5)),
        5..7 => Step::Push((0..random.usize(2..30)).map(|_| message(random)).collect()),
        7..9 => Step::Pop(random.usize(1..8)),
        9 => Step::Purge(random.u32(0..3)),
        10 => Step::Passivate,
        _ => Step::Upkeep,
    };
    (0..STEPS).map(|_| step(&mut random)).collect()
}

fn item(number: u32) -> String {
    format!("{{\"number\" : {number},\"rest\":\"{}\"}}", "r".repeat(number as usize * 37 % 300))
}

/// The queue as it should be: priority and number, in pop order.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model(Vec<(u32, u32)>);

impl Model {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Push(messages) => {
                self.0.extend(messages);
                // Stable: what arrived first stays first.
                self.0.sort_by_key(|(priority, _)| *priority);
            }
            Step::Pop(depth) | Step::Work(depth) => drop(self.0.drain(..self.0.len().min(*depth))),
            Step::Purge(priority) => self.0.retain(|(of, _)| of != priority),
            Step::Fail(_) | Step::Passivate | Step::Upkeep => {}
        }
    }
}

async fn perform(step: &Step, queue: &Queue, engine: &FaultEngine) -> Result<(), QueueError> {
    match step {
        Step::Push(messages) => {
            let message = |&(priority, number): &(u32, u32)| {
                NewMessage::new(item(number).as_str()).unwrap().priority(priority)
            };
            queue.push_all(messages.iter().map(message).collect()).await.map(drop)
        }
        Step::Pop(depth) => queue.pop(*depth).await.map(drop),
        Step::Work(depth) => {
            let tokens = lease(queue, *depth).await?;
            if tokens.is_empty() { Ok(()) } else { queue.ack(&tokens).await.map(drop) }
        }
        Step::Fail(depth) => {
            let tokens = lease(queue, *depth).await?;
            if tokens.is_empty() {
                return Ok(());
            }
            queue.nack(&tokens, NackOptions::default()).await.map(drop)
        }
        Step::Purge(priority) => queue.purge(Some(*priority)).await.map(drop),
        Step::Passivate => {
            queue.passivate().await;
            Ok(())
        }
        // A checkpoint that a cut prevents is nobody's loss.
        Step::Upkeep => {
            let _ = engine.maintain();
            Ok(())
        }
    }
}

async fn lease(queue: &Queue, depth: usize) -> Result<Vec<LeaseToken>, QueueError> {
    let leases = queue.lease(depth).ttl(TTL).await?;
    Ok(leases.into_iter().map(|lease| lease.detach().1).collect())
}

/// A node that does nothing in the background, so that each run has the same operations.
fn node_on(engine: &Arc<FaultEngine>, level: Durability) -> Node {
    node_with(engine, level, &Clock::manual())
}

fn node_with(engine: &Arc<FaultEngine>, level: Durability, clock: &Clock) -> Node {
    let builder = Node::builder().clock(clock.clone()).durability(level).without_duties();
    builder.start(Arc::clone(engine) as _).unwrap()
}

/// How far a workload got before its disk was cut.
struct Reached {
    disk: FaultDisk,
    /// The states that may be found: the first is the last that is promised.
    allowed: Vec<Model>,
    is_cut: bool,
}

async fn run_until(seed: u64, cut: u64, level: Durability, crash: Crash) -> Reached {
    let disk = FaultDisk::new(seed);
    disk.fail_after(cut, Failure::Cut);
    let mut model = Model::default();
    let mut allowed = vec![model.clone()];
    if let Ok(engine) = FaultEngine::open(&disk, FaultEngine::options()) {
        let engine = Arc::new(engine);
        let node = node_on(&engine, level);
        let queue = node.queue("q");
        let keeps_unsynced = crash == Crash::Kill || level == Durability::Durable;
        for (number, step) in workload(seed).iter().enumerate() {
            let performed = perform(step, &queue, &engine).await;
            model.apply(step);
            if performed.is_ok() && keeps_unsynced {
                allowed.clear();
            }
            allowed.push(model.clone());
            if performed.is_err() {
                break;
            }
            if level == Durability::Relaxed && number % 4 == 3 {
                // The flush interval has passed.
                engine.flush();
                if !disk.has_failed() {
                    allowed = vec![model.clone()];
                }
            }
        }
    }
    Reached { is_cut: disk.has_failed(), disk, allowed }
}

async fn found(disk: &FaultDisk, told: &str) -> Model {
    let engine = FaultEngine::open(disk, FaultEngine::options());
    let engine = Arc::new(engine.unwrap_or_else(|error| panic!("{told}: {error}")));
    let clock = Clock::manual();
    let node = node_with(&engine, Durability::Durable, &clock);
    let queue = node.queue("q");
    // What was leased when the disk was cut comes back when the lease ends.
    clock.advance(TTL);
    node.settle_duties().await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.leased, stats.scheduled), (0, 0), "{told}");
    let mut messages = Vec::new();
    loop {
        let popped = queue.pop(100).await.unwrap();
        if popped.is_empty() {
            break;
        }
        for message in popped {
            #[derive(serde::Deserialize)]
            struct Sent {
                number: u32,
            }
            let Sent { number } = message.item.parse().unwrap();
            assert_eq!(message.item.as_str(), item(number), "{told}: altered");
            messages.push((message.priority, number));
        }
    }
    assert_eq!(stats.ready, messages.len() as u64, "{told}: the counts are not the messages");
    Model(messages)
}

async fn survive(level: Durability, crash: Crash) {
    for seed in 0..WORKLOADS {
        for cut in 0.. {
            let reached = run_until(seed, cut, level, crash).await;
            let told = format!("workload {seed}, cut before operation {cut}, {level}, {crash:?}");
            let found = found(&reached.disk.crash(crash), &told).await;
            assert!(
                reached.allowed.contains(&found),
                "{told}: found {found:?}, allowed {:?}",
                reached.allowed
            );
            if !reached.is_cut {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_durable_queue_loses_nothing_to_kill_9() {
    survive(Durability::Durable, Crash::Kill).await;
}

#[tokio::test]
async fn a_durable_queue_loses_nothing_to_a_power_cut() {
    survive(Durability::Durable, Crash::PowerCut).await;
}

#[tokio::test]
async fn a_relaxed_queue_loses_nothing_to_kill_9() {
    survive(Durability::Relaxed, Crash::Kill).await;
}

#[tokio::test]
async fn a_relaxed_queue_loses_at_most_its_interval_to_a_power_cut() {
    survive(Durability::Relaxed, Crash::PowerCut).await;
}

#[tokio::test]
async fn stats_tell_the_level_and_what_a_power_cut_can_take() {
    for level in [Durability::Durable, Durability::Relaxed, Durability::Memory] {
        let engine = Arc::new(FaultEngine::new(1));
        let stats = node_on(&engine, level).queue("q").stats().await.unwrap();
        let window = match level {
            Durability::Durable => Some(Duration::ZERO),
            Durability::Relaxed => Some(engine.status().flush_interval),
            Durability::Memory => None,
        };
        assert_eq!((stats.durability, stats.loss_window), (level, window));
    }
}
