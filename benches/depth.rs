//! What depth costs: the pop of a deep queue beside that of a shallow one, and what a million
//! messages take of memory, time and disk.
//!
//! `cargo bench --bench depth`; `BENCH_DIR` chooses the disk.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod support;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use lanekeeper::{
    Durability, Event, Lanekeeper,
    queue::{Item, NewMessage, Queue},
};
use support::{closed_loop, disk_bytes, resident_bytes, scratch};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MILLION: usize = 1_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // First, in a fresh process: what came before would count as resident.
        a_million().await;
        pops_at_depths().await;
    });
}

fn message() -> NewMessage {
    let item = Item::from_json(format!("{{\"item\":\"{}\"}}", "x".repeat(245))).unwrap();
    NewMessage::new(item).unwrap()
}

async fn fill(queue: &Queue, count: usize) {
    let message = message();
    let mut left = count;
    while left > 0 {
        let batch = left.min(1_000);
        queue.push_all(vec![message.clone(); batch]).await.unwrap();
        left -= batch;
    }
}

/// One node, one queue for each depth, one caller; popped in turns so that drift hits all alike.
async fn pops_at_depths() {
    let dir = scratch();
    let node = Lanekeeper::open(dir.path()).await.unwrap();
    let depths = [1_000, 100_000, MILLION];
    for depth in depths {
        fill(&node.queue(&depth.to_string()), depth).await;
    }
    let mut figures = vec![Vec::new(); depths.len()];
    for _ in 0..7 {
        for (figures, depth) in figures.iter_mut().zip(depths) {
            let queue = node.queue(&depth.to_string());
            let popped = closed_loop(1, Duration::from_millis(500), |_| {
                let queue = queue.clone();
                move |step| {
                    let queue = queue.clone();
                    async move { step < 100 && queue.pop(1).await.unwrap().len() == 1 }
                }
            })
            .await;
            figures.push(popped.micros(0.5));
        }
    }
    let figures: Vec<f64> = figures.into_iter().map(support::median).collect();
    for (figure, depth) in figures.iter().zip(depths) {
        let ratio = figure / figures[0];
        println!(
            "pop at depth {depth:<9} p50 {figure:>8.1} µs   {ratio:.2} × the first (at most 1.2)"
        );
    }
    node.shutdown(Duration::from_secs(60)).await.unwrap();
}

async fn a_million() {
    let dir = scratch();
    let node = Lanekeeper::open(dir.path()).await.unwrap();
    let before = resident_bytes();
    let began = Instant::now();
    fill(&node.queue("deep"), MILLION).await;
    println!(
        "1,000,000 × 256 B pushed in {:.1} s; resident {} MB (at most 200), {} MB before",
        began.elapsed().as_secs_f64(),
        resident_bytes() >> 20,
        before >> 20,
    );
    println!("disk {} MB", disk_bytes(dir.path()) >> 20);
    node.shutdown(Duration::from_secs(60)).await.unwrap();
    drop(node);
    reopen(dir.path()).await;
}

async fn reopen(dir: &Path) {
    let began = Instant::now();
    let builder = Lanekeeper::builder().data(dir).durability(Durability::Relaxed);
    let node = builder.open().await.unwrap();
    println!("reopened in {:.3} s (at most 2)", began.elapsed().as_secs_f64());
    let queue = node.queue("deep");
    let began = Instant::now();
    assert_eq!(queue.pop(1).await.unwrap().len(), 1);
    println!("first pop after {:.2} ms (at most 10)", began.elapsed().as_secs_f64() * 1e3);
    let mut events = node.events();
    let mut left = MILLION - 1;
    let began = Instant::now();
    while left > 0 {
        left -= queue.pop(100).await.unwrap().len();
    }
    println!(
        "drained in {:.1} s; resident {} MB (at most 200)",
        began.elapsed().as_secs_f64(),
        resident_bytes() >> 20
    );
    let settled = async {
        while disk_bytes(dir) > 100 << 20 {
            // Missed events are as good: the disk is looked at again either way.
            let _ = events.until(|event| matches!(event, Event::Maintenance(_))).await;
        }
    };
    let is_settled = tokio::time::timeout(Duration::from_secs(60), settled).await.is_ok();
    println!("disk once idle {} MB (at most 100), settled: {is_settled}", disk_bytes(dir) >> 20);
    node.shutdown(Duration::from_secs(60)).await.unwrap();
}
