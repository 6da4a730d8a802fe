//! Gates: uncontended, with ten thousand in line, and what they take in memory.
//!
//! `cargo bench --bench gate`; `BENCH_DIR` chooses the disk.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod footprint;
mod support;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lanekeeper::{
    Lanekeeper,
    gate::{Gate, GatePolicy},
};
use support::{bare_log, closed_loop, median, scratch};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TIME: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 3;
const WAITERS: usize = 10_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if footprint::is_child().await {
            return;
        }
        footprint::measure();
        uncontended().await;
        in_order().await;
        for (callers, waiters) in [(1, WAITERS), (8, WAITERS), (64, 10 * WAITERS)] {
            durable(callers, waiters).await;
        }
    });
}

/// One caller takes a permit and gives it back, again and again.
async fn uncontended() {
    let node = Lanekeeper::in_memory();
    let gate = node.gate("g");
    gate.set_policy(GatePolicy::concurrent(5)).await.unwrap();
    let mut figures = Vec::new();
    for _ in 0..ROUNDS {
        let measured = closed_loop(1, TIME, |_| {
            let gate = gate.clone();
            move |_| {
                let gate = gate.clone();
                async move {
                    gate.acquire("exec-1").await.unwrap();
                    gate.release("exec-1").await.unwrap().released
                }
            }
        })
        .await;
        figures.push(measured.per_second);
    }
    let figure = median(figures);
    println!("uncontended acquire + release in memory: {figure:.0}/s (reach 500000)");
}

/// Puts so many in line behind one who holds the only permit.
async fn line_up(gate: &Gate, count: usize, max_concurrent: u32) {
    gate.set_policy(GatePolicy {
        queue_length_max: 1_000_000,
        ..GatePolicy::concurrent(max_concurrent)
    })
    .await
    .unwrap();
    for n in 0..count {
        gate.acquire(&format!("exec-{n}")).ticket().await.unwrap();
    }
}

/// Everyone in line is let in in order, in memory.
async fn in_order() {
    let mut figures = Vec::new();
    for _ in 0..ROUNDS {
        let node = Lanekeeper::in_memory();
        let gate = node.gate("g");
        line_up(&gate, WAITERS, 1).await;
        let began = Instant::now();
        for n in 0..WAITERS {
            let granted = gate.release(&format!("exec-{n}")).await.unwrap().granted;
            assert!(n + 1 == WAITERS || granted == [format!("exec-{}", n + 1)], "strict order");
        }
        figures.push(WAITERS as f64 / began.elapsed().as_secs_f64());
    }
    let figure = median(figures);
    println!("{WAITERS} waiters granted in order in memory: {figure:.0}/s (reach 100000)");
}

/// Everyone in line is let in, durable: each release grants the next in the same commit, and is
/// answered once that is on disk. As many permits as callers; each caller releases what it holds
/// and goes on with whom that let in, until the line is empty.
async fn durable(callers: usize, waiters: usize) {
    let (mut figures, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let dir = scratch();
        let limit = bare_log(dir.path(), callers, TIME).await;
        let node = Lanekeeper::open(dir.path().join("data")).await.unwrap();
        let gate = node.gate("g");
        line_up(&gate, callers, callers as u32).await;
        fill(&gate, callers..waiters + callers).await;
        let measured = closed_loop(callers, 100 * TIME, |caller| {
            let held = Arc::new(Mutex::new(format!("exec-{caller}")));
            let gate = gate.clone();
            move |_| release_and_go_on(gate.clone(), Arc::clone(&held))
        })
        .await;
        // The last release of each caller finds nobody in line.
        assert_eq!(measured.latency.len(), waiters as u64, "each is granted once");
        let stats = gate.stats().await.unwrap();
        assert_eq!(stats.total_completed, (waiters + callers) as u64);
        figures.push(measured.per_second);
        ratios.push(measured.per_second / limit.per_second);
        node.shutdown(Duration::from_secs(60)).await.unwrap();
    }
    let (figure, ratio) = (median(figures), median(ratios));
    println!(
        "{waiters} granted durable, {callers} callers: {figure:.0}/s, {ratio:.2} of the log (0.5)"
    );
}

/// Releases who is held; false once that has let nobody in.
async fn release_and_go_on(gate: Gate, held: Arc<Mutex<String>>) -> bool {
    let owner = held.lock().unwrap().clone();
    let mut released = gate.release(&owner).await.unwrap();
    assert!(released.released, "{owner} holds a permit");
    assert!(released.granted.len() <= 1, "one permit lets in one");
    match released.granted.pop() {
        Some(next) => {
            *held.lock().unwrap() = next;
            true
        }
        None => false,
    }
}

/// Owners put in line at a time: fewer than may wait for the gate's turn.
const SLICE: usize = 5_000;

/// Puts owners in line, many at a time.
async fn fill(gate: &Gate, mut owners: std::ops::Range<usize>) {
    while !owners.is_empty() {
        let tasks: Vec<_> = owners
            .by_ref()
            .take(SLICE)
            .map(|n| {
                let gate = gate.clone();
                tokio::spawn(async move { gate.acquire(&format!("exec-{n}")).ticket().await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    }
}
