//! A worker that goes gives back its permits and its places in line, and nobody else's.

use std::{future::IntoFuture, time::Duration};

use futures_util::poll;
use lanekeeper_actors::gate::{Gate, GateError, GatePolicy, TicketState};

use crate::support::fleet::Fleet;

async fn gate(fleet: &Fleet, id: &str, max_concurrent: u32) -> Gate {
    let gate = fleet.node.gate(id);
    gate.set_policy(GatePolicy::concurrent(max_concurrent)).await.unwrap();
    gate
}

async fn take(gate: &Gate, owner: &str, worker: &str) -> TicketState {
    gate.acquire(owner).worker(worker).ticket().await.unwrap().state
}

async fn holders(gate: &Gate, owners: &[&str]) -> String {
    let mut holders = Vec::new();
    for &owner in owners {
        match gate.ticket(owner).await {
            Ok(ticket) if ticket.state == TicketState::Granted => holders.push(owner),
            Ok(_) => {}
            Err(error) => assert!(matches!(error, GateError::TicketNotFound), "{error}"),
        }
    }
    holders.join(" ")
}

const OWNERS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

#[tokio::test]
async fn permits_of_a_worker_that_dies_are_released_and_the_next_in_line_run() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, "g", 2).await;
    fleet.beat("dead").await;
    fleet.beat("alive").await;
    for (owner, worker) in [("a", "dead"), ("b", "alive"), ("c", "dead"), ("d", "alive")] {
        take(&gate, owner, worker).await;
    }
    take(&gate, "e", "alive").await;
    let mut waiting = gate.acquire("f").worker("dead").into_future();
    assert!(poll!(&mut waiting).is_pending());
    for _ in 0..12 {
        fleet.pass(15).await;
        fleet.beat("alive").await;
    }
    assert_eq!(holders(&gate, &OWNERS).await, "b d", "c of the dead one never ran");
    assert!(matches!(waiting.await, Err(GateError::Cancelled)));
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.active_count, stats.queue_length), (2, 1));
    assert_eq!((stats.total_expired, stats.total_cancelled), (1, 2));
    assert!(fleet.engine.disk().crash(lanekeeper_storage::Crash::Kill).check().unwrap().is_sound());
}

#[tokio::test]
async fn a_farewell_gives_back_every_permit_at_every_gate() {
    let fleet = Fleet::new();
    let mut gates = Vec::new();
    for id in ["g1", "g2", "g3"] {
        let gate = gate(&fleet, id, 2).await;
        for owner in ["a", "b", "c"] {
            take(&gate, owner, "w1").await;
        }
        take(&gate, "d", "w2").await;
        assert!(gate.passivate().await);
        gates.push(gate);
    }
    fleet.beat("w1").await;
    fleet.worker("w1").deregister().await.unwrap();
    fleet.pass(1).await;
    for gate in &gates {
        assert_eq!(holders(gate, &OWNERS).await, "d");
        assert_eq!(gate.stats().await.unwrap().queue_length, 0);
    }
}

#[tokio::test]
async fn what_a_worker_got_after_it_came_back_is_not_taken_from_it() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, "g", 3).await;
    fleet.beat("w1").await;
    take(&gate, "a", "w1").await;
    fleet.worker("w1").deregister().await.unwrap();
    fleet.clock.advance(Duration::from_millis(1));
    fleet.beat("w1").await;
    take(&gate, "b", "w1").await;
    fleet.pass(1).await;
    assert_eq!(holders(&gate, &OWNERS).await, "b");
}

#[tokio::test]
async fn a_permit_released_before_is_not_released_from_its_next_holder() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, "g", 1).await;
    fleet.beat("w1").await;
    take(&gate, "a", "w1").await;
    assert!(gate.release("a").await.unwrap().released);
    take(&gate, "a", "w2").await;
    fleet.worker("w1").deregister().await.unwrap();
    fleet.pass(1).await;
    assert_eq!(holders(&gate, &OWNERS).await, "a");
}

#[tokio::test]
async fn a_crash_between_the_death_and_the_release_loses_neither() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, "g", 1).await;
    fleet.beat("w1").await;
    take(&gate, "a", "w1").await;
    take(&gate, "b", "w2").await;
    fleet.worker("w1").deregister().await.unwrap();
    drop(gate);
    let fleet = fleet.reopened(|builder| builder);
    let gate = fleet.node.gate("g");
    assert_eq!(holders(&gate, &OWNERS).await, "a");
    fleet.pass(1).await;
    assert_eq!(holders(&gate, &OWNERS).await, "b");
    fleet.pass(10).await;
    assert_eq!(holders(&gate, &OWNERS).await, "b", "once");
    assert_eq!(fleet.node.liveness().stats().untold, 0);
}

#[tokio::test]
async fn a_worker_with_thousands_of_permits_gives_them_all_back() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, "g", 10_000).await;
    fleet.beat("w1").await;
    for number in 0..2_500 {
        take(&gate, &format!("o{number}"), "w1").await;
    }
    fleet.worker("w1").deregister().await.unwrap();
    fleet.pass(1).await;
    assert_eq!(gate.stats().await.unwrap().active_count, 0);
}
