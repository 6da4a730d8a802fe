//! A worker that goes gives back its leases, and finds its tokens dead when it was only slow.

use std::time::Duration;

use lanekeeper_actors::{
    gate::{GateError, GatePolicy, TicketState},
    queue::{LeaseError, LeaseToken, Queue, QueueConfig},
    worker::WorkerStatus,
};
use lanekeeper_storage::Crash;
use serde_json::{Value, json};

use crate::support::fleet::Fleet;

/// Far longer than any of these tests lasts.
const TTL: Duration = Duration::from_secs(12 * 3_600);

async fn filled(fleet: &Fleet, id: &str, count: usize) -> Queue {
    let queue = fleet.node.queue(id);
    for n in 0..count {
        queue.push(json!({ "n": n })).await.unwrap();
    }
    queue
}

async fn lease(queue: &Queue, worker: &str, depth: usize) -> Vec<LeaseToken> {
    let leases = queue.lease(depth).ttl(TTL).worker(worker).await.unwrap();
    leases.into_iter().map(|lease| lease.detach().1).collect()
}

async fn ready(queue: &Queue) -> Vec<u64> {
    let page = queue.peek(100).await.unwrap();
    let number = |message: &lanekeeper_actors::queue::Message| {
        message.item.parse::<Value>().unwrap()["n"].as_u64().unwrap()
    };
    page.messages.iter().map(number).collect()
}

#[tokio::test]
async fn leases_of_a_worker_that_dies_return_to_their_places() {
    let fleet = Fleet::new();
    let queue = filled(&fleet, "q", 6).await;
    fleet.beat("dead").await;
    fleet.beat("alive").await;
    lease(&queue, "dead", 2).await;
    lease(&queue, "alive", 1).await;
    lease(&queue, "dead", 1).await;
    assert_eq!(ready(&queue).await, [4, 5]);
    for _ in 0..12 {
        fleet.pass(15).await;
        fleet.beat("alive").await;
    }
    assert_eq!(ready(&queue).await, [0, 1, 3, 4, 5], "each to its own place");
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.leased, stats.totals.expired), (1, 3));
    let again = queue.lease(1).await.unwrap().remove(0);
    assert_eq!(again.deliveries, 2, "a delivery to a worker that died counts");
    let report = fleet.engine.disk().crash(Crash::Kill).check().unwrap();
    assert!(report.is_sound(), "{report}");
}

#[tokio::test]
async fn a_worker_that_was_only_slow_finds_its_tokens_dead() {
    let fleet = Fleet::new();
    let queue = filled(&fleet, "q", 1).await;
    fleet.beat("slow").await;
    let tokens = lease(&queue, "slow", 1).await;
    fleet.pass(180).await;
    fleet.beat("slow").await;
    let expired = vec![(tokens[0], LeaseError::Expired)];
    assert_eq!(queue.ack(&tokens).await.unwrap().failed, expired);
    let others = lease(&queue, "quick", 1).await;
    assert_eq!(queue.ack(&tokens).await.unwrap().failed, expired, "leased to another by now");
    assert_eq!(queue.ack(&others).await.unwrap().count, 1);
}

#[tokio::test]
async fn a_farewell_returns_leases_of_every_queue_and_of_no_other_worker() {
    let fleet = Fleet::new();
    let mut queues = Vec::new();
    for id in ["q1", "q2", "q3"] {
        let queue = filled(&fleet, id, 4).await;
        lease(&queue, "w1", 2).await;
        lease(&queue, "w2", 1).await;
        assert!(queue.passivate().await);
        queues.push(queue);
    }
    fleet.beat("w1").await;
    fleet.worker("w1").deregister().await.unwrap();
    fleet.pass(1).await;
    for queue in &queues {
        assert_eq!(ready(queue).await, [0, 1, 3]);
    }
}

#[tokio::test]
async fn what_a_worker_leased_after_it_came_back_stays_leased() {
    let fleet = Fleet::new();
    let queue = filled(&fleet, "q", 2).await;
    fleet.beat("w1").await;
    lease(&queue, "w1", 1).await;
    fleet.worker("w1").deregister().await.unwrap();
    fleet.clock.advance(Duration::from_millis(1));
    fleet.beat("w1").await;
    let second = lease(&queue, "w1", 1).await;
    fleet.pass(1).await;
    assert_eq!(ready(&queue).await, [0]);
    assert_eq!(queue.ack(&second).await.unwrap().count, 1);
}

#[tokio::test]
async fn a_crash_between_the_death_and_the_return_loses_neither_message_nor_departure() {
    let fleet = Fleet::new();
    let queue = filled(&fleet, "q", 2).await;
    fleet.beat("w1").await;
    lease(&queue, "w1", 1).await;
    fleet.worker("w1").deregister().await.unwrap();
    drop(queue);
    let fleet = fleet.reopened(|builder| builder);
    let queue = fleet.node.queue("q");
    assert_eq!(ready(&queue).await, [1]);
    fleet.pass(1).await;
    assert_eq!(ready(&queue).await, [0, 1]);
    fleet.pass(1).await;
    assert_eq!(queue.stats().await.unwrap().totals.expired, 1, "once");
}

#[tokio::test]
async fn a_message_that_kills_its_workers_dies_after_so_many_deliveries() {
    let fleet = Fleet::new();
    let queue = filled(&fleet, "q", 1).await;
    let config = QueueConfig { max_deliveries: Some(2), ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    for _ in 0..2 {
        fleet.beat("w1").await;
        assert_eq!(lease(&queue, "w1", 1).await.len(), 1);
        fleet.worker("w1").deregister().await.unwrap();
        fleet.pass(1).await;
    }
    assert_eq!(lease(&queue, "w1", 1).await.len(), 0);
    assert_eq!(queue.stats().await.unwrap().totals.dead_lettered, 1);
}

#[tokio::test]
async fn a_worker_with_thousands_of_leases_gives_them_all_back() {
    let fleet = Fleet::new();
    let queue = filled(&fleet, "q", 2_300).await;
    fleet.beat("w1").await;
    for _ in 0..23 {
        lease(&queue, "w1", 100).await;
    }
    fleet.worker("w1").deregister().await.unwrap();
    fleet.pass(1).await;
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased), (2_300, 0));
}

#[tokio::test]
async fn the_goodbye_of_an_earlier_life_takes_nothing_of_a_later_one() {
    let fleet = Fleet::new();
    let queue = filled(&fleet, "q", 5).await;
    let worker = fleet.worker("w");
    let of_life = async |life: u64| {
        let leased = queue.lease(1).ttl(TTL).worker("w").life(life).await.unwrap();
        leased.into_iter().for_each(|lease| drop(lease.detach()));
    };
    let old = worker.heartbeat().await.unwrap().life;
    of_life(old).await;
    lease(&queue, "w", 1).await;
    let gate = fleet.node.gate("g");
    gate.set_policy(GatePolicy::concurrent(2)).await.unwrap();
    gate.acquire("old").worker("w").ticket().await.unwrap();
    fleet.pass(1).await;
    // The process was restarted, and its name is the same.
    let new = worker.heartbeat().await.unwrap().life;
    assert!(new > old, "{new} {old}");
    assert_eq!(worker.heartbeat().life(new).await.unwrap().life, new, "it goes on");
    of_life(new).await;
    lease(&queue, "w", 1).await;
    gate.acquire("new").worker("w").ticket().await.unwrap();
    of_life(old).await;
    worker.deregister_life(old).await.unwrap();
    fleet.pass(1).await;
    assert_eq!(ready(&queue).await, [0, 1, 4], "also what the old process took late");
    assert_eq!(fleet.status("w").await, WorkerStatus::Online);
    assert!(matches!(gate.ticket("old").await, Err(GateError::TicketNotFound)));
    assert_eq!(gate.ticket("new").await.unwrap().state, TicketState::Granted);
    worker.deregister_life(new).await.unwrap();
    fleet.pass(1).await;
    assert_eq!(ready(&queue).await, [0, 1, 2, 3, 4]);
    assert_eq!(fleet.status("w").await, WorkerStatus::Offline);
}

#[tokio::test]
async fn a_life_goes_on_over_a_crash_of_the_node_and_no_number_comes_twice() {
    let fleet = Fleet::new();
    let first = fleet.worker("w").heartbeat().await.unwrap().life;
    fleet.pass(1).await;
    let second = fleet.worker("w").heartbeat().await.unwrap().life;
    // Nobody has written that one yet.
    let fleet = fleet.reopened(|builder| builder);
    fleet.pass(1).await;
    assert_eq!(fleet.worker("w").heartbeat().life(second).await.unwrap().life, second);
    fleet.worker("w").deregister_life(first).await.unwrap();
    assert_eq!(fleet.status("w").await, WorkerStatus::Online);
    fleet.worker("w").deregister_life(second).await.unwrap();
    let third = fleet.worker("w").heartbeat().life(second).await.unwrap().life;
    assert!(third > second, "what has ended does not come back: {third} {second}");
}
