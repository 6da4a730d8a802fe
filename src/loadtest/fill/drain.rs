//! Emptying a run's queues after it, so that every item is accounted for.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::loadtest::{
    generate::request::queue_name,
    item::Items,
    load_clock::now,
    plan::run_plan::Plan,
    record::expected_items::{ExpectedItems, ItemOutcome, Popped as PopNote},
    target::client::{Client, ClientError, Popped},
};

/// Messages a pop asks for: as many as it may.
const DEPTH: u32 = 100;

/// Threads that drain, each its own queues.
const THREADS: usize = 4;

/// Pops without an answer that are put up with before the drain is given up.
const LOST_MAX: usize = 3;

/// How long what is missing is waited for after the last lease has expired: it may be on its way
/// from one queue to another.
const LINGER: Duration = Duration::from_secs(3);

/// How long a queue is left alone before it is looked at again.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Deserialize)]
struct Redriven {
    moved: u64,
}

#[derive(Deserialize)]
struct Stats {
    scheduled: u64,
    leased: u64,
    dead_lettered: u64,
}

/// Pops what is left in every queue that anything may have been pushed to. Where messages are
/// leased, waits for those that come back, and brings back those that are dead.
///
/// # Errors
/// As the server or the way to it says.
pub(crate) fn drain(
    plan: &Plan,
    ledgers: &[ExpectedItems],
    first_lane: u16,
) -> Result<Vec<ExpectedItems>, ClientError> {
    let queues: Vec<(u32, i64)> = left(ledgers).into_iter().collect();
    thread::scope(|scope| {
        let drainers: Vec<_> = (0..THREADS.min(queues.len()))
            .map(|place| {
                let queues = queues.iter().skip(place).step_by(THREADS);
                let mut drainer = Drainer::new(plan, first_lane + place as u16);
                scope.spawn(move || {
                    for &(queue, left) in queues {
                        drainer.drain(queue, left)?;
                    }
                    Ok(drainer.ledger)
                })
            })
            .collect();
        drainers
            .into_iter()
            .map(|drainer| drainer.join().expect("a drainer does not panic"))
            .collect()
    })
}

/// Queues that anything may have been pushed to, and how many messages are known to be left there.
fn left(ledgers: &[ExpectedItems]) -> BTreeMap<u32, i64> {
    let mut left = BTreeMap::new();
    for ledger in ledgers {
        for pushed in ledger.pushes.iter().filter(|pushed| pushed.outcome != ItemOutcome::Refused) {
            *left.entry(pushed.queue).or_default() +=
                i64::from(pushed.outcome == ItemOutcome::Kept);
        }
        for taken in &ledger.taken {
            *left.entry(ledger.pops[taken.pop as usize].queue).or_default() -= 1;
        }
    }
    left
}

/// A drainer and its queues.
struct Drainer<'a> {
    plan: &'a Plan,
    client: Client,
    items: Items,
    ledger: ExpectedItems,
    scratch: Vec<u8>,
}

impl<'a> Drainer<'a> {
    fn new(plan: &'a Plan, lane: u16) -> Self {
        Self {
            plan,
            client: Client::new(plan.addr, &plan.host, plan.token.as_deref()),
            items: Items::new(&plan.run, &plan.scenario.item_bytes),
            ledger: ExpectedItems::new(lane),
            scratch: Vec::new(),
        }
    }

    fn drain(&mut self, queue: u32, mut left: i64) -> Result<(), ClientError> {
        left -= self.empty(queue)?;
        if !self.plan.scenario.is_leasing() {
            return Ok(());
        }
        let stats_path = format!("/queue/{}/stats", queue_name(&self.plan.run, queue));
        let patience = Duration::from_millis(self.plan.scenario.work.ttl_ms) + LINGER;
        let began = Instant::now();
        loop {
            let moved = self.redrive(queue)?;
            let stats: Stats = self.client.ask("GET", &stats_path, b"")?;
            let popped = self.empty(queue)?;
            left -= popped;
            let is_quiet = moved + stats.leased + stats.scheduled + popped as u64 == 0;
            if is_quiet && left <= 0 || began.elapsed() > patience {
                self.ledger.dead_lettered += stats.dead_lettered;
                return Ok(());
            }
            if popped == 0 {
                thread::sleep(LOOK);
            }
        }
    }

    /// Brings dead letters back.
    fn redrive(&mut self, queue: u32) -> Result<u64, ClientError> {
        if self.plan.scenario.work.max_deliveries.is_none() {
            return Ok(0);
        }
        let path = format!("/queue/{}/redrive", queue_name(&self.plan.run, queue));
        let Redriven { moved } = self.client.post(&path, b"{\"depth\":1000}")?;
        self.ledger.redriven += moved;
        Ok(moved)
    }

    /// Pops until there is nothing; answers how many there were.
    fn empty(&mut self, queue: u32) -> Result<i64, ClientError> {
        let path = format!("/queue/{}/pop?depth={DEPTH}", queue_name(&self.plan.run, queue));
        let mut count = 0;
        loop {
            let sent = now();
            let popped: Popped = match self.client.post(&path, b"") {
                Ok(popped) => popped,
                Err(ClientError::Lost(..)) if self.ledger.cut.len() < LOST_MAX => {
                    self.ledger.cut.push((queue, DEPTH));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if popped.items.is_empty() {
                return Ok(count);
            }
            count += popped.items.len() as i64;
            self.ledger.pop(PopNote { sent, answered: now(), queue });
            for item in &popped.items {
                let item = self.items.read(item.get().as_bytes(), &mut self.scratch);
                self.ledger.take(item);
            }
        }
    }
}
