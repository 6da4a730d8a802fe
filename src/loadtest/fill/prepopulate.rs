//! Filling queues before a run, in bulk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, de::IgnoredAny};

use crate::loadtest::{
    generate::request::queue_name,
    item::Items,
    load_clock::now,
    plan::{
        action::Action,
        run_plan::{Control, Model, Plan},
        scenario::Fault,
    },
    record::expected_items::{ExpectedItems, ItemOutcome},
    target::client::{Client, ClientError},
};

/// Items in one push, and bytes.
const BATCH_ITEMS: u64 = 1_000;
const BATCH_BYTES: usize = 2 << 20;

/// Threads that fill, each its own queues so that the order inside one is certain.
const THREADS: u64 = 4;

/// Items that are added for pops at most.
const TOP_UP_MAX: u64 = 1_000_000;

/// How far the filling is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling {
    /// Items there.
    pub(crate) done: u64,
    /// Items to be there.
    pub(crate) total: u64,
    /// Since the beginning.
    pub(crate) elapsed: Duration,
}

impl Filling {
    /// Items per second so far.
    pub(crate) fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(1e-3)
    }

    /// How long the rest will take at that rate.
    pub(crate) fn left(&self) -> Duration {
        Duration::from_secs_f64((self.total - self.done) as f64 / self.rate().max(1.0))
    }
}

/// How many items a plan wants to be there when it begins.
pub(crate) fn wanted(plan: &Plan) -> u64 {
    let scenario = &plan.scenario;
    let mut wanted = scenario.prepopulated;
    if scenario.is_topped_up {
        let scale = match plan.model {
            Model::Open { scale } => scale,
            Model::Closed { .. } => 1.0,
        };
        let seconds = (plan.duration + plan.warmup).as_secs_f64();
        let pops = scenario.shape.mean() * scale * seconds * scenario.fraction(Action::Pop);
        wanted += ((pops * f64::from(scenario.depth)) as u64).min(TOP_UP_MAX);
    }
    wanted
}

/// Tells the queues of a plan what they must know of its workers.
///
/// # Errors
/// As the server or the way to it says.
pub(crate) fn configure(plan: &Plan) -> Result<(), ClientError> {
    let Some(count) = plan.scenario.work.max_deliveries else { return Ok(()) };
    let mut client = Client::new(plan.addr, &plan.host, plan.token.as_deref());
    let body = format!("{{\"max_deliveries\":{count}}}");
    for queue in 0..plan.scenario.queues {
        let path = format!("/queue/{}/config", queue_name(&plan.run, queue));
        client.ask::<IgnoredAny>("PUT", &path, body.as_bytes())?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Accepted {
    count: u64,
}

/// Fills a plan's queues, each with an equal part, and tells how far it is.
///
/// # Errors
/// As the server or the way to it says; what was accepted until then stays.
pub(crate) fn fill(
    plan: &Arc<Plan>,
    control: &Arc<Control>,
    first_lane: u16,
    mut tell: impl FnMut(Filling),
) -> Result<Vec<ExpectedItems>, ClientError> {
    let total = wanted(plan);
    if total == 0 {
        return Ok(Vec::new());
    }
    let began = Instant::now();
    let done = Arc::new(AtomicU64::new(0));
    let threads = THREADS.min(u64::from(plan.scenario.queues));
    let fillers: Vec<_> = (0..threads)
        .map(|place| {
            let (plan, control) = (Arc::clone(plan), Arc::clone(control));
            let done = Arc::clone(&done);
            let lane = first_lane + place as u16;
            thread::spawn(move || {
                let items = Items::new(&plan.run, &plan.scenario.item_bytes);
                let client = Client::new(plan.addr, &plan.host, plan.token.as_deref());
                let ledger = ExpectedItems::new(lane);
                let mut filler = Filler { plan, control, client, items, ledger, done };
                filler.fill((place, threads), total).map(|()| filler.ledger)
            })
        })
        .collect();
    while !fillers.iter().all(thread::JoinHandle::is_finished) {
        tell(Filling { done: done.load(Ordering::Relaxed), total, elapsed: began.elapsed() });
        thread::sleep(Duration::from_millis(50));
    }
    tell(Filling { done: done.load(Ordering::Relaxed), total, elapsed: began.elapsed() });
    fillers.into_iter().map(|filler| filler.join().expect("a filler does not panic")).collect()
}

struct Filler {
    plan: Arc<Plan>,
    control: Arc<Control>,
    client: Client,
    items: Items,
    ledger: ExpectedItems,
    done: Arc<AtomicU64>,
}

impl Filler {
    /// Fills every queue that is this filler's.
    fn fill(&mut self, (place, threads): (u64, u64), total: u64) -> Result<(), ClientError> {
        let queues = u64::from(self.plan.scenario.queues);
        for queue in (place..queues).step_by(threads as usize) {
            let mut left = total / queues + u64::from(queue < total % queues);
            while left > 0 && !self.control.is_stopped() {
                left -= self.push(queue as u32, left)?;
            }
        }
        Ok(())
    }

    /// Pushes the next batch into a queue.
    fn push(&mut self, queue: u32, left: u64) -> Result<u64, ClientError> {
        let mut body = b"{\"items\":[".to_vec();
        let (began, first) = (now(), self.ledger.pushes.len() as u32);
        let mut count = 0;
        while count < left.min(BATCH_ITEMS) && body.len() < BATCH_BYTES {
            let priorities = self.plan.scenario.priorities;
            let number = self.ledger.pushes.len() as u32;
            let priority = if priorities == 1 { 1 } else { number % priorities };
            // One request has them in this order; moments of their own say so.
            let item = self.ledger.push(queue, priority, began + 2 * count);
            let comma = if count == 0 { "" } else { "," };
            body.extend_from_slice(format!("{comma}{{\"priority\":{priority},").as_bytes());
            body.extend_from_slice(b"\"item\":");
            self.items.write(item, &mut body);
            body.push(b'}');
            count += 1;
        }
        body.extend_from_slice(b"]}");
        let path = format!("/queue/{}/push", queue_name(&self.plan.run, queue));
        let accepted: Result<Accepted, _> = self.client.post(&path, &body);
        let is_full = matches!(accepted, Err(ClientError::Refused { status: 507, .. }));
        if is_full && self.plan.scenario.fault == Some(Fault::Disk) {
            // It is to be full sooner or later, and nothing of this batch is there.
            for place in 0..count {
                self.ledger.settle(first + place as u32, ItemOutcome::Refused, now());
            }
            return Ok(left);
        }
        let accepted = accepted?;
        for place in 0..count {
            let answered = began + 2 * place + 1;
            self.ledger.settle(first + place as u32, ItemOutcome::Kept, answered);
        }
        self.done.fetch_add(accepted.count, Ordering::Relaxed);
        Ok(count)
    }
}
