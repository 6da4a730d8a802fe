//! A queue in memory that many messages pass through: it takes what is in it, and nothing for what
//! was.
//!
//! `SOAK=10 cargo test --test soak memory_queue` for a million of them.

use std::{fs, sync::Arc, time::Duration};

use lanekeeper_actors::{
    Clock, Durability, Node,
    queue::{LeaseToken, NewMessage, QueueConfig},
};
use lanekeeper_storage::{EmbeddedEngine, EmbeddedOptions, Engine};
use serde_json::json;

use crate::rounds;

/// Messages of a round: as many come as go.
const BATCH: usize = 100;
/// Rounds before the memory is looked at for the first time.
const WARM: u64 = 250;
/// What the process may grow by from then on.
const GROWTH_KIB: u64 = 8 << 10;

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_has_passed_through_a_queue_in_memory_leaves_nothing_in_it() {
    let _machine = crate::machine();
    let (dir, second) = (tempfile::tempdir().unwrap(), Duration::from_secs(1));
    let engine = EmbeddedEngine::open(dir.path(), EmbeddedOptions::default()).unwrap();
    let (engine, clock) = (Arc::new(engine), Clock::manual());
    let builder = Node::builder().clock(clock.clone()).without_duties();
    let node = builder.start(Arc::clone(&engine) as Arc<dyn Engine>).unwrap();
    let queue = node.queue("q");
    let (durability, dedup_window) = (Some(Durability::Memory), Some(second));
    let config = QueueConfig { durability, dedup_window, ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    let (mut resident, mut volatile) = (0, 0);
    for round in 0..rounds(1_000) {
        let message = |n| {
            let message = NewMessage::new(json!({ "n": n })).unwrap();
            message.key(format!("{round}-{n}")).ttl(60 * second)
        };
        queue.push_all((0..BATCH).map(message).collect()).await.unwrap();
        assert_eq!(queue.pop(BATCH / 2).await.unwrap().len(), BATCH / 2);
        let leases = queue.lease(BATCH / 2).worker("w").await.unwrap();
        let tokens: Vec<LeaseToken> = leases.into_iter().map(|lease| lease.detach().1).collect();
        assert_eq!(queue.ack(&tokens).await.unwrap().count, BATCH / 2);
        // The keys are forgotten.
        clock.advance(2 * second);
        node.settle_duties().await.unwrap();
        if round + 1 == WARM {
            (resident, volatile) = (resident_kib(), engine.status().volatile_bytes);
        }
    }
    let (after, left) = (resident_kib(), engine.status().volatile_bytes);
    println!("{resident} KiB and {volatile} bytes, then {after} KiB and {left} bytes");
    assert!(left <= 2 * volatile.max(1 << 10), "{left} bytes are left of {volatile}");
    assert!(after < resident + GROWTH_KIB, "it grew from {resident} KiB to {after} KiB");
}
