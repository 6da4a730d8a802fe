//! Permits, places in line, policies and figures survive the end of the process.

use std::time::Duration;

use lanekeeper_actors::gate::{BlockedBy, GateError, GatePolicy, TicketState};

use crate::support::gate::{Gates, granted, next, position, waiting};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn permits_and_waiters_survive_a_kill_in_order() {
    let gates = Gates::new();
    let gate = gates.gate("g", 2).await;
    granted(&gate, "a").await;
    gate.acquire("b").ttl(MINUTE).await.unwrap();
    for (owner, priority) in [("later", 2), ("first", 0), ("second", 0)] {
        gate.acquire(owner).priority(priority).ticket().await.unwrap();
    }
    let _waits = waiting(gate.acquire("attached").priority(1)).await;
    let before = gate.stats().await.unwrap();
    gates.clock.advance(Duration::from_secs(10));
    let gates = gates.crash();
    let gate = gates.node.gate("g");
    let after = gate.stats().await.unwrap();
    let counts = |stats: &lanekeeper_actors::gate::GateStats| {
        let totals = [stats.total_enqueued, stats.total_granted, stats.total_completed];
        (stats.queue_length, stats.active_count, totals, stats.oldest_enqueued_at)
    };
    assert_eq!(counts(&after), counts(&before));
    for (place, owner) in (1..).zip(["first", "second", "attached", "later"]) {
        let ticket = gate.ticket(owner).await.unwrap();
        assert_eq!((position(&ticket), ticket.waited), (place, Duration::from_secs(10)));
    }
    assert_eq!(next(&gate, "a").await, ["first"]);
    // Whoever waited in the process that is gone finds its place again.
    let waits = waiting(gate.acquire("attached")).await;
    gates.advance(Duration::from_secs(50)).await;
    let ticket = gate.ticket("second").await.unwrap();
    assert_eq!(ticket.state, TicketState::Granted, "b's permit ended by itself");
    assert_eq!(next(&gate, "first").await, ["attached"]);
    waits.await.unwrap();
    gates.check();
}

#[tokio::test]
async fn what_is_due_happens_after_a_restart_before_anybody_asks() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    gate.acquire("a").ttl(MINUTE).await.unwrap();
    gate.acquire("b").timeout(MINUTE / 2).ticket().await.unwrap();
    gate.acquire("c").ticket().await.unwrap();
    let gates = gates.crash();
    gates.advance(MINUTE / 2).await;
    assert_eq!(gates.node.gate_totals().timed_out_total, 1);
    gates.advance(MINUTE / 2).await;
    let totals = gates.node.gate_totals();
    assert_eq!((totals.expired_total, totals.granted_total, totals.held), (1, 1, 1));
    let ticket = gates.node.gate("g").ticket("c").await.unwrap();
    assert_eq!((ticket.state, ticket.waited), (TicketState::Granted, MINUTE));
    gates.check();
}

#[tokio::test]
async fn policies_and_pauses_survive_a_kill() {
    let gates = Gates::new();
    gates.gate("pack", 3).await;
    let gate = gates.node.gate("pack.action");
    gate.pause().await.unwrap();
    let gates = gates.crash();
    let gate = gates.node.gate("pack.action");
    assert_eq!(gate.policy().await.unwrap().policy, GatePolicy::concurrent(3));
    let refused = gate.acquire("a").await.unwrap_err();
    assert_eq!(refused.blocked_by(), Some(BlockedBy::Pause));
    gate.resume().await.unwrap();
    granted(&gate, "a").await;
}

#[tokio::test]
async fn an_acquire_whose_commit_is_lost_was_never_there() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    gates.engine.hold_commits();
    let unacknowledged = waiting(gate.acquire("a")).await;
    let disk_as_it_is = gates.engine.disk().crash(lanekeeper_storage::Crash::PowerCut);
    drop(unacknowledged);
    let options = lanekeeper_storage::FaultEngine::options();
    let engine = lanekeeper_storage::FaultEngine::open(&disk_as_it_is, options).unwrap();
    let node = lanekeeper_actors::Node::builder().start(std::sync::Arc::new(engine)).unwrap();
    let gate = node.gate("g");
    assert!(matches!(gate.ticket("a").await, Err(GateError::TicketNotFound)));
    granted(&gate, "b").await;
}

#[tokio::test]
async fn the_waits_of_the_last_minutes_survive_being_put_away() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    for n in 0..100 {
        gate.acquire(&format!("o{n}")).ticket().await.unwrap();
    }
    for n in 0..99 {
        gates.clock.advance(Duration::from_millis(100));
        next(&gate, &format!("o{n}")).await;
    }
    let before = gate.stats().await.unwrap();
    assert_eq!(before.waits.count, 100);
    let within = |wait: Duration, ms: u64| {
        let wait = wait.as_millis() as u64;
        assert!((ms..=ms + ms / 16 + 1).contains(&wait), "{wait} for {ms}");
    };
    within(before.waits.p50, 4_900);
    within(before.waits.p95, 9_400);
    within(before.waits.p99, 9_800);
    assert_eq!(before.releases_per_second, Some(10.0));
    let commits = gates.node.status().engine.commits;
    assert!(gate.passivate().await);
    assert!(gates.node.status().engine.commits <= commits + 1);
    let after = gate.stats().await.unwrap();
    assert_eq!((after.waits, after.releases_per_second), (before.waits, Some(10.0)));
}

#[tokio::test]
async fn stats_tell_the_ages_of_those_who_wait() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "holder").await;
    let began = gates.clock.now();
    for (owner, pause) in [("a", 3_000), ("b", 300), ("c", 9), ("d", 1)] {
        gate.acquire(owner).ticket().await.unwrap();
        gates.clock.advance(Duration::from_secs(pause));
    }
    let stats = gate.stats().await.unwrap();
    assert_eq!(stats.oldest_enqueued_at, Some(began));
    let ages: Vec<_> = stats.ages.iter().map(|age| age.count).collect();
    assert_eq!(ages, [1, 1, 0, 0, 1, 1, 0].map(|count: u64| count), "{:?}", stats.ages);
    assert_eq!(stats.ages.last().unwrap().up_to, None);
}
