//! What gates and those who wait at them take in memory, each measured in a process of its own: so
//! that nothing was freed before that could be used again, and what is left of something else
//! counts for nobody.

mod forgetful;

use std::{process::Command, sync::Arc};

use forgetful::Forgetful;
use lanekeeper::{
    Lanekeeper,
    gate::{Gate, GatePolicy},
};

/// Names the part that a child process measures.
const PART: &str = "BENCH_FOOTPRINT";

/// At most so many bytes for a gate at which nobody is, and for one who waits.
const IDLE_MAX: f64 = 300.0;
const WAITER_MAX: f64 = 200.0;

/// Gates, or all who wait, of one measurement. The tables of 120,000 gates have just grown.
const IDLE: [usize; 3] = [100_000, 120_000, 400_000];
const WAITERS: usize = 100_000;
/// Owners that wait at one gate.
const LINES: [usize; 3] = [1_000, 5_000, 10_000];

/// Measures every part in a child process, and prints what it found beside its bound.
pub(crate) fn measure() {
    for count in IDLE {
        let each = in_child(&format!("idle {count} 1"));
        println!(
            "an idle gate, one of {count}, used once: {each:.0} B, {:.2} of the bound ({IDLE_MAX})",
            each / IDLE_MAX
        );
    }
    for line in LINES {
        let each = in_child(&format!("waiter {} {line}", WAITERS / line));
        println!(
            "a waiter with a ticket, one of {line} at its gate: {each:.0} B, {:.2} of the bound \
             ({WAITER_MAX})",
            each / WAITER_MAX
        );
    }
}

/// Runs a part in a fresh process and reads what it prints. Huge pages are off there: they round
/// what a process takes up to 2 MB at a time, however much it is.
fn in_child(part: &str) -> f64 {
    let bench = std::env::current_exe().expect("a process knows its program");
    let child = Command::new(bench).env(PART, part).env("MIMALLOC_ALLOW_THP", "0").output();
    let output = child.expect("the bench starts itself");
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().unwrap_or_else(|_| panic!("{part}: {output:?}"))
}

/// Whether this process is such a child; then it has measured and printed its part.
pub(crate) async fn is_child() -> bool {
    let Ok(part) = std::env::var(PART) else { return false };
    let words: Vec<&str> = part.split(' ').collect();
    let [name, gates, line] = words[..] else { panic!("{part:?} is no part") };
    let number = |word: &str| word.parse::<usize>().expect("a count");
    let (gates, line) = (number(gates), number(line));
    let (engine, node) = start();
    let grown = match name {
        "idle" => idle(&engine, &node, gates).await,
        _ => waiting(&engine, &node, gates, line).await,
    };
    println!("{}", grown as f64 / (gates * line) as f64);
    true
}

/// A node whose store keeps nothing from where it is told so: what it keeps is not the gate's.
fn start() -> (Arc<Forgetful>, Lanekeeper) {
    let engine = Arc::new(Forgetful::default());
    let node = Lanekeeper::builder().start(Arc::clone(&engine) as _);
    (engine, node.expect("the engine works"))
}

/// Each gate admits one owner, who goes again.
async fn idle(engine: &Forgetful, node: &Lanekeeper, gates: usize) -> u64 {
    engine.forget();
    use_once(&node.gate("first")).await;
    let before = anonymous_bytes();
    for n in 0..gates {
        use_once(&node.gate(&format!("gate-{n}"))).await;
    }
    assert_eq!(node.status().activations, gates as u64 + 1, "each is in memory");
    anonymous_bytes() - before
}

async fn use_once(gate: &Gate) {
    gate.acquire("execution-000-000000").await.expect("it is free");
    assert!(gate.release("execution-000-000000").await.expect("it is held").released);
}

/// Owners wait at each gate for the one who holds its only permit.
async fn waiting(engine: &Forgetful, node: &Lanekeeper, gates: usize, line: usize) -> u64 {
    let gates: Vec<Gate> = (0..gates).map(|n| node.gate(&format!("gate-{n}"))).collect();
    for gate in &gates {
        gate.set_policy(GatePolicy::concurrent(1)).await.expect("a sound policy");
        gate.acquire("execution-holder").ticket().await.expect("it is free");
    }
    engine.forget();
    let before = anonymous_bytes();
    for (number, gate) in gates.iter().enumerate() {
        for n in 0..line {
            let owner = format!("execution-{number:03}-{n:06}");
            gate.acquire(&owner).ticket().await.expect("there is room in the line");
        }
    }
    let grown = anonymous_bytes() - before;
    for gate in &gates {
        let stats = gate.stats().await.expect("it is there");
        assert_eq!(stats.queue_length, line as u64, "each waits");
    }
    grown
}

/// Resident memory of this process that no file is behind, in bytes.
fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.expect("the status has it in kB") * 1024
}
