//! Waiting at a gate: timeouts, cancellation, a change of mind, and a line that is full.

use std::{future::IntoFuture, time::Duration};

use futures_util::poll;
use lanekeeper_actors::{
    AskError, Event, NotExecuted,
    gate::{BlockedBy, GateError, GatePolicy, OnFull, TicketState},
};

use crate::support::gate::{Gates, granted, next, position, waiting};

const MINUTE: Duration = Duration::from_secs(60);

fn bounded(on_full: OnFull) -> GatePolicy {
    GatePolicy { queue_length_max: 2, on_full, ..GatePolicy::concurrent(1) }
}

#[tokio::test]
async fn one_who_waits_too_long_is_told_how_long_it_waited() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let mut b = waiting(gate.acquire("b").timeout(MINUTE)).await;
    gates.advance(MINUTE - Duration::from_millis(1)).await;
    assert!(poll!(&mut b).is_pending());
    gates.advance(Duration::from_millis(1)).await;
    let error = b.await.unwrap_err();
    assert!(matches!(error, GateError::TimedOut { waited: MINUTE }), "{error:?}");
    assert_eq!(error.blocked_by(), Some(BlockedBy::Concurrency));
    assert!(matches!(gate.ticket("b").await, Err(GateError::TicketNotFound)));
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.queue_length, stats.total_timed_out), (0, 1));
    gates.check();
}

#[tokio::test]
async fn an_owner_that_does_not_say_waits_as_long_as_the_policy_has_it() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    gate.set_policy(GatePolicy { timeout: MINUTE, ..GatePolicy::concurrent(1) }).await.unwrap();
    granted(&gate, "a").await;
    let short = waiting(gate.acquire("short")).await;
    let long = waiting(gate.acquire("long").timeout(2 * MINUTE)).await;
    gates.advance(MINUTE).await;
    assert!(matches!(short.await, Err(GateError::TimedOut { waited: MINUTE })));
    assert_eq!(next(&gate, "a").await, ["long"]);
    assert_eq!(long.await.unwrap().waited(), MINUTE);
}

#[tokio::test]
async fn an_hour_is_what_one_waits_when_nobody_says_otherwise() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let mut b = waiting(gate.acquire("b")).await;
    gates.advance(Duration::from_millis(3_599_999)).await;
    assert!(poll!(&mut b).is_pending());
    gates.advance(Duration::from_millis(1)).await;
    assert!(matches!(b.await, Err(GateError::TimedOut { .. })));
}

#[tokio::test]
async fn an_acquire_that_does_not_wait_is_granted_or_refused_at_once() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    gate.acquire("a").timeout(Duration::ZERO).await.unwrap();
    let refused = gate.acquire("b").timeout(Duration::ZERO).await.unwrap_err();
    assert!(matches!(refused, GateError::TimedOut { waited: Duration::ZERO }), "{refused:?}");
    let refused = gate.acquire("b").timeout(Duration::ZERO).ticket().await.unwrap_err();
    assert_eq!(refused.blocked_by(), Some(BlockedBy::Concurrency));
    assert_eq!(gate.stats().await.unwrap().queue_length, 0);
}

#[tokio::test]
async fn one_who_is_cancelled_leaves_the_line_and_is_told() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let b = waiting(gate.acquire("b")).await;
    let c = waiting(gate.acquire("c")).await;
    gate.cancel("b").await.unwrap();
    assert!(matches!(b.await, Err(GateError::Cancelled)));
    assert_eq!(position(&gate.ticket("c").await.unwrap()), 1);
    assert_eq!(next(&gate, "a").await, ["c"]);
    c.await.unwrap();
}

#[tokio::test]
async fn a_holder_cannot_be_cancelled_and_keeps_its_permit() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    assert!(matches!(gate.cancel("a").await, Err(GateError::Granted)));
    assert!(matches!(gate.cancel("nobody").await, Err(GateError::TicketNotFound)));
    assert_eq!(gate.ticket("a").await.unwrap().state, TicketState::Granted);
}

#[tokio::test]
async fn a_future_that_is_dropped_gives_up_its_place() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let b = waiting(gate.acquire("b")).await;
    let c = waiting(gate.acquire("c")).await;
    drop(b);
    assert_eq!(next(&gate, "a").await, ["c"]);
    c.await.unwrap();
    assert!(matches!(gate.ticket("b").await, Err(GateError::TicketNotFound)));
    gates.check();
}

#[tokio::test]
async fn a_future_that_is_dropped_with_its_permit_on_the_way_gives_it_up() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    gates.engine.hold_commits();
    let mut a = gate.acquire("a").into_future();
    assert!(poll!(&mut a).is_pending());
    let mut b = gate.acquire("b").into_future();
    assert!(poll!(&mut b).is_pending());
    drop(a);
    gates.engine.let_commits_go();
    b.await.unwrap();
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.queue_length), (1, 0));
}

#[tokio::test]
async fn a_place_that_two_wait_for_is_given_up_with_the_last_of_them() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let one = waiting(gate.acquire("b")).await;
    let two = waiting(gate.acquire("b")).await;
    let three = waiting(gate.acquire("b")).await;
    drop(two);
    drop(one);
    assert_eq!(position(&gate.ticket("b").await.unwrap()), 1);
    drop(three);
    assert!(matches!(gate.ticket("b").await, Err(GateError::TicketNotFound)));
}

#[tokio::test]
async fn a_permit_is_not_given_up_by_a_second_acquire_that_is_dropped() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    gates.engine.hold_commits();
    let mut waits = gate.acquire("b").into_future();
    assert!(poll!(&mut waits).is_pending());
    let mut again = gate.acquire("a").into_future();
    assert!(poll!(&mut again).is_pending());
    drop(again);
    gates.engine.let_commits_go();
    assert_eq!(gate.ticket("a").await.unwrap().state, TicketState::Granted);
}

#[tokio::test]
async fn a_ticket_keeps_its_place_whoever_stops_waiting_for_it() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    gate.acquire("b").ticket().await.unwrap();
    drop(waiting(gate.acquire("b")).await);
    assert_eq!(position(&gate.ticket("b").await.unwrap()), 1);
    let c = waiting(gate.acquire("c")).await;
    gate.acquire("c").ticket().await.unwrap();
    drop(c);
    assert_eq!(position(&gate.ticket("c").await.unwrap()), 2);
    assert!(gate.passivate().await, "nobody is listening any more");
    assert_eq!(next(&gate, "a").await, ["b"]);
}

#[tokio::test]
async fn a_gate_that_somebody_waits_at_is_not_put_away() {
    let second = Duration::from_secs(1);
    let gates = Gates::with(|builder| builder.idle_timeout(second).without_duties());
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let b = waiting(gate.acquire("b")).await;
    gates.advance(MINUTE).await;
    gates.node.run_duties().await.unwrap();
    assert!(!gate.passivate().await);
    drop(b);
    gate.stats().await.unwrap();
    assert!(gate.passivate().await);
}

#[tokio::test]
async fn a_full_line_refuses_and_says_so() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    gate.set_policy(bounded(OnFull::Reject)).await.unwrap();
    for owner in ["a", "b", "c"] {
        gate.acquire(owner).ticket().await.unwrap();
    }
    let refused = gate.acquire("d").priority(0).await.unwrap_err();
    assert!(matches!(refused, GateError::Full { current: 2, limit: 2, .. }), "{refused:?}");
    assert_eq!(refused.blocked_by(), Some(BlockedBy::Full));
    gate.acquire("c").ticket().await.unwrap();
    assert_eq!(gate.stats().await.unwrap().total_rejected, 1);
    assert_eq!(next(&gate, "a").await, ["b"]);
    gate.acquire("d").ticket().await.unwrap();
}

#[tokio::test]
async fn ten_thousand_may_wait_when_nobody_says_otherwise() {
    let gates = Gates::with(|builder| builder.durability(lanekeeper_actors::Durability::Relaxed));
    let gate = gates.gate("g", 1).await;
    granted(&gate, "holder").await;
    for n in 1..=10_000 {
        let ticket = gate.acquire(&format!("w{n}")).ticket().await.unwrap();
        assert_eq!(position(&ticket), n);
    }
    let refused = gate.acquire("one-more").ticket().await;
    assert!(matches!(refused, Err(GateError::Full { limit: 10_000, .. })), "{refused:?}");
}

#[tokio::test]
async fn the_oldest_gives_way_where_the_policy_says_so() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    gate.set_policy(bounded(OnFull::CancelOldest)).await.unwrap();
    granted(&gate, "a").await;
    let oldest = waiting(gate.acquire("oldest").priority(0)).await;
    let newest = waiting(gate.acquire("newest")).await;
    let newcomer = waiting(gate.acquire("newcomer")).await;
    let told = oldest.await.unwrap_err();
    assert!(matches!(told, GateError::GaveWay), "{told:?}");
    assert_eq!(next(&gate, "a").await, ["newest"]);
    newest.await.unwrap();
    assert_eq!(next(&gate, "newest").await, ["newcomer"]);
    newcomer.await.unwrap();
    gates.check();
}

#[tokio::test]
async fn the_newest_gives_way_where_the_policy_says_so() {
    let gates = Gates::new();
    let gate = gates.node.gate("g");
    gate.set_policy(bounded(OnFull::CancelNewest)).await.unwrap();
    granted(&gate, "a").await;
    let oldest = waiting(gate.acquire("oldest").priority(2)).await;
    let newest = waiting(gate.acquire("newest").priority(0)).await;
    let newcomer = waiting(gate.acquire("newcomer").priority(2)).await;
    assert!(matches!(newest.await, Err(GateError::GaveWay)));
    assert_eq!(gate.stats().await.unwrap().total_evicted, 1);
    assert_eq!(next(&gate, "a").await, ["oldest"]);
    oldest.await.unwrap();
    assert_eq!(next(&gate, "oldest").await, ["newcomer"]);
    newcomer.await.unwrap();
}

#[tokio::test]
async fn a_permit_with_a_ttl_ends_by_itself_and_lets_in_who_is_next() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    gate.acquire("a").ttl(MINUTE).await.unwrap();
    let b = waiting(gate.acquire("b").ttl(MINUTE)).await;
    gates.advance(MINUTE).await;
    assert_eq!(b.await.unwrap().waited(), MINUTE);
    assert!(!gate.release("a").await.unwrap().released);
    assert!(matches!(gate.extend("a", MINUTE).await, Err(GateError::PermitNotFound)));
    gates.advance(MINUTE).await;
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.total_expired, stats.total_completed), (0, 2, 0));
    gates.check();
}

#[tokio::test]
async fn an_extended_permit_ends_so_much_later_than_now() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    let permit = gate.acquire("a").ttl(MINUTE).await.unwrap();
    gates.advance(MINUTE / 2).await;
    let ends = permit.extend(2 * MINUTE).await.unwrap();
    assert_eq!(ends, gates.clock.now() + 2 * MINUTE);
    gates.advance(2 * MINUTE - Duration::from_millis(1)).await;
    assert_eq!(gate.ticket("a").await.unwrap().expires_at, Some(ends));
    gates.advance(Duration::from_millis(1)).await;
    assert!(matches!(gate.ticket("a").await, Err(GateError::TicketNotFound)));
    gate.acquire("b").await.unwrap();
    assert!(matches!(gate.extend("c", MINUTE).await, Err(GateError::PermitNotFound)));
}

#[tokio::test]
async fn a_guard_releases_when_it_is_dropped_and_a_permit_does_not() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    drop(gate.acquire("a").await.unwrap());
    let mut b = waiting(gate.acquire("b")).await;
    assert!(poll!(&mut b).is_pending());
    drop(gate.acquire("a").await.unwrap().guard());
    b.await.unwrap();
}

#[tokio::test]
async fn shutting_down_tells_those_who_wait_and_keeps_their_places() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let b = waiting(gate.acquire("b")).await;
    gates.node.shutdown(Duration::from_secs(1)).await.unwrap();
    let told = b.await.unwrap_err();
    let is_told = matches!(told, GateError::Ask(AskError::NotExecuted(NotExecuted::ShuttingDown)));
    assert!(is_told, "{told:?}");
    assert_eq!(told.blocked_by(), Some(BlockedBy::Drain));
    let gates = gates.crash();
    let gate = gates.node.gate("g");
    assert_eq!(position(&gate.ticket("b").await.unwrap()), 1);
}

#[tokio::test]
async fn those_who_wait_go_on_when_the_activation_is_lost() {
    let gates = Gates::new();
    let gate = gates.gate("g", 1).await;
    granted(&gate, "a").await;
    let mut b = waiting(gate.acquire("b")).await;
    let mut events = gates.node.events();
    gates.engine.refuse_commits(true);
    assert!(gate.acquire("c").ticket().await.is_err());
    gates.engine.refuse_commits(false);
    events.until(|event| matches!(event, Event::Passivated { .. })).await.unwrap();
    assert!(poll!(&mut b).is_pending());
    assert_eq!(next(&gate, "a").await, ["b"]);
    b.await.unwrap();
}
