//! Asks, activations and memory of the runtime, each beside its limit in the same run.
//!
//! `cargo bench --bench actor`

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod support;

use std::{
    collections::HashMap,
    future::Future,
    hint::black_box,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lanekeeper_actors::{ActorRef, Handler, Node, Request, Turn, VirtualActor};
use serde::{Deserialize, Serialize};
use support::resident_bytes;

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Default, Serialize, Deserialize)]
struct Counter {
    total: u64,
    rest: [u64; 3],
}

impl VirtualActor for Counter {
    const KIND: &'static str = "counter";
}

struct Add(u64);

impl Request for Add {
    type Reply = u64;
}

impl Handler<Add> for Counter {
    async fn handle(&mut self, Add(n): Add, _turn: &mut Turn<'_, Self>) -> u64 {
        self.total += n;
        self.total
    }
}

#[derive(Clone)]
struct Keep;

impl Request for Keep {
    type Reply = ();
}

impl Handler<Keep> for Counter {
    async fn handle(&mut self, _: Keep, turn: &mut Turn<'_, Self>) {
        self.rest[0] += 1;
        turn.save();
    }
}

const CALLERS: usize = 64;
const SECONDS: u64 = 2;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let node = Node::in_memory();
        for count in [1_000, 100_000] {
            asks(&node, count).await;
        }
        alone(&node).await;
        cycles(&node).await;
        drop(node);
        memory().await;
    });
}

fn report(name: &str, figure: f64, unit: &str, target: f64) {
    println!("{name:<52} {figure:>14.1} {unit:<10} {:>6.2} × the target", figure / target);
}

/// Runs `callers` tasks for a fixed time; each call of `step` does one operation.
async fn rate<F, S>(callers: usize, make: impl Fn(usize) -> S) -> f64
where
    S: FnMut(usize) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let began = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let mut step = make(caller);
            tokio::spawn(async move {
                let mut done = 0_usize;
                while Instant::now() < end {
                    for _ in 0..64 {
                        step(done).await;
                        done += 1;
                    }
                    tokio::task::yield_now().await;
                }
                done
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    total as f64 / began.elapsed().as_secs_f64()
}

fn place(caller: usize, step: usize, count: usize) -> usize {
    (caller.wrapping_mul(7_919) + step.wrapping_mul(2_654_435_761)) % count
}

async fn asks(node: &Node, count: usize) {
    let keys: Arc<Vec<String>> = Arc::new((0..count).map(|n| format!("counter-{n}")).collect());
    let map: HashMap<String, Mutex<Counter>> =
        keys.iter().map(|key| (key.clone(), Mutex::default())).collect();
    let map = Arc::new(Mutex::new(map));
    let limit = rate(CALLERS, |caller| {
        let (map, keys) = (Arc::clone(&map), Arc::clone(&keys));
        move |step| {
            let key = &keys[place(caller, step, count)];
            let map = map.lock().unwrap();
            let mut counter = map[key].lock().unwrap();
            counter.total += 1;
            black_box(counter.total);
            async {}
        }
    })
    .await;
    println!("{:<52} {limit:>14.1} /s", format!("mutexed map, direct call, {count} keys"));

    let refs: Vec<ActorRef<Counter>> = keys.iter().map(|key| node.actor(key)).collect();
    for actor in &refs {
        actor.ask(Add(1)).await.unwrap();
    }
    let refs: &'static [ActorRef<Counter>] = refs.leak();
    let figure = rate(CALLERS, |caller| {
        move |step| async move {
            let actor = &refs[place(caller, step, refs.len())];
            black_box(actor.ask(Add(1)).await.unwrap());
        }
    })
    .await;
    report(&format!("asks, {CALLERS} callers, {count} actors"), figure, "/s", 4e6);
}

async fn alone(node: &Node) {
    let actor = node.actor::<Counter>("alone");
    let count = 2_000_000;
    actor.ask(Add(1)).await.unwrap();
    let began = Instant::now();
    for _ in 0..count {
        black_box(actor.ask(Add(1)).await.unwrap());
    }
    let micros = began.elapsed().as_secs_f64() * 1e6 / f64::from(count);
    println!("{:<52} {micros:>14.3} µs (at most 0.5)", "one ask, one caller alone");
}

async fn cycles(node: &Node) {
    for (name, is_loaded, target) in [("stateless", false, 1e6), ("state loaded", true, 250e3)] {
        let refs: Vec<ActorRef<Counter>> =
            (0..10_000).map(|n| node.actor(&format!("{is_loaded}-{n}"))).collect();
        if is_loaded {
            for actor in &refs {
                actor.ask(Keep).await.unwrap();
                actor.passivate().await;
            }
        }
        let refs: &'static [ActorRef<Counter>] = refs.leak();
        let figure = rate(CALLERS, |caller| {
            move |step| async move {
                let actor = &refs[place(caller, step, refs.len())];
                actor.ask(Add(1)).await.unwrap();
                actor.passivate().await;
            }
        })
        .await;
        report(&format!("activate → ask → passivate, {name}"), figure, "/s", target);
    }
}

async fn memory() {
    let node = Node::in_memory();
    let count = 500_000;
    let before = resident_bytes();
    for n in 0..count {
        node.actor::<Counter>(&format!("counter-{n}")).ask(Add(1)).await.unwrap();
    }
    let bytes = (resident_bytes() - before) as f64 / f64::from(count);
    println!("{:<52} {bytes:>14.1} bytes (at most 300)", "an idle activation, 32 B of state");
}
