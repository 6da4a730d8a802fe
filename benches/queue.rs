//! Durable pushes and pops in process, as a ratio to a bare log in the same run.
//!
//! `cargo bench --bench queue`; `BENCH_DIR` chooses the disk.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod support;

use std::{path::Path, sync::Arc, time::Duration};

use lanekeeper::{
    Lanekeeper,
    queue::{Item, Queue},
};
use support::{Measured, bare_log, closed_loop, median, scratch};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TIME: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        println!("{:<28} {:>11} {:>11} {:>11}  ratios (reach)", "", "log/s", "push/s", "pop/s");
        for (callers, reach) in [(1, 0.8), (8, 0.7), (64, 0.6)] {
            for queues in [1, 100] {
                compare(callers, queues, reach).await;
            }
        }
    });
}

/// Log, push and pop in turn, several times: each ratio is taken within one turn.
async fn compare(callers: usize, queues: usize, reach: f64) {
    let (mut log, mut push, mut pop) = (Vec::new(), Vec::new(), Vec::new());
    let (mut push_ratio, mut pop_ratio) = (Vec::new(), Vec::new());
    let mut latency = String::new();
    for _ in 0..ROUNDS {
        let dir = scratch();
        let limit = bare_log(dir.path(), callers, TIME).await;
        let (pushed, popped) = queue(dir.path(), callers, queues).await;
        latency = format!("p50 {:.0} µs, p99 {:.0} µs", pushed.micros(0.5), pushed.micros(0.99));
        push_ratio.push(pushed.per_second / limit.per_second);
        pop_ratio.push(popped.per_second / limit.per_second);
        log.push(limit.per_second);
        push.push(pushed.per_second);
        pop.push(popped.per_second);
    }
    println!(
        "{:<28} {:>11.0} {:>11.0} {:>11.0}  push {:.2} pop {:.2} ({reach}), push {latency}",
        format!("{callers} callers, {queues} queues"),
        median(log),
        median(push),
        median(pop),
        median(push_ratio),
        median(pop_ratio),
    );
}

async fn queue(dir: &Path, callers: usize, queues: usize) -> (Measured, Measured) {
    let node = Lanekeeper::open(dir.join("data")).await.unwrap();
    let item = Item::from_json(format!("{{\"item\":\"{}\"}}", "x".repeat(245))).unwrap();
    assert_eq!(item.size_bytes(), 256);
    let handles: Vec<Queue> = (0..queues).map(|n| node.queue(&format!("queue-{n}"))).collect();
    let handles: Arc<[Queue]> = handles.into();
    let pushed = closed_loop(callers, TIME, |caller| {
        let (handles, item) = (Arc::clone(&handles), item.clone());
        move |step| {
            let queue = handles[(caller + step) % queues].clone();
            let item = item.clone();
            async move { queue.push(item).await.map(|_| true).unwrap() }
        }
    })
    .await;
    let popped = closed_loop(callers, TIME, |caller| {
        let handles = Arc::clone(&handles);
        move |step| {
            let queue = handles[(caller + step) % queues].clone();
            async move { !queue.pop(1).await.unwrap().is_empty() }
        }
    })
    .await;
    node.shutdown(Duration::from_secs(60)).await.unwrap();
    (pushed, popped)
}
