//! Crowds at a gate: thousands of executions, three workers of different speed, cancellations,
//! timeouts, and a kill in the middle.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    time::Duration,
};

use fastrand::Rng;
use lanekeeper_actors::gate::{Gate, GateError, TicketState};

use crate::support::gate::{Gates, next, position};

const LIMIT: u32 = 5;
const TICK: Duration = Duration::from_millis(10);
/// Ticks that a worker takes for an execution.
const SPEEDS: [u64; 3] = [1, 2, 5];

/// What becomes of an execution, unless its turn comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Runs,
    IsCancelled,
    TimesOut,
}

/// Executions on their way through one gate, and what has become of them.
struct Crowd {
    gates: Gates,
    gate: Gate,
    /// Those who wait, in the order in which they must be let in.
    line: VecDeque<String>,
    /// Who leaves the line at which tick, and why.
    leaving: BTreeMap<u64, Vec<(String, Fate)>>,
    /// Those who run, by the tick at which they are done.
    running: BTreeSet<(u64, String)>,
    done: HashSet<String>,
    cancelled_count: u64,
    timed_out_count: u64,
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
            line: VecDeque::new(),
            leaving: BTreeMap::new(),
            running: BTreeSet::new(),
            done: HashSet::new(),
            cancelled_count: 0,
            timed_out_count: 0,
            tick: 0,
        };
        for n in 0..count {
            let fate = match random.u32(..100) {
                0..5 => Fate::IsCancelled,
                5..10 => Fate::TimesOut,
                _ => Fate::Runs,
            };
            // The turn of the nth comes after about half as many ticks.
            let at_tick = random.u64(n as u64 / 4..=n as u64 / 2).max(1);
            crowd.enter(&format!("exec-{n}"), fate, at_tick).await;
        }
        crowd
    }

    async fn enter(&mut self, owner: &str, fate: Fate, at_tick: u64) {
        let mut acquire = self.gate.acquire(owner);
        if fate == Fate::TimesOut {
            acquire = acquire.timeout(TICK * at_tick as u32);
        }
        let ticket = acquire.ticket().await.unwrap();
        if fate != Fate::Runs {
            self.leaving.entry(at_tick).or_default().push((owner.to_owned(), fate));
        }
        if ticket.state == TicketState::Granted {
            self.run(owner);
        } else {
            self.line.push_back(owner.to_owned());
        }
    }

    fn run(&mut self, owner: &str) {
        let worker = owner.bytes().map(usize::from).sum::<usize>() % SPEEDS.len();
        self.running.insert((self.tick + SPEEDS[worker], owner.to_owned()));
        assert!(self.running.len() <= LIMIT as usize, "the limit is never exceeded");
    }

    /// Checks that these were let in in the order of the line.
    fn let_in(&mut self, granted: &[String]) {
        for owner in granted {
            assert_eq!(self.line.pop_front().as_ref(), Some(owner), "strict order");
            self.run(owner);
        }
    }

    /// Takes an owner out of the line; false if it is not in it any more.
    fn leave(&mut self, owner: &str) -> bool {
        let place = self.line.iter().position(|other| other == owner);
        place.and_then(|place| self.line.remove(place)).is_some()
    }

    async fn cancel(&mut self, owner: &str) {
        let cancelled = self.gate.cancel(owner).await;
        if self.leave(owner) {
            cancelled.unwrap();
            self.cancelled_count += 1;
        } else if self.done.contains(owner) {
            assert!(matches!(cancelled, Err(GateError::TicketNotFound)), "{cancelled:?}");
        } else {
            assert!(matches!(cancelled, Err(GateError::Granted)), "{cancelled:?}");
        }
    }

    /// Lets a moment pass, and those leave and end whose time has come.
    async fn step(&mut self) {
        self.tick += 1;
        self.gates.advance(TICK).await;
        for (owner, fate) in self.leaving.remove(&self.tick).unwrap_or_default() {
            match fate {
                Fate::TimesOut => self.timed_out_count += u64::from(self.leave(&owner)),
                _ => self.cancel(&owner).await,
            }
        }
        while self.running.first().is_some_and(|(at, _)| *at <= self.tick) {
            let (_, owner) = self.running.pop_first().unwrap();
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

    async fn check_figures(&self, count: usize) {
        let stats = self.gate.stats().await.unwrap();
        assert_eq!(stats.queue_length + stats.active_count, 0, "nothing is stuck");
        assert_eq!(stats.total_enqueued, count as u64);
        assert_eq!(stats.total_completed, self.done.len() as u64);
        assert_eq!(stats.total_cancelled, self.cancelled_count);
        assert_eq!(stats.total_timed_out, self.timed_out_count);
        let left = self.cancelled_count + self.timed_out_count;
        assert_eq!(self.done.len() + left as usize, count);
        self.gates.check();
    }
}

async fn go_through(count: usize) {
    let seed =
        std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut crowd = Crowd::of(count, seed).await;
    while crowd.done.len() < count / 2 {
        crowd.step().await;
    }
    let before = (crowd.cancelled_count, crowd.timed_out_count);
    let mut crowd = crowd.crash();
    let last = crowd.line.back().unwrap();
    let ticket = crowd.gate.ticket(last).await.unwrap();
    assert_eq!(position(&ticket) as usize, crowd.line.len(), "everybody's place is kept");
    while !(crowd.line.is_empty() && crowd.running.is_empty()) {
        assert!(!crowd.running.is_empty(), "somebody is stuck");
        crowd.step().await;
    }
    assert!(before.0 > 0 && before.1 > 0, "before the restart: {before:?}");
    let after = (crowd.cancelled_count - before.0, crowd.timed_out_count - before.1);
    assert!(after.0 > 0 && after.1 > 0, "after the restart: {after:?}");
    crowd.check_figures(count).await;
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
