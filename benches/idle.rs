//! What 100,000 queues leave in memory once they are used and idle again.
//!
//! `cargo bench --bench idle`; `BENCH_DIR` chooses the disk.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lanekeeper::{Lanekeeper, json};
use support::{resident_bytes, scratch};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUEUES: usize = 100_000;
const CALLERS: usize = 64;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = scratch();
        let builder = Lanekeeper::builder().data(dir.path()).idle_timeout(Duration::from_secs(2));
        let node = builder.open().await.unwrap();
        let mut before = resident_bytes();
        println!("resident before: {} MB", before >> 20);
        for round in 1..=3 {
            use_once(&node, round).await;
            let used = resident_bytes();
            while node.status().activations > 0 || node.status().engine.overlay_bytes > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let after = resident_bytes();
            println!("round {round}: {QUEUES} queues used: {} MB", used >> 20);
            let ratio = after as f64 / before as f64;
            println!("  idle again: {} MB, {ratio:.2} × before (at most 1.2)", after >> 20);
            before = after;
        }
        let began = Instant::now();
        let stats = node.queue("queue-1-77").stats().await.unwrap();
        assert_eq!((stats.totals.pushed, stats.totals.popped, stats.ready), (2, 1, 1));
        println!("first use afterwards: {:.0} µs", began.elapsed().as_secs_f64() * 1e6);
        node.shutdown(Duration::from_secs(60)).await.unwrap();
    });
}

/// Two pushes and a pop on each of many queues: one message stays.
async fn use_once(node: &Lanekeeper, round: usize) {
    let node = Arc::new(node.clone());
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let node = Arc::clone(&node);
            tokio::spawn(async move {
                for number in (caller..QUEUES).step_by(CALLERS) {
                    let queue = node.queue(&format!("queue-{round}-{number}"));
                    queue.push(json!({"number": number})).await.unwrap();
                    queue.push(json!({"number": number})).await.unwrap();
                    assert_eq!(queue.pop(1).await.unwrap().len(), 1);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
