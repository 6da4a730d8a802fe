//! A message that ends whoever works on it, and one that is gone: nothing of either goes on for
//! ever.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use futures_util::poll;
use lanekeeper_actors::{
    Clock, Node,
    queue::{LeaseToken, NackOptions, NewMessage, OnExpire, Queue, QueueConfig, QueueError},
};
use lanekeeper_storage::{Crash, Engine, FaultDisk, FaultEngine};
use serde_json::json;

use crate::support::node::{self, Manual};

const TTL: Duration = Duration::from_secs(5);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn open(disk: &FaultDisk, clock: &Clock) -> Node {
    let engine = FaultEngine::open(disk, FaultEngine::options()).unwrap();
    let node = Node::builder().clock(clock.clone()).without_duties();
    node.start(Arc::new(engine) as Arc<dyn Engine>).unwrap()
}

#[tokio::test]
async fn a_message_that_ends_its_node_every_time_becomes_a_dead_letter() {
    let (mut disk, clock) = (FaultDisk::new(8), Clock::manual());
    let node = open(&disk, &clock);
    let config = QueueConfig { max_deliveries: Some(3), ..QueueConfig::default() };
    node.queue("q").configure(config).await.unwrap();
    node.queue("q").push(json!({})).await.unwrap();
    drop(node);
    for deliveries in 1..=3 {
        let node = open(&disk, &clock);
        let (message, _) = node.queue("q").lease(1).ttl(TTL).await.unwrap().remove(0).detach();
        assert_eq!(message.deliveries, deliveries);
        disk = disk.crash(Crash::Kill);
        clock.advance(TTL * 2);
        drop(node);
        let node = open(&disk, &clock);
        node.settle_duties().await.unwrap();
    }
    let node = open(&disk, &clock);
    let stats = node.queue("q").stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.dead), (0, 0, 1));
}

/// An exclusive queue with two messages, the first of which was given back for a year.
async fn held_back(
    node: &Node,
    ttl: Option<Duration>,
) -> (Queue, lanekeeper_actors::queue::MessageId) {
    let queue = node.queue("q");
    let config =
        QueueConfig { exclusive: true, on_expire: OnExpire::DeadLetter, ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    let first = NewMessage::new(json!({ "n": 1 })).unwrap().priority(0);
    let first = if let Some(ttl) = ttl { first.ttl(ttl) } else { first };
    queue.push_all(vec![first, NewMessage::new(json!({ "n": 2 })).unwrap()]).await.unwrap();
    let (message, token) = queue.lease(1).ttl(TTL).await.unwrap().remove(0).detach();
    give_back(&queue, token, YEAR).await;
    let locked = queue.lease(1).await;
    assert!(matches!(locked, Err(QueueError::Locked { .. })), "{locked:?}");
    (queue, message.id)
}

async fn give_back(queue: &Queue, token: LeaseToken, delay: Duration) {
    let options = NackOptions { delay, ..NackOptions::default() };
    assert_eq!(queue.nack(&[token], options).await.unwrap().count, 1);
}

#[tokio::test]
async fn an_exclusive_queue_goes_on_when_what_held_it_back_is_gone() {
    for way in ["cancel", "purge", "expire"] {
        let Manual { node, clock } = node::manual();
        let ttl = (way == "expire").then_some(TTL);
        let (queue, id) = held_back(&node, ttl).await;
        let waiting = queue.lease(1).wait(Duration::from_secs(60));
        let mut waiting = std::pin::pin!(waiting.into_future());
        assert!(poll!(&mut waiting).is_pending());
        match way {
            "cancel" => queue.cancel(id).await.unwrap(),
            "purge" => assert_eq!(queue.purge(Some(0)).await.unwrap(), 1),
            _ => {
                clock.advance(TTL);
                node.settle_duties().await.unwrap();
            }
        }
        let lease = waiting.await.unwrap().remove(0);
        assert_eq!(lease.priority, 1, "{way}: whoever waits gets the next one");
        lease.ack().await.unwrap();
        assert_eq!(queue.lease(1).await.unwrap().len(), 0, "{way}");
    }
}

#[tokio::test]
async fn an_exclusive_queue_waits_until_the_last_that_holds_it_back_is_ready() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    let config = QueueConfig { exclusive: true, ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    for n in 0..3 {
        queue.push(json!({ "n": n })).await.unwrap();
    }
    let leases = queue.lease(2).ttl(TTL).await.unwrap();
    let mut tokens = leases.into_iter().map(|lease| lease.detach().1);
    give_back(&queue, tokens.next().unwrap(), Duration::from_secs(10)).await;
    let (second, last) = (tokens.next().unwrap(), Duration::from_secs(20));
    give_back(&queue, second, last).await;
    clock.advance(Duration::from_secs(10));
    node.settle_duties().await.unwrap();
    assert!(matches!(queue.pop(1).await, Err(QueueError::Locked { .. })));
    queue.cancel(second.message_id()).await.unwrap();
    let popped = queue.pop(3).await.unwrap();
    assert_eq!(popped.len(), 2, "the first is ready, and nothing else holds back");
}

#[tokio::test]
async fn a_key_is_free_once_its_message_was_taken_out_unused() {
    let Manual { node, .. } = node::manual();
    let queue = node.queue("q");
    let push = || queue.push(json!({})).key("k").into_future();
    let first = push().await.unwrap();
    assert_eq!(push().await.unwrap(), first);
    queue.cancel(first).await.unwrap();
    let second = push().await.unwrap();
    assert_ne!(second, first);
    queue.purge(None).await.unwrap();
    let third = push().await.unwrap();
    assert_ne!(third, second);
    queue.pop(1).await.unwrap();
    assert_eq!(push().await.unwrap(), third, "what was done is not done again");
}
