//! Crowds at a gate: thousands of executions, three workers of different speed, cancellations,
//! timeouts, and a kill in the middle.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use fastrand::Rng;
use lanekeeper_actors::gate::{Gate, GateError, TicketState};

use crate::support::gate::{Gates, next, position};

const LIMIT: u32 = 5;
const TICK: Duration = Duration::from_millis(10);
/// Ticks that a worker takes for an execution.
const SPEEDS: [u64; 3] = [1, 2, 5];
/// What an execution that will time out is given: sooner than its turn can come.
const IMPATIENT: Duration = Duration::from_millis(15);

/// What becomes of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Runs,
    IsCancelled,
    TimesOut,
}

/// Executions on their way through one gate.
struct Crowd {
    gates: Gates,
    gate: Gate,
    fates: HashMap<String, Fate>,
    /// Those who wait and will not leave of themselves, in the order in which they must be let in.
    line: VecDeque<String>,
    /// Those who run, by the tick at which they are done.
    running: BTreeMap<(u64, String), ()>,
    done: HashSet<String>,
    tick: u64,
}

impl Crowd {
    async fn of(count: usize, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let gates =
            Gates::with(|builder| builder.durability(lanekeeper_actors::Durability::Relaxed));
        let gate = gates.gate("pack.action", LIMIT).await;
        let mut crowd = Self {
            gates,
            gate,
            fates: HashMap::new(),
            line: VecDeque::new(),
            running: BTreeMap::new(),
            done: HashSet::new(),
            tick: 0,
        };
        for n in 0..count {
            let owner = format!("exec-{n}");
            // The first ones run at once; of the last ones nobody can say that they wait long.
            let fate = match random.u32(..100) {
                0..5 if n > 50 => Fate::IsCancelled,
                5..10 if n > 50 => Fate::TimesOut,
                _ => Fate::Runs,
            };
            crowd.enter(&owner, fate).await;
        }
        crowd
    }

    async fn enter(&mut self, owner: &str, fate: Fate) {
        let mut acquire = self.gate.acquire(owner);
        if fate == Fate::TimesOut {
            acquire = acquire.timeout(IMPATIENT);
        }
        let ticket = acquire.ticket().await.unwrap();
        self.fates.insert(owner.to_owned(), fate);
        if ticket.state == TicketState::Granted {
            self.run(owner);
        } else if fate == Fate::Runs {
            self.line.push_back(owner.to_owned());
        }
    }

    fn run(&mut self, owner: &str) {
        let worker = owner.bytes().map(usize::from).sum::<usize>() % SPEEDS.len();
        self.running.insert((self.tick + SPEEDS[worker], owner.to_owned()), ());
        assert!(self.running.len() <= LIMIT as usize, "the limit is never exceeded");
    }

    /// Checks that these were let in in the order of the line.
    fn let_in(&mut self, granted: &[String]) {
        for owner in granted {
            assert_eq!(self.line.pop_front().as_ref(), Some(owner), "strict order");
            self.run(owner);
        }
    }

    async fn cancel_all(&mut self) {
        let fates: Vec<_> = self.fates.iter().map(|(owner, fate)| (owner.clone(), *fate)).collect();
        for (owner, _) in fates.iter().filter(|(_, fate)| *fate == Fate::IsCancelled) {
            self.gate.cancel(owner).await.unwrap();
        }
    }

    /// Lets a moment pass, and those end who are done by then.
    async fn step(&mut self) {
        self.tick += 1;
        self.gates.advance(TICK).await;
        let is_due = |((at, _), ()): &((u64, String), ())| *at <= self.tick;
        let due: Vec<_> =
            self.running.clone().into_iter().filter(is_due).map(|((_, owner), ())| owner).collect();
        for owner in due {
            self.running.retain(|(_, other), ()| *other != owner);
            let granted = next(&self.gate, &owner).await;
            assert!(self.done.insert(owner), "an execution runs once");
            self.let_in(&granted);
        }
    }

    fn crash(mut self) -> Self {
        self.gates = self.gates.crash();
        self.gate = self.gates.node.gate("pack.action");
        self
    }

    async fn check_figures(&self) {
        let count = |fate| self.fates.values().filter(|own| **own == fate).count() as u64;
        let stats = self.gate.stats().await.unwrap();
        assert_eq!(stats.queue_length + stats.active_count, 0, "nothing is stuck");
        assert_eq!(stats.total_enqueued, self.fates.len() as u64);
        assert_eq!(stats.total_completed, count(Fate::Runs));
        assert_eq!(stats.total_cancelled, count(Fate::IsCancelled));
        assert_eq!(stats.total_timed_out, count(Fate::TimesOut));
        self.gates.check();
    }
}

async fn go_through(count: usize) {
    let seed =
        std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut crowd = Crowd::of(count, seed).await;
    crowd.cancel_all().await;
    let expected = crowd.fates.values().filter(|fate| **fate == Fate::Runs).count();
    while crowd.done.len() < expected / 2 {
        crowd.step().await;
    }
    for (owner, fate) in &crowd.fates {
        let ticket = crowd.gate.ticket(owner).await;
        let is_gone = matches!(ticket, Err(GateError::TicketNotFound));
        assert!(is_gone || *fate == Fate::Runs, "{owner} {fate:?}: {ticket:?}");
    }
    let mut crowd = crowd.crash();
    let last = crowd.line.back().unwrap();
    let ticket = crowd.gate.ticket(last).await.unwrap();
    assert_eq!(position(&ticket) as usize, crowd.line.len(), "everybody's place is kept");
    while crowd.done.len() < expected {
        assert!(!crowd.running.is_empty(), "somebody is stuck");
        crowd.step().await;
    }
    crowd.check_figures().await;
}

#[tokio::test]
async fn a_thousand_executions_go_through_a_gate_in_strict_order() {
    go_through(1_000).await;
}

#[tokio::test]
async fn ten_thousand_executions_go_through_a_gate_in_strict_order() {
    go_through(10_000).await;
}

#[tokio::test]
async fn three_gates_with_fifty_executions_each_do_not_touch_one_another() {
    let gates = Gates::new();
    let mut all = Vec::new();
    for (id, limit) in [("one", 1), ("two", 5), ("three", 7)] {
        all.push((gates.gate(id, limit).await, limit as usize));
    }
    // The same owners at each of them, in turns.
    for n in 0..50 {
        for (gate, limit) in &all {
            let ticket = gate.acquire(&format!("exec-{n}")).ticket().await.unwrap();
            assert_eq!(ticket.state == TicketState::Granted, n < *limit, "{n} {gate:?}");
        }
    }
    for n in 0..50 {
        for (gate, limit) in &all {
            let granted = next(gate, &format!("exec-{n}")).await;
            let expected: Vec<_> = Some(n + limit)
                .filter(|&n| n < 50)
                .map(|n| format!("exec-{n}"))
                .into_iter()
                .collect();
            assert_eq!(granted, expected, "{gate:?}");
        }
    }
    for (gate, _) in &all {
        let stats = gate.stats().await.unwrap();
        assert_eq!((stats.total_completed, stats.active_count, stats.queue_length), (50, 0, 0));
    }
}
