//! Leases: whose a message is, until when, and what becomes of it.

use std::{future::IntoFuture, time::Duration};

use futures_util::{FutureExt, poll};
use lanekeeper_actors::{
    Clock, Node,
    queue::{LeaseError, NackOptions, Queue, QueueConfig, QueueError, Redrive},
};
use serde_json::json;

use crate::support::node::{self, Manual};

const TTL: Duration = Duration::from_secs(30);

async fn fill(queue: &Queue, priorities: &[u32]) {
    for (n, &priority) in priorities.iter().enumerate() {
        queue.push(json!({ "n": n })).priority(priority).await.unwrap();
    }
}

async fn left(queue: &Queue) -> Vec<u64> {
    let page = queue.peek(100).await.unwrap();
    page.messages.iter().map(|message| number(&message.item)).collect()
}

fn number(item: &lanekeeper_actors::queue::Item) -> u64 {
    item.parse::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()
}

#[tokio::test]
async fn a_leased_message_is_nobody_elses_and_an_ack_is_final() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, &[1, 0]).await;
    let mut leases = queue.lease(1).await.unwrap();
    let lease = leases.remove(0);
    assert_eq!((number(&lease.item), lease.deliveries), (1, 1));
    assert_eq!(left(&queue).await, [0]);
    let token = lease.token();
    lease.ack().await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.totals.acked), (1, 0, 1));
    let again = queue.ack(&[token]).await.unwrap();
    assert_eq!((again.count, again.failed), (0, vec![(token, LeaseError::NotFound)]));
}

#[tokio::test]
async fn an_expired_lease_returns_to_its_place() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, &[1, 1, 1]).await;
    let lease = queue.lease(1).ttl(TTL).await.unwrap().remove(0);
    assert_eq!(lease.expires_at(), clock.now() + TTL);
    let (message, token) = lease.detach();
    clock.advance(TTL - Duration::from_millis(1));
    node.settle_duties().await.unwrap();
    assert_eq!(left(&queue).await, [1, 2]);
    clock.advance(Duration::from_millis(1));
    let late = queue.ack(&[token]).await.unwrap();
    assert_eq!(late.failed, [(token, LeaseError::Expired)], "before anything has noticed");
    node.settle_duties().await.unwrap();
    assert_eq!(left(&queue).await, [0, 1, 2]);
    let again = queue.lease(1).await.unwrap().remove(0);
    assert_eq!((again.id, again.deliveries), (message.id, 2));
    let late = queue.ack(&[token]).await.unwrap();
    assert_eq!(late.failed, [(token, LeaseError::Expired)], "though it was leased again");
    again.ack().await.unwrap();
    assert_eq!(queue.stats().await.unwrap().totals.expired, 1);
}

#[tokio::test]
async fn leases_of_a_passivated_queue_expire() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, &[1]).await;
    let (_, token) = queue.lease(1).ttl(TTL).await.unwrap().remove(0).detach();
    assert!(queue.passivate().await);
    clock.advance(TTL);
    node.settle_duties().await.unwrap();
    assert_eq!(left(&queue).await, [0]);
    assert_eq!(queue.ack(&[token]).await.unwrap().failed, [(token, LeaseError::Expired)]);
}

#[tokio::test]
async fn a_nacked_message_returns_to_its_place_at_once_or_after_a_delay() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, &[1, 1, 0]).await;
    let leases = queue.lease(2).await.unwrap();
    assert_eq!(left(&queue).await, [1]);
    for lease in leases {
        lease.nack().await.unwrap();
    }
    assert_eq!(left(&queue).await, [2, 0, 1]);
    let lease = queue.lease(1).await.unwrap().remove(0);
    let reason = Some("not now".to_owned());
    let delay = Duration::from_secs(5);
    let options = NackOptions { delay, reason, ..NackOptions::default() };
    lease.nack_with(options).await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.scheduled, stats.leased, stats.totals.nacked), (2, 1, 0, 3));
    clock.advance(delay);
    node.settle_duties().await.unwrap();
    assert_eq!(left(&queue).await, [2, 0, 1]);
    let first = queue.peek(1).await.unwrap().messages.remove(0);
    assert_eq!((first.deliveries, first.reason.as_deref()), (2, Some("not now")));
}

#[tokio::test]
async fn a_lease_can_be_extended_and_ends_at_now_plus_its_time() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, &[1]).await;
    let mut lease = queue.lease(1).ttl(TTL).await.unwrap().remove(0);
    clock.advance(Duration::from_secs(20));
    lease.extend(TTL).await.unwrap();
    assert_eq!(lease.expires_at(), clock.now() + TTL);
    clock.advance(Duration::from_secs(20));
    node.settle_duties().await.unwrap();
    assert_eq!(queue.stats().await.unwrap().leased, 1);
    lease.extend(Duration::from_secs(1)).await.unwrap();
    clock.advance(Duration::from_secs(1));
    node.settle_duties().await.unwrap();
    assert_eq!(left(&queue).await, [0]);
    let late = lease.extend(TTL).await;
    assert!(matches!(late, Err(QueueError::Lease(LeaseError::Expired))), "{late:?}");
}

#[tokio::test]
async fn a_dropped_lease_gives_its_message_back() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, &[1, 1]).await;
    let mut leases = queue.lease(2).await.unwrap();
    drop(leases.remove(0));
    leases.remove(0).release();
    assert_eq!(left(&queue).await, [0, 1]);
    let deliveries: Vec<_> = queue.peek(2).await.unwrap().messages;
    let deliveries: Vec<_> = deliveries.iter().map(|message| message.deliveries).collect();
    assert_eq!(deliveries, [1, 0], "released is not counted");
}

#[tokio::test]
async fn leases_that_nobody_receives_go_back_uncounted() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let mut waiting = Box::pin(queue.lease(1).wait(TTL).into_future());
    assert!(poll!(&mut waiting).is_pending());
    fill(&queue, &[1]).await;
    drop(waiting);
    let message = queue.peek(1).await.unwrap().messages.remove(0);
    assert_eq!(message.deliveries, 0);
}

#[tokio::test]
async fn those_who_wait_get_one_message_each_in_their_order() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let mut first = Box::pin(queue.lease(5).wait(TTL).into_future());
    let mut second = Box::pin(queue.pop(5).wait(TTL).into_future());
    let mut third = Box::pin(queue.lease(5).wait(TTL).into_future());
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut third).is_pending());
    fill(&queue, &[1, 1]).await;
    let leases = first.await.unwrap();
    assert_eq!((leases.len(), number(&leases[0].item)), (1, 0));
    assert_eq!(number(&second.await.unwrap()[0].item), 1);
    assert!(poll!(&mut third).is_pending());
    drop(leases);
    assert_eq!(number(&third.await.unwrap()[0].item), 0, "what is given back serves who waits");
}

#[tokio::test]
async fn tokens_of_others_and_forged_ones_settle_nothing() {
    let node = Node::in_memory();
    let (queue, other) = (node.queue("q"), node.queue("other"));
    fill(&queue, &[1]).await;
    fill(&other, &[1]).await;
    let (lease, foreign) =
        (queue.lease(1).await.unwrap().remove(0), other.lease(1).await.unwrap().remove(0));
    let mut text = lease.token().to_string();
    text.replace_range(71.., if text.ends_with('0') { "1" } else { "0" });
    let forged = text.parse().unwrap();
    let tokens = [foreign.token(), forged, lease.token(), lease.token()];
    let settled = queue.ack(&tokens).await.unwrap();
    assert_eq!(settled.count, 1);
    let failed: Vec<_> = settled.failed.into_iter().collect();
    let expected = [
        (foreign.token(), LeaseError::NotFound),
        (forged, LeaseError::Expired),
        (lease.token(), LeaseError::NotFound),
    ];
    assert_eq!(failed, expected, "another queue's, a wrong secret, the same one twice");
    assert_eq!(other.stats().await.unwrap().leased, 1);
    foreign.ack().await.unwrap();
    lease.detach();
}

#[tokio::test]
async fn too_many_deliveries_make_a_dead_letter_that_keeps_what_is_known() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    let config = QueueConfig { max_deliveries: Some(2), ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    let pushed_at = clock.now();
    let id = queue.push(json!({"n": 7})).priority(3).await.unwrap();
    queue.lease(1).await.unwrap().remove(0).release();
    queue.lease(1).await.unwrap().remove(0).nack().await.unwrap();
    let (_, token) = queue.lease(1).ttl(TTL).await.unwrap().remove(0).detach();
    clock.advance(TTL);
    node.settle_duties().await.unwrap();
    let dead = node.queue("q-deadletter");
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.dead, stats.totals.dead_lettered), (0, 0, 1, 1));
    assert!(queue.ack(&[token]).await.unwrap().count == 0);
    let letter = dead.peek(1).await.unwrap().messages.remove(0);
    let death = letter.dead_letter.unwrap();
    assert_eq!((letter.priority, number(&letter.item), letter.deliveries), (3, 7, 0));
    assert_eq!((death.origin.as_str(), death.id, death.deliveries), ("q", id, 2));
    assert_eq!((death.reason.as_str(), death.pushed_at), ("max_deliveries", pushed_at));
    assert_eq!(death.died_at, clock.now());
}

#[tokio::test]
async fn dead_letters_come_back_by_depth_and_by_id_with_nothing_counted() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, &[2, 1, 1, 1]).await;
    let leases = queue.lease(4).await.unwrap();
    let tokens: Vec<_> = leases.into_iter().map(|lease| lease.detach().1).collect();
    let settled = queue.dead_letter(&tokens, "broken").await.unwrap();
    assert_eq!(settled.count, 4);
    let dead = node.queue("q-deadletter");
    assert_eq!(left(&dead).await, [1, 2, 3, 0]);
    let last = dead.peek(4).await.unwrap().messages.remove(3).id;
    assert_eq!(queue.redrive(Redrive::Ids(vec![last])).await.unwrap(), 1);
    assert_eq!(queue.redrive(Redrive::First(2)).await.unwrap(), 2);
    assert_eq!((left(&queue).await, left(&dead).await), (vec![1, 2, 0], vec![3]));
    let back = queue.peek(1).await.unwrap().messages.remove(0);
    assert_eq!((back.deliveries, back.dead_letter), (0, None));
    assert_eq!(queue.redrive(Redrive::All).await.unwrap(), 1);
    assert_eq!(queue.redrive(Redrive::All).await.unwrap(), 0);
    let (stats, of_dead) = (queue.stats().await.unwrap(), dead.stats().await.unwrap());
    assert_eq!((stats.ready, stats.dead, of_dead.totals.redriven), (4, 0, 4));
    let nothing = queue.redrive(Redrive::First(0)).now_or_never().unwrap();
    assert!(matches!(nothing, Err(QueueError::InvalidDepth { .. })), "{nothing:?}");
}

#[tokio::test]
async fn a_lease_that_ended_while_the_node_was_down_counts_as_a_delivery() {
    let clock = Clock::manual();
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let builder = Node::builder().data(dir.path()).clock(clock.clone()).without_duties();
        builder.open()
    };
    let node = open().await.unwrap();
    let queue = node.queue("q");
    let config = QueueConfig { max_deliveries: Some(2), ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    fill(&queue, &[1, 1]).await;
    let short = queue.lease(1).ttl(TTL).await.unwrap().remove(0).detach().1;
    let long = queue.lease(1).ttl(TTL * 2).await.unwrap().remove(0).detach().1;
    node.shutdown(TTL).await.unwrap();
    drop((queue, node));
    clock.advance(TTL);
    let node = open().await.unwrap();
    let queue = node.queue("q");
    node.settle_duties().await.unwrap();
    assert_eq!(left(&queue).await, [0]);
    assert_eq!(queue.peek(1).await.unwrap().messages[0].deliveries, 1);
    let settled = queue.ack(&[short, long]).await.unwrap();
    assert_eq!((settled.count, settled.failed), (1, vec![(short, LeaseError::Expired)]));
}

#[tokio::test]
async fn a_clock_set_back_or_forward_changes_no_lease_but_for_ending_it_early() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, &[1]).await;
    let hour = Duration::from_secs(3_600);
    let (_, token) = queue.lease(1).ttl(TTL).await.unwrap().remove(0).detach();
    clock.set_wall(clock.now() - hour);
    clock.advance(TTL - Duration::from_millis(1));
    node.settle_duties().await.unwrap();
    assert_eq!(queue.stats().await.unwrap().leased, 1);
    clock.advance(Duration::from_millis(1));
    node.settle_duties().await.unwrap();
    assert_eq!(queue.stats().await.unwrap().leased, 0, "none lasts longer than its time");
    let (_, second) = queue.lease(1).ttl(TTL).await.unwrap().remove(0).detach();
    clock.set_wall(clock.now() + hour);
    node.settle_duties().await.unwrap();
    let third = queue.lease(1).await.unwrap().remove(0);
    let settled = queue.ack(&[token, second, third.token()]).await.unwrap();
    assert_eq!(settled.count, 1, "only one of three holders can settle it");
    third.detach();
}
