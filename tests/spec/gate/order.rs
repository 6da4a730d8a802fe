//! Gates admit so many at a time, in strict order.

use std::{future::IntoFuture, time::Duration};

use futures_util::poll;
use lanekeeper_actors::gate::{GateError, GatePolicy, GateStats, TicketState};

use crate::support::gate::{Gates, granted, next, position, waiting};

#[tokio::test]
async fn a_gate_without_a_policy_admits_everybody() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    for n in 0..100 {
        granted(&gate, &format!("exec-{n}")).await;
    }
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.max_concurrent, stats.queue_length), (100, None, 0));
}

#[tokio::test]
async fn owners_are_let_in_in_the_order_of_their_arrival() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let b = waiting(gate.acquire("b")).await;
    let c = waiting(gate.acquire("c")).await;
    let d = waiting(gate.acquire("d")).await;
    assert_eq!(next(&gate, "a").await, ["b"]);
    assert_eq!(b.await.unwrap().owner(), "b");
    assert_eq!(next(&gate, "b").await, ["c"]);
    c.await.unwrap();
    assert_eq!(next(&gate, "c").await, ["d"]);
    d.await.unwrap();
    assert_eq!(next(&gate, "d").await, [""; 0]);
    gates.check();
}

#[tokio::test]
async fn a_lower_priority_number_goes_first_and_ties_go_by_arrival() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "holder").await;
    for (owner, priority) in [("e", 2), ("c", 1), ("a", 0), ("d", 1), ("b", 0)] {
        gate.acquire(owner).priority(priority).ticket().await.unwrap();
    }
    let mut holder = "holder".to_owned();
    for expected in ["a", "b", "c", "d", "e"] {
        assert_eq!(next(&gate, &holder).await, [expected]);
        holder = expected.to_owned();
    }
}

#[tokio::test]
async fn a_newcomer_never_passes_one_who_waits() {
    let gates = Gates::new();
    let gate = gates.gate("g", 2).await;
    granted(&gate, "a").await;
    granted(&gate, "b").await;
    let c = waiting(gate.acquire("c")).await;
    let mut late = gate.acquire("late").into_future();
    gates.engine.hold_commits();
    let mut release = Box::pin(gate.release("a"));
    assert!(poll!(&mut release).is_pending());
    // The permit is c's already, though nobody knows yet.
    assert!(poll!(&mut late).is_pending());
    gates.engine.let_commits_go();
    assert_eq!(release.await.unwrap().granted, ["c"]);
    c.await.unwrap();
    assert!(poll!(&mut late).is_pending());
    assert_eq!(next(&gate, "b").await, ["late"]);
    late.await.unwrap();
}

#[tokio::test]
async fn a_newcomer_passes_nobody_when_a_permit_has_just_run_out() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    gate.acquire("a").ttl(Duration::from_secs(5)).await.unwrap();
    let b = waiting(gate.acquire("b")).await;
    gates.clock.advance(Duration::from_secs(5));
    let ticket = gate.acquire("c").ticket().await.unwrap();
    assert_eq!(position(&ticket), 1);
    assert_eq!(b.await.unwrap().waited(), Duration::from_secs(5));
}

#[tokio::test]
async fn gates_do_not_touch_one_another() {
    let gates = Gates::new();
    let (one, two) = (gates.gate("one", 1).await, gates.gate("two", 1).await);
    granted(&one, "x").await;
    granted(&two, "x").await;
    let waits = waiting(one.acquire("y")).await;
    assert_eq!(next(&two, "x").await, [""; 0]);
    granted(&two, "y").await;
    assert_eq!(next(&one, "x").await, ["y"]);
    waits.await.unwrap();
}

#[tokio::test]
async fn raising_the_limit_lets_in_at_once_and_lowering_it_revokes_nothing() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let b = waiting(gate.acquire("b")).await;
    let c = waiting(gate.acquire("c")).await;
    let mut d = waiting(gate.acquire("d")).await;
    gate.set_policy(GatePolicy::concurrent(3)).await.unwrap();
    b.await.unwrap();
    c.await.unwrap();
    gate.set_policy(GatePolicy::concurrent(1)).await.unwrap();
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.max_concurrent), (3, Some(1)));
    assert_eq!(next(&gate, "a").await, [""; 0]);
    assert_eq!(next(&gate, "b").await, [""; 0]);
    assert!(poll!(&mut d).is_pending());
    assert_eq!(next(&gate, "c").await, ["d"]);
    d.await.unwrap();
}

#[tokio::test]
async fn acquiring_again_gives_the_owner_what_it_has() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    granted(&gate, "a").await;
    gate.acquire("b").ticket().await.unwrap();
    gate.acquire("c").ticket().await.unwrap();
    gates.clock.advance(Duration::from_secs(7));
    let again = gate.acquire("b").priority(9).ticket().await.unwrap();
    assert_eq!((position(&again), again.waited), (1, Duration::from_secs(7)));
    let b = waiting(gate.acquire("b")).await;
    let too = waiting(gate.acquire("b")).await;
    assert_eq!(next(&gate, "a").await, ["b"]);
    assert_eq!(b.await.unwrap().waited(), Duration::from_secs(7));
    assert_eq!(too.await.unwrap().waited(), Duration::from_secs(7));
    assert_eq!(gate.acquire("b").await.unwrap().waited(), Duration::from_secs(7));
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.total_enqueued, stats.total_granted, stats.active_count), (3, 2, 1));
}

#[tokio::test]
async fn a_release_that_is_repeated_does_nothing() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    gate.acquire("b").ticket().await.unwrap();
    gate.acquire("c").ticket().await.unwrap();
    assert_eq!(next(&gate, "a").await, ["b"]);
    for owner in ["a", "c", "nobody"] {
        let again = gate.release(owner).await.unwrap();
        assert_eq!((again.released, again.granted.len()), (false, 0), "{owner}");
    }
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.queue_length, stats.total_completed), (1, 1, 1));
}

#[tokio::test]
async fn a_ticket_says_where_an_owner_stands_and_when_its_turn_may_come() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "w0").await;
    for n in 1..=9 {
        let ticket = gate.acquire(&format!("w{n}")).ticket().await.unwrap();
        assert_eq!(position(&ticket), n);
    }
    let eta = |state: TicketState| match state {
        TicketState::Queued { eta, .. } => eta,
        TicketState::Granted => panic!("it waits"),
    };
    assert_eq!(eta(gate.ticket("w9").await.unwrap().state), None, "nothing is known yet");
    for n in 0..4 {
        gates.clock.advance(Duration::from_secs(2));
        next(&gate, &format!("w{n}")).await;
    }
    let ticket = gate.ticket("w9").await.unwrap();
    assert_eq!((position(&ticket), ticket.waited), (5, Duration::from_secs(8)));
    assert_eq!(eta(ticket.state), Some(Duration::from_secs(10)));
    let urgent = gate.acquire("urgent").priority(0).ticket().await.unwrap();
    assert_eq!((position(&urgent), eta(urgent.state)), (1, Some(Duration::from_secs(2))));
    gates.clock.advance(Duration::from_secs(60));
    let stalled = eta(gate.ticket("w9").await.unwrap().state);
    assert_eq!(stalled, Some(Duration::from_secs(360)), "a pace that broke off is not believed");
    let held = gate.ticket("w4").await.unwrap();
    assert_eq!((held.state, held.waited), (TicketState::Granted, Duration::from_secs(8)));
    assert!(matches!(gate.ticket("w0").await, Err(GateError::TicketNotFound)));
}

#[tokio::test]
async fn a_gate_never_used_answers_zeros() {
    let gates = Gates::new();
    let stats: GateStats = gates.node.gate("g").stats().await.unwrap();
    let totals = [stats.total_enqueued, stats.total_granted, stats.total_completed];
    assert_eq!((totals, stats.queue_length, stats.active_count), ([0; 3], 0, 0));
    assert_eq!((stats.last_updated, stats.oldest_enqueued_at), (None, None));
    gates.node.gate("g").passivate().await;
    assert_eq!(
        gates.engine.disk().crash(lanekeeper_storage::Crash::Kill).check().unwrap().gate_count,
        0
    );
}
