//! Leases: their rate beside a bare log, what outstanding ones cost, and what a storm of things
//! that are due does to the neighbours.
//!
//! `cargo bench --bench lease` (`-- rate`, `-- outstanding` or `-- storm` for a part of it);
//! `BENCH_DIR` chooses the disk, `STORM=1000000` the scheduled messages of the storm, which are due
//! over a minute (a quarter of that, over 15 s, by default).

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod support;

use std::time::Duration;

use lanekeeper::{
    Lanekeeper,
    queue::{Item, NewMessage, Queue},
};
use support::{Measured, bare_log, closed_loop, median, scratch};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TIME: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 3;
const TTL: Duration = Duration::from_secs(600);

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let is_wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if is_wanted("rate") {
            println!("lease + ack, durable, two records a cycle, to the bare log (reach 0.5)");
            for callers in [1, 8, 64] {
                compare(callers).await;
            }
        }
        if is_wanted("outstanding") {
            println!("lease + ack by one caller, in memory (no growth)");
            outstanding().await;
        }
        if is_wanted("storm") {
            println!(
                "a neighbour's push + pop while others are due (at most 2.0 of the quiet p99)"
            );
            storm().await;
        }
    });
}

fn item() -> Item {
    Item::from_json(format!("{{\"item\":\"{}\"}}", "x".repeat(245))).unwrap()
}

async fn fill(queue: &Queue, count: usize, delay: impl Fn(usize) -> Duration) {
    let item = item();
    let mut done = 0;
    while done < count {
        let slice = (done..count.min(done + 1_000))
            .map(|n| NewMessage::new(item.clone()).unwrap().delay(delay(n)));
        queue.push_all(slice.collect()).await.unwrap();
        done += 1_000;
    }
}

/// Log and leases in turn, several times: each ratio is taken within one turn.
async fn compare(callers: usize) {
    let (mut ratios, mut cycles, mut latency) = (Vec::new(), Vec::new(), String::new());
    for _ in 0..ROUNDS {
        let dir = scratch();
        let limit = bare_log(dir.path(), callers, TIME).await;
        let node = Lanekeeper::open(dir.path().join("data")).await.unwrap();
        let queue = node.queue("q");
        fill(&queue, 2_000 * callers.max(16), |_| Duration::ZERO).await;
        let worked = work(&queue, callers).await;
        node.shutdown(Duration::from_secs(60)).await.unwrap();
        latency = format!("p50 {:.0} µs, p99 {:.0} µs", worked.micros(0.5), worked.micros(0.99));
        ratios.push(2.0 * worked.per_second / limit.per_second);
        cycles.push(worked.per_second);
    }
    let (cycles, ratio) = (median(cycles), median(ratios));
    println!(
        "  {callers:>2} callers {cycles:>9.0} cycles/s, {ratio:.2} of the log, cycle {latency}"
    );
}

/// Leases one message and acks it, until there are none.
async fn work(queue: &Queue, callers: usize) -> Measured {
    closed_loop(callers, TIME, |_| {
        let queue = queue.clone();
        move |_| {
            let queue = queue.clone();
            async move {
                let Some(lease) = queue.lease(1).ttl(TTL).await.unwrap().pop() else {
                    return false;
                };
                lease.ack().await.unwrap();
                true
            }
        }
    })
    .await
}

async fn outstanding() {
    for count in [0, 1_000, 100_000] {
        let node = Lanekeeper::in_memory();
        let queue = node.queue("q");
        fill(&queue, count + 200_000, |_| Duration::ZERO).await;
        for _ in 0..count / 100 {
            for lease in queue.lease(100).ttl(TTL).await.unwrap() {
                lease.detach();
            }
        }
        let worked = work(&queue, 1).await;
        let micros = 1e6 / worked.per_second;
        println!("  {count:>7} outstanding: {micros:>6.2} µs a cycle");
    }
}

async fn storm() {
    let dir = scratch();
    let node = Lanekeeper::open(dir.path().join("data")).await.unwrap();
    let neighbour = node.queue("neighbour");
    let scheduled: usize = std::env::var("STORM").map_or(250_000, |count| count.parse().unwrap());
    let window = Duration::from_secs_f64(scheduled as f64 * 60.0 / 1e6);
    let quiet = busy(&neighbour, Duration::from_secs(5)).await;
    report("quiet", &quiet, &quiet);

    let leased = node.queue("leased");
    fill(&leased, 100_000, |_| Duration::ZERO).await;
    let lead = Duration::from_secs(20);
    let end = std::time::Instant::now() + lead;
    for _ in 0..1_000 {
        let left = end.saturating_duration_since(std::time::Instant::now());
        for lease in leased.lease(100).ttl(left.max(Duration::from_secs(1))).await.unwrap() {
            lease.detach();
        }
    }
    let left = end.saturating_duration_since(std::time::Instant::now());
    tokio::time::sleep(left.saturating_sub(Duration::from_millis(500))).await;
    let during = busy(&neighbour, Duration::from_secs(5)).await;
    let stats = leased.stats().await.unwrap();
    report("100,000 leases ending", &during, &quiet);
    println!("    {} of them had ended when it was over", stats.totals.expired);

    let late = node.queue("scheduled");
    let fill_time = Duration::from_secs(60);
    let began = std::time::Instant::now();
    fill(&late, scheduled, |n| {
        let due = fill_time + window.mul_f64(n as f64 / scheduled as f64);
        due.saturating_sub(began.elapsed())
    })
    .await;
    tokio::time::sleep(fill_time.saturating_sub(began.elapsed())).await;
    let during = busy(&neighbour, window).await;
    report(&format!("{scheduled} scheduled due over {window:?}"), &during, &quiet);
    let stats = late.stats().await.unwrap();
    println!("    {} of them were ready when it was over", stats.ready);
    node.shutdown(Duration::from_secs(60)).await.unwrap();
}

/// What a queue beside all that feels.
async fn busy(queue: &Queue, time: Duration) -> Measured {
    closed_loop(4, time, |_| {
        let (queue, item) = (queue.clone(), item());
        move |_| {
            let (queue, item) = (queue.clone(), item.clone());
            async move {
                queue.push(item).await.unwrap();
                !queue.pop(1).await.unwrap().is_empty()
            }
        }
    })
    .await
}

fn report(name: &str, measured: &Measured, quiet: &Measured) {
    let (p50, p99) = (measured.micros(0.5), measured.micros(0.99));
    let ratio = p99 / quiet.micros(0.99);
    let per_second = measured.per_second;
    println!("  {name}: {per_second:.0}/s, p50 {p50:.0} µs, p99 {p99:.0} µs, {ratio:.2} of quiet");
}
