//! Pops that wait: first come, first served; a timeout or a change of mind loses no message.

use lanekeeper_storage::FaultEngine;
use std::{
    future::{Future, IntoFuture},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::poll;
use lanekeeper_actors::{
    AskError, Clock, Node, NotExecuted,
    queue::{Message, NewMessage, Paused, Queue, QueueError},
};
use serde_json::json;
use tokio::sync::Notify;

type Popping = std::pin::Pin<Box<dyn Future<Output = Result<Vec<Message>, QueueError>> + Send>>;

const WAIT: Duration = Duration::from_secs(10);

/// A pop that waits, begun.
async fn waiting(queue: &Queue, depth: usize) -> Popping {
    let mut pop = queue.pop(depth).wait(WAIT).into_future();
    assert!(poll!(&mut pop).is_pending());
    pop
}

fn numbers(popped: Result<Vec<Message>, QueueError>) -> Vec<u64> {
    let number =
        |message: Message| message.item.parse::<serde_json::Value>().unwrap()["n"].as_u64();
    popped.unwrap().into_iter().map(|message| number(message).unwrap()).collect()
}

async fn push(queue: &Queue, n: u64) {
    queue.push(json!({ "n": n })).await.unwrap();
}

fn node() -> (Node, Clock) {
    let clock = Clock::manual();
    (Node::builder().clock(clock.clone()).start(Arc::new(FaultEngine::new(1))).unwrap(), clock)
}

#[tokio::test]
async fn those_who_wait_are_served_in_the_order_of_their_arrival() {
    let (node, _) = node();
    let queue = node.queue("q");
    let pops = [waiting(&queue, 1).await, waiting(&queue, 1).await, waiting(&queue, 1).await];
    for n in 0..3 {
        push(&queue, n).await;
    }
    for (n, pop) in (0..).zip(pops) {
        assert_eq!(numbers(pop.await), [n]);
    }
}

#[tokio::test]
async fn a_push_of_many_serves_several_who_wait_and_keeps_the_rest() {
    let (node, _) = node();
    let queue = node.queue("q");
    let (two, three) = (waiting(&queue, 2).await, waiting(&queue, 3).await);
    let message = |n| NewMessage::new(json!({ "n": n })).unwrap();
    let urgent = message(9).priority(0);
    let mut messages: Vec<_> = (0..6).map(message).collect();
    messages.push(urgent);
    queue.push_all(messages).await.unwrap();
    assert_eq!(numbers(two.await), [9, 0]);
    assert_eq!(numbers(three.await), [1, 2, 3]);
    assert_eq!(numbers(queue.pop(9).await), [4, 5]);
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.totals.pushed, stats.totals.popped, stats.ready), (7, 7, 0));
}

#[tokio::test]
async fn a_wait_ends_empty_at_its_time_and_not_before() {
    let (node, clock) = node();
    let queue = node.queue("q");
    let mut pop = waiting(&queue, 1).await;
    clock.advance(WAIT - Duration::from_millis(1));
    assert!(poll!(&mut pop).is_pending());
    clock.advance(Duration::from_millis(1));
    assert_eq!(numbers(pop.await), [0_u64; 0]);
    push(&queue, 1).await;
    assert_eq!(numbers(queue.pop(1).await), [1], "nobody was waiting for it any more");
}

#[tokio::test]
async fn a_pop_that_was_dropped_takes_nothing_and_holds_nobody_up() {
    let (node, _) = node();
    let queue = node.queue("q");
    let (first, second) = (waiting(&queue, 1).await, waiting(&queue, 1).await);
    drop(first);
    push(&queue, 1).await;
    assert_eq!(numbers(second.await), [1]);
}

#[tokio::test]
async fn a_pop_dropped_before_it_knows_that_it_waits_takes_nothing() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = Node::builder().clock(Clock::manual()).start(Arc::clone(&engine) as _).unwrap();
    let queue = node.queue("q");
    push(&queue, 1).await;
    engine.hold_commits();
    let mut last = queue.pop(1).into_future();
    assert!(poll!(&mut last).is_pending());
    drop(waiting(&queue, 1).await);
    engine.let_commits_go();
    assert_eq!(numbers(last.await), [1]);
    push(&queue, 2).await;
    assert_eq!(numbers(queue.pop(1).await), [2]);
}

#[tokio::test]
async fn a_timeout_at_the_moment_of_a_push_loses_no_message() {
    let (node, clock) = node();
    let queue = node.queue("q");
    let pop = waiting(&queue, 1).await;
    push(&queue, 1).await;
    clock.advance(WAIT);
    assert_eq!(numbers(pop.await), [1], "it was handed over before the time was up");

    let pop = waiting(&queue, 1).await;
    clock.advance(WAIT);
    push(&queue, 2).await;
    let late = numbers(pop.await);
    let rest = numbers(queue.pop(9).await);
    assert_eq!([late, rest].concat(), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn waits_that_end_while_messages_arrive_lose_none() {
    const COUNT: u64 = 3_000;
    let node = Node::in_memory();
    let queue = node.queue("q");
    let (is_over, ran_out) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let poppers: Vec<_> = (1..=4_u64)
        .map(|popper| {
            let (queue, is_over) = (queue.clone(), Arc::clone(&is_over));
            let ran_out = Arc::clone(&ran_out);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let is_last = is_over.load(Ordering::Acquire);
                    let wait = Duration::from_micros(300 * popper);
                    let numbers = numbers(queue.pop(2).wait(wait).await);
                    if numbers.is_empty() {
                        ran_out.notify_one();
                        if is_last {
                            return taken;
                        }
                    }
                    taken.extend(numbers);
                }
            })
        })
        .collect();
    for n in 0..COUNT {
        push(&queue, n).await;
        if n % 8 == 0 {
            ran_out.notified().await;
        }
    }
    is_over.store(true, Ordering::Release);
    let mut taken = Vec::new();
    for popper in poppers {
        taken.extend(popper.await.unwrap());
    }
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..COUNT));
}

#[tokio::test]
async fn a_waiting_pop_gets_its_message_only_once_that_is_durable() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = Node::builder().clock(Clock::manual()).start(Arc::clone(&engine) as _).unwrap();
    let queue = node.queue("q");
    let mut pop = waiting(&queue, 1).await;
    engine.hold_commits();
    let mut push = queue.push(json!({ "n": 1 })).into_future();
    assert!(poll!(&mut push).is_pending());
    assert!(poll!(&mut pop).is_pending());
    engine.let_commits_go();
    push.await.unwrap();
    assert_eq!(numbers(pop.await), [1]);
}

#[tokio::test]
async fn a_push_that_the_disk_refuses_leaves_those_who_wait_waiting() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = Node::builder().clock(Clock::manual()).start(Arc::clone(&engine) as _).unwrap();
    let queue = node.queue("q");
    let mut pop = waiting(&queue, 1).await;
    engine.refuse_commits(true);
    assert!(queue.push(json!({ "n": 1 })).await.is_err());
    assert!(poll!(&mut pop).is_pending());
    engine.refuse_commits(false);
    push(&queue, 2).await;
    assert_eq!(numbers(pop.await), [2]);
}

#[tokio::test]
async fn pausing_pops_sends_those_who_wait_away() {
    let (node, _) = node();
    let queue = node.queue("q");
    let pop = waiting(&queue, 1).await;
    queue.pause(Paused { push: false, pop: true }).await.unwrap();
    assert!(matches!(pop.await, Err(QueueError::Paused { verb: "pop" })));
    push(&queue, 1).await;
    assert!(matches!(queue.pop(1).wait(WAIT).await, Err(QueueError::Paused { verb: "pop" })));
    queue.resume(Paused { push: false, pop: true }).await.unwrap();
    assert_eq!(numbers(queue.pop(1).await), [1]);
}

#[tokio::test]
async fn a_queue_that_somebody_waits_for_is_not_put_away() {
    let clock = Clock::manual();
    let builder = Node::builder().clock(clock.clone()).idle_timeout(Duration::from_secs(1));
    let node = builder.without_duties().open().await.unwrap();
    let queue = node.queue("q");
    node.run_duties().await.unwrap();
    let mut pop = waiting(&queue, 1).await;
    clock.advance(Duration::from_secs(5));
    node.run_duties().await.unwrap();
    assert_eq!(node.status().activations, 1);
    assert!(poll!(&mut pop).is_pending());
    drop(pop);
    clock.advance(Duration::from_secs(5));
    node.run_duties().await.unwrap();
    assert_eq!(node.status().activations, 0);
}

#[tokio::test]
async fn shutting_down_tells_those_who_wait() {
    let (node, _) = node();
    let queue = node.queue("q");
    let pop = waiting(&queue, 1).await;
    node.shutdown(Duration::from_secs(1)).await.unwrap();
    let told = pop.await;
    let is_told =
        matches!(told, Err(QueueError::Ask(AskError::NotExecuted(NotExecuted::ShuttingDown))));
    assert!(is_told, "{told:?}");
}

#[tokio::test]
async fn the_line_is_bounded() {
    let (node, _) = node();
    let queue = node.queue("q");
    let mut pops = Vec::new();
    for _ in 0..10_000 {
        pops.push(waiting(&queue, 1).await);
    }
    let refused = queue.pop(1).wait(WAIT).await;
    let is_overloaded = matches!(
        refused,
        Err(QueueError::Ask(AskError::NotExecuted(NotExecuted::Overloaded {
            waiting_max: 10_000,
            ..
        })))
    );
    assert!(is_overloaded, "{refused:?}");
    drop(pops.pop());
    drop(waiting(&queue, 1).await);
}
