//! Consuming a queue: each message in one pair of hands, until it is done, given back or dead.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::poll;
use lanekeeper_actors::{
    Clock, Event, Node,
    queue::{
        ConsumeOptions, Consumer, ConsumerStats, HandlerFailure, Message, Paused, Queue,
        QueueConfig, Retry,
    },
};
use serde_json::json;
use tokio::sync::{
    Notify,
    mpsc::{UnboundedReceiver, unbounded_channel},
};

use crate::support::node::{self, Manual};

const TTL: Duration = Duration::from_secs(30);

async fn fill(queue: &Queue, count: u64) {
    for n in 0..count {
        queue.push(json!({ "n": n })).await.unwrap();
    }
}

fn number(message: &Message) -> u64 {
    message.item.parse::<serde_json::Value>().unwrap()["n"].as_u64().unwrap()
}

fn options(concurrency: usize) -> ConsumeOptions {
    ConsumeOptions { concurrency, lease_ttl: Some(TTL), ..ConsumeOptions::default() }
}

/// Waits for a fact about a consumer.
async fn until(consumer: &Consumer, fact: impl Fn(ConsumerStats) -> bool) -> ConsumerStats {
    loop {
        let stats = consumer.stats();
        if fact(stats) {
            return stats;
        }
        tokio::task::yield_now().await;
    }
}

/// A consumer whose handlers report their message and then wait to be let go.
struct Held {
    consumer: Consumer,
    begun: UnboundedReceiver<Message>,
    go: Arc<Notify>,
}

fn held(queue: &Queue, options: ConsumeOptions) -> Held {
    let (report, begun) = unbounded_channel();
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let handler = move |message| {
        report.send(message).unwrap();
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok::<(), HandlerFailure>(())
        }
    };
    Held { consumer: queue.consume(options, handler).unwrap(), begun, go }
}

#[tokio::test]
async fn no_more_messages_are_leased_than_can_be_handled_at_once() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, 10).await;
    let Held { consumer, mut begun, go } = held(&queue, options(3));
    for _ in 0..3 {
        begun.recv().await.unwrap();
    }
    for finished in 1..=10 {
        assert!(begun.try_recv().is_err(), "three at most");
        let leased = (10 - (finished - 1)).min(3);
        assert_eq!(queue.stats().await.unwrap().leased, leased);
        go.notify_one();
        until(&consumer, |stats| stats.handled == finished).await;
        if finished <= 7 {
            assert_eq!(number(&begun.recv().await.unwrap()), finished + 2);
        }
    }
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.totals.acked), (0, 0, 10));
}

#[tokio::test]
async fn a_failed_message_returns_after_its_delay_with_the_reason() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, 1).await;
    let delay = Duration::from_secs(5);
    let (report, mut begun) = unbounded_channel();
    let handler = move |message: Message| {
        let is_first = message.deliveries == 1;
        report.send(message).unwrap();
        let failure = is_first.then(|| HandlerFailure::retry_after(delay, "not now"));
        async move { failure.map_or(Ok(()), Err) }
    };
    let consumer = queue.consume(options(1), handler).unwrap();
    assert_eq!(begun.recv().await.unwrap().deliveries, 1);
    until(&consumer, |stats| stats.failed == 1).await;
    clock.advance(delay - Duration::from_millis(1));
    node.settle_duties().await.unwrap();
    assert_eq!(queue.stats().await.unwrap().scheduled, 1);
    clock.advance(Duration::from_millis(1));
    node.settle_duties().await.unwrap();
    let again = begun.recv().await.unwrap();
    assert_eq!((again.deliveries, again.reason.as_deref()), (2, Some("not now")));
    until(&consumer, |stats| stats.handled == 1).await;
}

#[tokio::test]
async fn any_error_is_tried_again_within_the_backoff_until_it_is_a_dead_letter() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, 1).await;
    let retry = Retry { deliveries_max: Some(3), ..Retry::default() };
    let handler = |_| async { "x".parse::<u64>().map(drop) };
    let consumer = queue.consume(ConsumeOptions { retry, ..options(1) }, handler).unwrap();
    for failed in 1..=3 {
        until(&consumer, |stats| stats.failed == failed).await;
        clock.advance(retry.base * 2_u32.pow(failed as u32 - 1));
        node.settle_duties().await.unwrap();
    }
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.scheduled, stats.leased, stats.dead), (0, 0, 0, 1));
    let letter = node.queue("q-deadletter").peek(1).await.unwrap().messages.remove(0);
    let death = letter.dead_letter.unwrap();
    assert_eq!((death.deliveries, death.reason.as_str()), (3, "invalid digit found in string"));
}

#[tokio::test]
async fn a_handler_can_give_a_message_up_at_once() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, 1).await;
    let handler = |_| async { Err::<(), _>(HandlerFailure::dead_letter("no such customer")) };
    let consumer = queue.consume(options(1), handler).unwrap();
    until(&consumer, |stats| stats.failed == 1).await;
    let letter = node.queue("q-deadletter").peek(1).await.unwrap().messages.remove(0);
    assert_eq!(letter.dead_letter.unwrap().reason, "no such customer");
}

#[tokio::test]
async fn a_panic_is_a_failure_of_its_message_and_harms_no_other() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, 5).await;
    let retry = Retry { deliveries_max: Some(1), ..Retry::default() };
    let handler = |message: Message| {
        assert_ne!(number(&message), 1, "before it waits");
        async move {
            tokio::task::yield_now().await;
            assert_ne!(number(&message), 3, "after it has waited");
            Ok::<(), HandlerFailure>(())
        }
    };
    let consumer = queue.consume(ConsumeOptions { retry, ..options(2) }, handler).unwrap();
    let stats = until(&consumer, |stats| stats.handled + stats.failed == 5).await;
    assert_eq!((stats.handled, stats.failed, stats.lost), (3, 2, 0));
    let dead = node.queue("q-deadletter").peek(5).await.unwrap().messages;
    assert_eq!(dead.iter().map(number).collect::<Vec<_>>(), [1, 3]);
    let reason = &dead[0].dead_letter.as_ref().unwrap().reason;
    assert!(reason.starts_with("panicked: ") && reason.contains("before it waits"), "{reason}");
}

#[tokio::test]
async fn the_lease_of_a_long_handler_is_kept() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, 1).await;
    let Held { consumer, mut begun, go } = held(&queue, options(1));
    begun.recv().await.unwrap();
    for _ in 0..10 {
        let mut events = node.events();
        clock.advance(TTL / 3);
        events.until(|event| matches!(event, Event::Commit { .. })).await.unwrap();
        node.settle_duties().await.unwrap();
        assert_eq!(queue.stats().await.unwrap().leased, 1);
    }
    go.notify_one();
    let stats = until(&consumer, |stats| stats.running == 0).await;
    assert_eq!((stats.handled, stats.lost), (1, 0));
}

#[tokio::test]
async fn a_lost_lease_is_noticed_and_the_result_discarded() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, 1).await;
    let Held { consumer, mut begun, go } = held(&queue, options(1));
    begun.recv().await.unwrap();
    clock.advance(TTL);
    node.settle_duties().await.unwrap();
    assert_eq!(queue.stats().await.unwrap().ready, 1, "the process stood still for too long");
    go.notify_one();
    assert_eq!(begun.recv().await.unwrap().deliveries, 2);
    let stats = until(&consumer, |stats| stats.lost == 1).await;
    assert_eq!((stats.handled, stats.running), (0, 1));
    go.notify_one();
    let stats = until(&consumer, |stats| stats.running == 0).await;
    assert_eq!((stats.handled, stats.failed, stats.lost), (1, 0, 1));
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_leases_no_more() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, 3).await;
    let Held { mut consumer, mut begun, go } = held(&queue, options(2));
    begun.recv().await.unwrap();
    begun.recv().await.unwrap();
    let stopping = tokio::spawn(async move { consumer.stop(TTL).await });
    go.notify_one();
    go.notify_one();
    let stats = stopping.await.unwrap();
    let expected = ConsumerStats { handled: 2, ..ConsumerStats::default() };
    assert_eq!(stats, expected);
    assert_eq!(queue.stats().await.unwrap().ready, 1);
    assert!(begun.recv().await.is_none(), "the handler is gone");
}

#[tokio::test]
async fn a_drain_gives_back_at_its_deadline_and_counts_no_delivery() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, 2).await;
    let Held { mut consumer, mut begun, go } = held(&queue, options(2));
    begun.recv().await.unwrap();
    begun.recv().await.unwrap();
    go.notify_one();
    until(&consumer, |stats| stats.handled == 1).await;
    let mut stopping = Box::pin(consumer.stop(Duration::from_secs(5)));
    assert!(poll!(&mut stopping).is_pending());
    clock.advance(Duration::from_secs(5));
    let stats = stopping.await;
    assert_eq!((stats.handled, stats.released, stats.running), (1, 1, 0));
    let left = queue.peek(2).await.unwrap().messages;
    assert_eq!(left.iter().map(|message| message.deliveries).collect::<Vec<_>>(), [0]);
}

#[tokio::test]
async fn a_dropped_consumer_gives_back_at_once_and_counts_no_delivery() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, 2).await;
    let Held { consumer, mut begun, .. } = held(&queue, options(1));
    begun.recv().await.unwrap();
    drop(consumer);
    assert!(begun.recv().await.is_none(), "the handler is gone");
    let left = queue.peek(2).await.unwrap().messages;
    assert_eq!(left.iter().map(|message| message.deliveries).collect::<Vec<_>>(), [0, 0]);
}

#[tokio::test]
async fn a_consumer_ends_with_its_node_and_what_it_did_not_give_back_counts() {
    let clock = Clock::manual();
    let dir = tempfile::tempdir().unwrap();
    let open = || Node::builder().data(dir.path()).clock(clock.clone()).without_duties().open();
    let node = open().await.unwrap();
    let queue = node.queue("q");
    let config = QueueConfig { max_deliveries: Some(2), ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    fill(&queue, 1).await;
    let Held { mut consumer, mut begun, go } = held(&queue, options(2));
    begun.recv().await.unwrap();
    node.shutdown(TTL).await.unwrap();
    go.notify_one();
    consumer.ended().await;
    assert_eq!(consumer.stats().lost, 1);
    drop((consumer, queue, node));
    clock.advance(TTL);
    let node = open().await.unwrap();
    node.settle_duties().await.unwrap();
    let message = node.queue("q").peek(1).await.unwrap().messages.remove(0);
    assert_eq!(message.deliveries, 1);
}

#[tokio::test]
async fn a_paused_queue_is_asked_again() {
    let Manual { node, clock } = node::manual();
    let queue = node.queue("q");
    fill(&queue, 1).await;
    let pop = Paused { push: false, pop: true };
    queue.pause(pop).await.unwrap();
    let Held { consumer, mut begun, go } = held(&queue, options(1));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    queue.resume(pop).await.unwrap();
    clock.advance(Duration::from_secs(5));
    begun.recv().await.unwrap();
    go.notify_one();
    until(&consumer, |stats| stats.handled == 1).await;
}

#[tokio::test]
async fn a_consumer_can_end_by_itself() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, 5).await;
    let options = ConsumeOptions { messages_max: Some(2), ..options(4) };
    let handler = |_| async { Ok::<(), HandlerFailure>(()) };
    let mut consumer = queue.consume(options.clone(), handler).unwrap();
    consumer.ended().await;
    assert_eq!((consumer.stats().handled, queue.stats().await.unwrap().ready), (2, 3));
    let options = ConsumeOptions { messages_max: None, until_empty: true, ..options };
    let mut consumer = queue.consume(options, handler).unwrap();
    consumer.ended().await;
    assert_eq!((consumer.stats().handled, queue.stats().await.unwrap().ready), (3, 0));
}

#[tokio::test]
async fn settings_out_of_bounds_are_refused_by_name() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let refused = |options: ConsumeOptions| {
        let handler = |_| async { Ok::<(), HandlerFailure>(()) };
        queue.consume(options, handler).unwrap_err().to_string()
    };
    assert_eq!(refused(options(0)), "concurrency: must be from 1 to 10000");
    let none = ConsumeOptions { messages_max: Some(0), ..options(1) };
    assert_eq!(refused(none), "messages_max: must be at least 1");
    let short = ConsumeOptions { lease_ttl: Some(Duration::from_millis(1)), ..options(1) };
    assert!(refused(short).starts_with("ttl must be from 1000 ms"));
    let worker = ConsumeOptions { worker: Some("a/b".to_owned()), ..options(1) };
    assert!(refused(worker).starts_with("worker: "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_messages_that_fail_at_random_none_is_lost() {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |s| s.parse().unwrap());
    println!("SEED={seed}");
    let node = Node::in_memory();
    let queue = node.queue("q");
    fill(&queue, 1_000).await;
    let done = Arc::new(Mutex::new(BTreeSet::new()));
    let (known, running) = (Arc::clone(&done), Arc::new(AtomicUsize::new(0)));
    let handler = move |message: Message| {
        let (known, running) = (Arc::clone(&known), Arc::clone(&running));
        async move {
            assert!(running.fetch_add(1, Ordering::AcqRel) < 16, "more at once than asked for");
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::AcqRel);
            let of_message = seed ^ (number(&message) << 32) ^ u64::from(message.deliveries);
            match fastrand::Rng::with_seed(of_message).u32(0..4) {
                0 => return Err(HandlerFailure::retry_after(Duration::ZERO, "chance")),
                1 => panic!("chance"),
                _ => {}
            }
            assert!(known.lock().unwrap().insert(number(&message)), "handled twice");
            Ok(())
        }
    };
    let retry = Retry { base: Duration::ZERO, ..Retry::default() };
    let mut consumer = queue.consume(ConsumeOptions { retry, ..options(16) }, handler).unwrap();
    until(&consumer, |stats| stats.handled == 1_000).await;
    let consumed = consumer.stop(TTL).await;
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.dead, consumed.lost), (0, 0, 0, 0), "{seed}");
    assert_eq!((stats.totals.acked, stats.totals.nacked), (1_000, consumed.failed), "{seed}");
    assert!(consumed.failed > 100 && done.lock().unwrap().len() == 1_000, "{seed}");
}
