//! Emptying a run's queues after it, so that every item is accounted for.

use std::{collections::BTreeSet, thread};

use super::{
    client::{Client, ClientError, Popped},
    item::Items,
    ledger::{Ledger, Outcome, Popped as PopNote},
    moment::now,
    plan::Plan,
    request::queue_name,
};

/// Messages a pop asks for: as many as it may.
const DEPTH: u32 = 100;

/// Threads that drain, each its own queues.
const THREADS: usize = 4;

/// Pops without an answer that are put up with before the drain is given up.
const LOST_MAX: usize = 3;

/// Pops what is left in every queue that anything may have been pushed to.
///
/// # Errors
/// As the server or the way to it says.
pub(super) fn drain(
    plan: &Plan,
    ledgers: &[Ledger],
    first_lane: u16,
) -> Result<Vec<Ledger>, ClientError> {
    let pushes = ledgers.iter().flat_map(|ledger| &ledger.pushes);
    let used = pushes.filter(|pushed| pushed.outcome != Outcome::Refused);
    let queues: BTreeSet<u32> = used.map(|pushed| pushed.queue).collect();
    let queues: Vec<u32> = queues.into_iter().collect();
    thread::scope(|scope| {
        let drainers: Vec<_> = (0..THREADS.min(queues.len()))
            .map(|place| {
                let queues = queues.iter().skip(place).step_by(THREADS);
                scope.spawn(move || drain_some(plan, queues, first_lane + place as u16))
            })
            .collect();
        drainers
            .into_iter()
            .map(|drainer| drainer.join().expect("a drainer does not panic"))
            .collect()
    })
}

fn drain_some<'a>(
    plan: &Plan,
    queues: impl Iterator<Item = &'a u32>,
    lane: u16,
) -> Result<Ledger, ClientError> {
    let mut ledger = Ledger::new(lane);
    let mut client = Client::new(plan.addr, &plan.host, plan.token.as_deref());
    let items = Items::new(&plan.run, &plan.scenario.item_bytes);
    let mut scratch = Vec::new();
    for &queue in queues {
        let path = format!("/queue/{}/pop?depth={DEPTH}", queue_name(&plan.run, queue));
        loop {
            let sent = now();
            let popped: Popped = match client.post(&path, b"") {
                Ok(popped) => popped,
                Err(ClientError::Lost(..)) if ledger.cut.len() < LOST_MAX => {
                    ledger.cut.push((queue, DEPTH));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if popped.items.is_empty() {
                break;
            }
            ledger.pop(PopNote { sent, answered: now(), queue });
            for item in &popped.items {
                ledger.take(items.read(item.get().as_bytes(), &mut scratch));
            }
        }
    }
    Ok(ledger)
}
