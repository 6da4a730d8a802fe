//! Queues with a gate: every lease holds a permit, and only as long as it is one.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

use futures_util::poll;
use lanekeeper_actors::{
    gate::{BlockedBy, Gate, GatePolicy},
    queue::{Lease, LeaseToken, NackOptions, Queue, QueueConfig, QueueError},
};
use serde_json::json;

use crate::support::{fleet::Fleet, node::settling};

type Leasing = Pin<Box<dyn Future<Output = Result<Vec<Lease>, QueueError>> + Send>>;

const TTL: Duration = Duration::from_secs(30);

async fn gate(fleet: &Fleet, max_concurrent: u32) -> Gate {
    let gate = fleet.node.gate("g");
    gate.set_policy(GatePolicy::concurrent(max_concurrent)).await.unwrap();
    gate
}

/// A queue with this gate, and so many messages.
async fn queue(fleet: &Fleet, id: &str, messages: u32) -> Queue {
    let queue = fleet.node.queue(id);
    let config = QueueConfig { gate: Some("g".to_owned()), ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    for n in 0..messages {
        queue.push(json!({ "n": n })).await.unwrap();
    }
    queue
}

/// Permits held, and places in line, once every letter has been taken.
async fn held(fleet: &Fleet, gate: &Gate) -> (u64, u64) {
    fleet.node.settle_duties().await.unwrap();
    let stats = gate.stats().await.unwrap();
    (stats.active_count, stats.queue_length)
}

async fn lease(queue: &Queue, depth: usize) -> Vec<LeaseToken> {
    tokens(queue.lease(depth).ttl(TTL).await)
}

fn tokens(leased: Result<Vec<Lease>, QueueError>) -> Vec<LeaseToken> {
    leased.unwrap().into_iter().map(|lease| lease.detach().1).collect()
}

/// A lease that waits, begun.
async fn waiting(queue: &Queue) -> Leasing {
    let mut leasing = queue.lease(1).ttl(TTL).wait(Duration::from_secs(10)).into_future();
    assert!(poll!(&mut leasing).is_pending());
    leasing
}

#[tokio::test]
async fn as_many_messages_are_leased_as_there_are_permits_and_no_more() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, 2).await;
    let queue = queue(&fleet, "q", 5).await;
    let leases = lease(&queue, 4).await;
    assert_eq!((leases.len(), held(&fleet, &gate).await), (2, (2, 0)));
    let refused = queue.lease(1).await;
    let Err(QueueError::NoPermit { gate: name, blocked_by, retry_after: None }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((name.as_str(), blocked_by), ("g", BlockedBy::Concurrency));
    assert_eq!(queue.stats().await.unwrap().ready, 3, "a refusal changes nothing");
    assert_eq!(queue.pop(1).await.unwrap().len(), 1, "a pop holds no permit");
    queue.ack(&leases[..1]).await.unwrap();
    assert_eq!(held(&fleet, &gate).await, (1, 0));
    assert_eq!((lease(&queue, 4).await.len(), held(&fleet, &gate).await), (1, (2, 0)));
}

#[tokio::test]
async fn an_empty_queue_takes_no_permit() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, 5).await;
    let queue = queue(&fleet, "q", 1).await;
    assert_eq!((lease(&queue, 9).await.len(), held(&fleet, &gate).await), (1, (1, 0)));
    assert_eq!((lease(&queue, 9).await.len(), held(&fleet, &gate).await), (0, (1, 0)));
    assert_eq!(gate.stats().await.unwrap().total_enqueued, 1);
}

#[tokio::test]
async fn every_way_in_which_a_lease_ends_releases_its_permit() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, 6).await;
    let queue = queue(&fleet, "q", 6).await;
    let leases = lease(&queue, 6).await;
    queue.ack(&leases[..1]).await.unwrap();
    assert_eq!(held(&fleet, &gate).await, (5, 0));
    let delay = NackOptions { delay: Duration::from_secs(999), ..NackOptions::default() };
    queue.nack(&leases[1..2], delay).await.unwrap();
    assert_eq!(held(&fleet, &gate).await, (4, 0));
    settling(&fleet.node, queue.dead_letter(&leases[2..3], "no use")).await.unwrap();
    assert_eq!(held(&fleet, &gate).await, (3, 0));
    queue.extend(&leases[3..4], Some(4 * TTL)).await.unwrap();
    fleet.pass(TTL.as_secs()).await;
    assert_eq!(held(&fleet, &gate).await, (1, 0), "two ended, one was extended");
    fleet.pass(3 * TTL.as_secs() - 1).await;
    assert_eq!(held(&fleet, &gate).await, (1, 0), "the permit lasts as long as the lease");
    let late = queue.ack(&leases[3..4]).await.unwrap();
    assert_eq!((late.count, held(&fleet, &gate).await), (1, (0, 0)));
    assert_eq!(gate.stats().await.unwrap().total_expired, 0, "no permit ended by itself");
}

#[tokio::test]
async fn permits_of_a_dead_workers_leases_are_released() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, 2).await;
    let queue = queue(&fleet, "q", 2).await;
    fleet.beat("w").await;
    let leased = queue.lease(2).ttl(Duration::from_secs(3_600)).worker("w").await;
    assert_eq!((tokens(leased).len(), held(&fleet, &gate).await), (2, (2, 0)));
    fleet.worker("w").deregister().await.unwrap();
    assert_eq!(held(&fleet, &gate).await, (0, 0));
    assert_eq!(queue.stats().await.unwrap().ready, 2);
}

#[tokio::test]
async fn queues_that_wait_stand_in_the_gates_line_in_order() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, 1).await;
    let (first, second) = (queue(&fleet, "first", 3).await, queue(&fleet, "second", 3).await);
    gate.acquire("other").await.unwrap();
    let mut waits = [waiting(&first).await, waiting(&first).await];
    let of_second = waiting(&second).await;
    assert_eq!(held(&fleet, &gate).await, (1, 2), "a place for each queue");
    gate.release("other").await.unwrap();
    let lease = tokens((&mut waits[0]).await);
    assert_eq!(held(&fleet, &gate).await, (1, 2), "the first queue stands in line again");
    first.ack(&lease).await.unwrap();
    fleet.node.settle_duties().await.unwrap();
    let lease = tokens(of_second.await);
    second.ack(&lease).await.unwrap();
    fleet.node.settle_duties().await.unwrap();
    let lease = tokens((&mut waits[1]).await);
    first.ack(&lease).await.unwrap();
    assert_eq!(held(&fleet, &gate).await, (0, 0));
}

#[tokio::test]
async fn a_permit_for_nobody_is_given_back() {
    let fleet = Fleet::new();
    let gate = gate(&fleet, 1).await;
    let queue = queue(&fleet, "q", 1).await;
    gate.acquire("other").await.unwrap();
    let wait = waiting(&queue).await;
    assert_eq!(held(&fleet, &gate).await, (1, 1));
    fleet.clock.advance(Duration::from_secs(10));
    assert!(wait.await.unwrap().is_empty(), "nobody waits any more");
    gate.release("other").await.unwrap();
    let mut left = held(&fleet, &gate).await;
    while left != (0, 0) {
        tokio::task::yield_now().await;
        left = held(&fleet, &gate).await;
    }
    assert_eq!(lease(&queue, 1).await.len(), 1);
}

#[tokio::test]
async fn permits_and_leases_survive_a_crash_together() {
    let fleet = Fleet::new();
    gate(&fleet, 2).await;
    let before = queue(&fleet, "q", 3).await;
    let leases = lease(&before, 2).await;
    let fleet = fleet.reopened(|builder| builder);
    let (gate, queue) = (fleet.node.gate("g"), fleet.node.queue("q"));
    assert_eq!(held(&fleet, &gate).await, (2, 0));
    assert!(matches!(queue.lease(1).await, Err(QueueError::NoPermit { .. })));
    queue.ack(&leases[..1]).await.unwrap();
    assert_eq!(held(&fleet, &gate).await, (1, 0));
    fleet.pass(TTL.as_secs()).await;
    assert_eq!((held(&fleet, &gate).await, queue.stats().await.unwrap().ready), ((0, 0), 2));
    assert!(fleet.engine.disk().crash(lanekeeper_storage::Crash::Kill).check().unwrap().is_sound());
}

#[tokio::test]
async fn whatever_is_done_the_permits_held_are_the_leases_out() {
    let seed =
        std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let fleet = Fleet::new();
    let gate = gate(&fleet, 3).await;
    let queues = [queue(&fleet, "a", 9).await, queue(&fleet, "b", 9).await];
    let mut out: Vec<(usize, LeaseToken)> = Vec::new();
    for _ in 0..300 {
        let at = random.usize(..queues.len());
        let queue = &queues[at];
        let taken = (!out.is_empty()).then(|| random.usize(..out.len()));
        match (random.u8(..6), taken) {
            (0 | 1, _) => match queue.lease(random.usize(1..4)).ttl(TTL).await {
                Ok(leases) => out.extend(tokens(Ok(leases)).into_iter().map(|token| (at, token))),
                Err(error) => assert!(matches!(error, QueueError::NoPermit { .. }), "{error}"),
            },
            (2, Some(taken)) => {
                let (at, token) = out.swap_remove(taken);
                queues[at].ack(&[token]).await.unwrap();
                queues[at].push(json!({})).await.unwrap();
            }
            (3, Some(taken)) => {
                let (at, token) = out.swap_remove(taken);
                queues[at].nack(&[token], NackOptions::default()).await.unwrap();
            }
            (4, Some(taken)) => {
                let (at, token) = out[taken];
                queues[at].extend(&[token], Some(TTL)).await.unwrap();
            }
            _ => fleet.pass(random.u64(..9)).await,
        }
        let (active, _) = held(&fleet, &gate).await;
        let mut leased = 0;
        for queue in &queues {
            leased += queue.stats().await.unwrap().leased;
        }
        assert_eq!(active, leased, "SEED={seed}");
        assert!(active <= 3, "SEED={seed}");
    }
}
