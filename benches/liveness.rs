//! What a fleet costs: commits a minute and processor time per beat for ten thousand workers that
//! beat every fifteen seconds, on a clock that is moved by hand; and beats a second at full speed.
//!
//! `cargo bench --bench liveness`; `BENCH_DIR` chooses the disk.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lanekeeper::{Clock, Lanekeeper, worker::Worker};
use rustix::time::{ClockId, clock_gettime};
use support::{closed_loop, resident_bytes, scratch};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FLEET: usize = 10_000;
const LARGE_FLEET: usize = 100_000;
const CALLERS: usize = 64;
const MINUTES: u32 = 10;
const BEAT: Duration = Duration::from_secs(15);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        minutes(FLEET).await;
        minutes(LARGE_FLEET).await;
        full_speed().await;
    });
}

/// The fleet's minutes: every worker beats every fifteen seconds, the duties are done every second.
async fn minutes(fleet: usize) {
    let dir = scratch();
    let clock = Clock::manual();
    let builder = Lanekeeper::builder().data(dir.path()).clock(clock.clone()).without_duties();
    let node = builder.open().await.unwrap();
    let before = resident_bytes();
    let workers = workers(&node, fleet);
    arrive(&workers).await;
    node.liveness().flush_now().await.unwrap();
    let arrived = resident_bytes().saturating_sub(before) / fleet as u64;
    let (commits, fsyncs) = engine(&node);
    let (mut beating, mut keeping) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..MINUTES * 4 {
        let began = processor_time();
        for worker in &*workers {
            worker.heartbeat().await.unwrap();
        }
        beating += processor_time() - began;
        let began = processor_time();
        for _ in 0..BEAT.as_secs() {
            clock.advance(Duration::from_secs(1));
            node.run_duties().await.unwrap();
        }
        keeping += processor_time() - began;
    }
    let stats = node.liveness().stats();
    assert_eq!((stats.online, stats.silent_total), (fleet as u64, 0));
    let (commits, fsyncs) = (engine(&node).0 - commits, engine(&node).1 - fsyncs);
    let beats = f64::from(MINUTES * 4) * fleet as f64;
    println!("{fleet} workers, a beat every 15 s, {MINUTES} minutes:");
    let minute = |count: u64| count as f64 / f64::from(MINUTES);
    println!("  {:.1} commits a minute (at most 2 for 10,000)", minute(commits));
    println!("  {:.1} fsyncs a minute", minute(fsyncs));
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / beats;
    println!("  {:.2} µs of processor time a beat", micros(beating));
    println!("  {:.2} µs more for flushes and sweeps", micros(keeping));
    let share = (beating + keeping).as_secs_f64() / (f64::from(MINUTES) * 60.0);
    println!("  {:.3} % of one processor", share * 100.0);
    println!("  {arrived} bytes of memory a worker");
    node.shutdown(Duration::from_secs(60)).await.unwrap();
}

/// Beats of workers that are online, as fast as they go.
async fn full_speed() {
    let node = Lanekeeper::in_memory();
    let workers = workers(&node, FLEET);
    arrive(&workers).await;
    for callers in [1, CALLERS] {
        let measured = closed_loop(callers, Duration::from_secs(2), |caller| {
            let workers = Arc::clone(&workers);
            move |step| {
                let worker = workers[(caller * 997 + step * 61) % FLEET].clone();
                async move { worker.heartbeat().await.map(|_| true).unwrap() }
            }
        })
        .await;
        let (rate, p99) = (measured.per_second, measured.micros(0.99));
        println!("{callers} callers: {rate:.0} beats/s, p99 {p99:.1} µs");
    }
}

fn workers(node: &Lanekeeper, count: usize) -> Arc<[Worker]> {
    (0..count).map(|number| node.worker(&format!("worker-{number:06}"))).collect()
}

/// First beats, each of which is written before it is answered.
async fn arrive(workers: &Arc<[Worker]>) {
    let began = Instant::now();
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let workers = Arc::clone(workers);
            tokio::spawn(async move {
                for worker in workers.iter().skip(caller).step_by(CALLERS) {
                    worker.heartbeat().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rate = workers.len() as f64 / began.elapsed().as_secs_f64();
    println!("{} first beats: {rate:.0} a second", workers.len());
}

fn engine(node: &Lanekeeper) -> (u64, u64) {
    let status = node.status().engine;
    (status.commits, status.fsyncs)
}

/// Processor time of the whole process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
