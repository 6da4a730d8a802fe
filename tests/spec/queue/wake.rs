//! Every turn that frees something serves those who wait for it, and a wait that knows when it can
//! go on lasts exactly so long.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::poll;
use lanekeeper_actors::{
    gate::{Gate, GatePolicy},
    queue::{
        ConsumeOptions, Lease, LeaseSource, LeaseToken, NackOptions, NewMessage, Paused, Queue,
        QueueConfig, QueueError, Rate,
    },
};
use serde_json::json;

use crate::support::{
    fleet::Fleet,
    node::{manual, settling, soon},
};

type Leasing = Pin<Box<dyn Future<Output = Result<Vec<Lease>, QueueError>> + Send>>;

const WAIT: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(30);
const POPS: Paused = Paused { push: false, pop: true };

async fn push(queue: &Queue, count: u64) {
    for n in 0..count {
        queue.push(json!({ "n": n })).await.unwrap();
    }
}

fn waiting(queue: &Queue) -> Leasing {
    let mut leasing = queue.lease(1).ttl(TTL).wait(WAIT).into_future();
    assert!(poll_now(&mut leasing).is_pending(), "it waits");
    leasing
}

fn poll_now<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    Pin::new(future).poll(&mut context)
}

/// What a lease that waited comes to without any further doing of the clock.
async fn given(fleet: &Fleet, leasing: Leasing) -> LeaseToken {
    let leased = settling(&fleet.node, tokio::time::timeout(Duration::from_secs(20), leasing));
    let mut leased = leased.await.expect("those who wait are served").unwrap();
    leased.remove(0).detach().1
}

async fn leased(queue: &Queue) -> LeaseToken {
    queue.lease(1).ttl(TTL).await.unwrap().remove(0).detach().1
}

/// An exclusive queue of two messages, one of which is leased.
async fn locked(fleet: &Fleet) -> (Queue, LeaseToken) {
    let queue = fleet.node.queue("q");
    let config = QueueConfig { exclusive: true, ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    push(&queue, 2).await;
    let token = leased(&queue).await;
    (queue, token)
}

#[tokio::test]
async fn a_queue_that_is_exclusive_no_more_serves_those_who_wait() {
    let fleet = Fleet::new();
    let (queue, _token) = locked(&fleet).await;
    let leasing = waiting(&queue);
    queue.configure(QueueConfig::default()).await.unwrap();
    given(&fleet, leasing).await;
}

#[tokio::test]
async fn whatever_ends_the_lock_of_a_queue_serves_those_who_wait() {
    let back = NackOptions::default();
    for way in ["ack", "nack", "dead-letter", "worker", "expiry"] {
        let fleet = Fleet::new();
        let queue = fleet.node.queue("q");
        let config = QueueConfig { exclusive: true, ..QueueConfig::default() };
        queue.configure(config).await.unwrap();
        push(&queue, 2).await;
        fleet.beat("w").await;
        let lease = queue.lease(1).ttl(TTL).worker("w").await.unwrap().remove(0);
        let token = lease.detach().1;
        let leasing = waiting(&queue);
        match way {
            "ack" => drop(queue.ack(&[token]).await.unwrap()),
            "nack" => drop(queue.nack(&[token], back.clone()).await.unwrap()),
            "dead-letter" => {
                drop(settling(&fleet.node, queue.dead_letter(&[token], "no")).await.unwrap());
            }
            "worker" => fleet.worker("w").deregister().await.unwrap(),
            _ => fleet.pass(TTL.as_secs()).await,
        }
        let token = given(&fleet, leasing).await;
        assert_eq!(queue.ack(&[token]).await.unwrap().count, 1, "{way}");
    }
}

/// A queue with a message and a gate that is full.
async fn behind_a_gate(fleet: &Fleet) -> (Queue, Gate) {
    let gate = fleet.node.gate("g");
    gate.set_policy(GatePolicy::concurrent(1)).await.unwrap();
    gate.acquire("somebody").await.unwrap();
    let queue = fleet.node.queue("q");
    let config = QueueConfig { gate: Some("g".to_owned()), ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    push(&queue, 1).await;
    (queue, gate)
}

#[tokio::test]
async fn a_queue_that_loses_its_gate_or_gets_a_free_one_serves_those_who_wait() {
    for gate in [None, Some("free".to_owned())] {
        let fleet = Fleet::new();
        let (queue, full) = behind_a_gate(&fleet).await;
        let leasing = waiting(&queue);
        fleet.node.settle_duties().await.unwrap();
        queue.configure(QueueConfig { gate, ..QueueConfig::default() }).await.unwrap();
        let token = given(&fleet, leasing).await;
        assert_eq!(queue.ack(&[token]).await.unwrap().count, 1);
        settling(&fleet.node, async {
            while full.stats().await.unwrap().queue_length > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn whatever_opens_a_gate_serves_those_who_wait_for_a_queue() {
    for way in ["release", "policy", "policy of the parent", "resume", "expiry"] {
        let fleet = Fleet::new();
        let parent = fleet.node.gate("g");
        let gate = fleet.node.gate("g.below");
        parent.set_policy(GatePolicy::concurrent(1)).await.unwrap();
        if way == "policy" {
            gate.set_policy(GatePolicy::concurrent(1)).await.unwrap();
        }
        gate.acquire("somebody").ttl(TTL).await.unwrap();
        let queue = fleet.node.queue("q");
        let config = QueueConfig { gate: Some("g.below".to_owned()), ..QueueConfig::default() };
        queue.configure(config).await.unwrap();
        push(&queue, 1).await;
        if way == "resume" {
            gate.release("somebody").await.unwrap();
            gate.pause().await.unwrap();
        }
        let leasing = waiting(&queue);
        fleet.node.settle_duties().await.unwrap();
        match way {
            "release" => drop(gate.release("somebody").await.unwrap()),
            "policy" => drop(gate.set_policy(GatePolicy::concurrent(2)).await.unwrap()),
            "policy of the parent" => {
                drop(parent.set_policy(GatePolicy::concurrent(2)).await.unwrap());
                fleet.node.run_duties().await.unwrap();
            }
            "resume" => drop(gate.resume().await.unwrap()),
            _ => fleet.pass(TTL.as_secs()).await,
        }
        let token = given(&fleet, leasing).await;
        assert_eq!(queue.ack(&[token]).await.unwrap().count, 1, "{way}");
    }
}

fn rated(per_second: u32) -> QueueConfig {
    QueueConfig { pop_rate: Some(Rate::per_second(per_second, 1)), ..QueueConfig::default() }
}

#[tokio::test]
async fn a_rate_that_is_raised_or_taken_away_serves_those_who_wait() {
    for config in [QueueConfig::default(), rated(1_000_000)] {
        let fleet = Fleet::new();
        let queue = fleet.node.queue("q");
        queue.configure(rated(1)).await.unwrap();
        push(&queue, 2).await;
        leased(&queue).await;
        fleet.clock.advance(Duration::from_millis(1));
        let leasing = waiting(&queue);
        queue.configure(config).await.unwrap();
        given(&fleet, leasing).await;
    }
}

#[tokio::test]
async fn a_wait_at_a_rate_lasts_until_the_next_token_and_is_in_line() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    queue.configure(rated(4)).await.unwrap();
    push(&queue, 4).await;
    leased(&queue).await;
    let refused = queue.lease(1).await.unwrap_err();
    assert!(
        matches!(refused, QueueError::RateLimited { retry_after, .. }
            if retry_after == Duration::from_millis(250)),
        "{refused:?}"
    );
    let (mut first, mut second) = (waiting(&queue), waiting(&queue));
    fleet.clock.advance(Duration::from_millis(249));
    fleet.node.run_duties().await.unwrap();
    assert!(poll!(&mut first).is_pending());
    fleet.clock.advance(Duration::from_millis(1));
    // A newcomer does not pass, though no timer has come round yet.
    let newcomer = queue.pop(1).await;
    assert!(matches!(newcomer, Err(QueueError::RateLimited { .. })), "{newcomer:?}");
    assert_eq!(soon(first).await.unwrap().len(), 1);
    fleet.node.run_duties().await.unwrap();
    assert!(poll!(&mut second).is_pending());
    fleet.clock.advance(Duration::from_millis(250));
    fleet.node.run_duties().await.unwrap();
    assert_eq!(soon(second).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_consumer_gets_the_whole_rate_however_late_it_is_served() {
    for until_empty in [false, true] {
        let test = manual();
        let queue = test.node.queue("q");
        queue.configure(rated(20)).await.unwrap();
        push(&queue, 300).await;
        let handled = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&handled);
        let options = ConsumeOptions {
            concurrency: 4,
            lease_ttl: Some(TTL),
            until_empty,
            ..ConsumeOptions::default()
        };
        let mut consumer = queue
            .consume(options, move |_| {
                count.fetch_add(1, Ordering::AcqRel);
                async { Ok::<(), &str>(()) }
            })
            .unwrap();
        // Each step is longer than it should be by a tenth of a token.
        for _ in 0..200 {
            test.clock.advance(Duration::from_millis(55));
            let before = handled.load(Ordering::Acquire);
            for _ in 0..40 {
                test.node.settle_duties().await.unwrap();
                tokio::task::yield_now().await;
                if handled.load(Ordering::Acquire) > before {
                    break;
                }
            }
        }
        let share = handled.load(Ordering::Acquire) as f64 / (20.0 * 0.055 * 200.0);
        assert!((0.95..1.02).contains(&share), "{share} of the rate, until_empty {until_empty}");
        consumer.stop(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn a_source_tells_of_a_pause_once_and_goes_on_when_it_ends() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    push(&queue, 1).await;
    queue.pause(POPS).await.unwrap();
    let mut source = LeaseSource::new(queue.clone());
    let told = source.next(1).await;
    assert!(matches!(told, Err(QueueError::Paused { .. })), "{told:?}");
    let mut next = Box::pin(source.next(1));
    assert!(poll!(&mut next).is_pending());
    queue.pause(POPS).await.unwrap();
    assert!(poll!(&mut next).is_pending(), "it is told once");
    queue.resume(POPS).await.unwrap();
    assert_eq!(next.await.unwrap().len(), 1, "and needs no time to pass");
}

#[tokio::test]
async fn a_waiting_lease_is_sent_away_by_a_pause_unless_it_waits_for_its_end() {
    let fleet = Fleet::new();
    let queue = fleet.node.queue("q");
    let (refused, mut patient) =
        (waiting(&queue), queue.lease(1).wait(WAIT).wait_while_paused().into_future());
    assert!(poll!(&mut patient).is_pending());
    queue.pause(POPS).await.unwrap();
    assert!(matches!(refused.await, Err(QueueError::Paused { verb: "lease" })));
    queue.push_message(NewMessage::new(json!({})).unwrap()).await.unwrap();
    assert!(poll!(&mut patient).is_pending());
    queue.resume(POPS).await.unwrap();
    assert_eq!(patient.await.unwrap().len(), 1);
}
