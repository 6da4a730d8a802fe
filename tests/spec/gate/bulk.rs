//! Gates at which very many are let in, or have waited too long, in the same moment.

use std::time::Duration;

use lanekeeper_actors::{
    Durability,
    gate::{Acquire, GateError, GatePolicy, TicketState},
};

use crate::support::gate::{Gates, granted, position};

/// More than one turn lets in, or three.
const MANY: u64 = 7_000;

fn relaxed() -> Gates {
    Gates::with(|builder| builder.durability(Durability::Relaxed))
}

/// With the largest record that an owner can have.
fn bulky(acquire: Acquire) -> Acquire {
    let value = "\u{1d11e}".repeat(128);
    (0..8).fold(acquire, |acquire, n| acquire.group(format!("{n}{}", "n".repeat(127)), &value))
}

#[tokio::test]
async fn a_raised_limit_lets_in_a_line_however_large_its_records_are() {
    let gates = relaxed();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "holder").await;
    for n in 0..MANY {
        bulky(gate.acquire(&format!("o{n:0>127}"))).ticket().await.unwrap();
    }
    gate.set_policy(GatePolicy::default()).await.unwrap();
    let newcomer = gate.acquire("newcomer").ticket().await.unwrap();
    assert!(position(&newcomer) > 1, "it passes nobody who is still to be let in");
    let first = gate.ticket(&format!("o{:0>127}", 0)).await.unwrap();
    assert_eq!(first.state, TicketState::Granted, "the first go with the change itself");
    gates.advance_until(|totals| totals.waiting == 0).await;
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.queue_length), (MANY + 2, 0));
    gates.check();
}

#[tokio::test]
async fn a_line_that_times_out_at_once_is_gone_a_moment_later_and_after_a_kill_too() {
    let gates = relaxed();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "holder").await;
    for n in 0..MANY {
        let acquire = gate.acquire(&format!("o{n}")).timeout(Duration::from_secs(1));
        acquire.ticket().await.unwrap();
    }
    gate.acquire("patient").ticket().await.unwrap();
    gates.advance(Duration::from_secs(1)).await;
    let left = gates.node.gate_totals().waiting;
    assert!((1..MANY).contains(&left), "one turn does not do it all: {left}");
    let gates = gates.crash();
    gates.advance_until(|totals| totals.waiting == 1).await;
    let gate = gates.node.gate("g");
    assert!(matches!(gate.ticket("o7").await, Err(GateError::TicketNotFound)));
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.total_timed_out, stats.active_count), (MANY, 1));
    assert_eq!(position(&gate.ticket("patient").await.unwrap()), 1);
    gates.check();
}

#[tokio::test]
async fn a_thousand_groups_share_a_gate_and_each_keeps_its_limit() {
    let gates = relaxed();
    let gate = gates.node.gate("g");
    let group =
        vec![lanekeeper_actors::gate::GroupLimit { name: "tenant".into(), max_concurrent: 1 }];
    gate.set_policy(GatePolicy { group, ..GatePolicy::concurrent(1_500) }).await.unwrap();
    let of = |owner: &str, n: u32| gate.acquire(owner).group("tenant", format!("t{n}")).ticket();
    for n in 0..1_000 {
        assert_eq!(of(&format!("first-{n}"), n).await.unwrap().state, TicketState::Granted);
        assert_ne!(of(&format!("second-{n}"), n).await.unwrap().state, TicketState::Granted);
    }
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.queue_length), (1_000, 1_000), "summed over all groups");
    for n in (0..1_000).rev() {
        let released = gate.release(&format!("first-{n}")).await.unwrap();
        assert_eq!(released.granted, [format!("second-{n}")]);
    }
    for n in 0..1_000 {
        gate.release(&format!("second-{n}")).await.unwrap();
    }
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.total_completed), (0, 2_000));
    gates.check();
}
