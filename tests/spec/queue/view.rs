//! Looking at queues: peek, statistics, the list. Nothing is taken and nothing is made by it.

use std::{sync::Arc, time::Duration};

use lanekeeper_actors::{
    Clock, Durability, Node,
    queue::{
        NewMessage, Page, Paused, PriorityStats, Queue, QueueConfig, QueueError, QueueList,
        QueueStats, QueueTotals,
    },
};
use lanekeeper_storage::{Engine, MemoryEngine};
use serde_json::json;

use crate::support::node::{Manual, manual};

async fn push(queue: &Queue, priority: u32, count: usize) {
    let message = NewMessage::new(json!({ "a": 1 })).unwrap().priority(priority);
    queue.push_all(vec![message; count]).await.unwrap();
}

#[tokio::test]
async fn pages_follow_each_other_in_pop_order_and_take_nothing() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    push(&queue, 3, 130).await;
    push(&queue, 1, 120).await;
    let mut seen = Vec::new();
    let mut page = queue.peek(100).await.unwrap();
    loop {
        seen.extend(page.messages.iter().map(|message| message.id));
        let Some(next) = page.next else { break };
        page = queue.peek(100).after(next).await.unwrap();
    }
    assert_eq!(seen.len(), 250);
    for expected in seen.chunks(100) {
        let popped = queue.pop(100).await.unwrap();
        assert!(popped.iter().map(|message| message.id).eq(expected.iter().copied()));
    }
}

#[tokio::test]
async fn a_page_shows_priorities_as_they_were_pushed_though_messages_rise() {
    let Manual { node, clock } = manual();
    let queue = node.queue("q");
    let aging = Some(Duration::from_secs(1));
    queue.configure(QueueConfig { aging, ..QueueConfig::default() }).await.unwrap();
    push(&queue, 5, 1).await;
    clock.advance(Duration::from_secs(10));
    push(&queue, 1, 1).await;
    let shown = queue.peek(2).await.unwrap().messages;
    assert_eq!(shown.iter().map(|message| message.priority).collect::<Vec<_>>(), [1, 5]);
    let popped = queue.pop(2).await.unwrap();
    assert_eq!(popped.iter().map(|message| message.priority).collect::<Vec<_>>(), [5, 1]);
}

#[tokio::test]
async fn a_page_of_one_priority_holds_no_other() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    push(&queue, 3, 5).await;
    push(&queue, 1, 5).await;
    let page = queue.peek(3).priority(3).await.unwrap();
    assert!(page.messages.iter().all(|message| message.priority == 3));
    let rest = queue.peek(3).priority(3).after(page.next.unwrap()).await.unwrap();
    assert_eq!((rest.messages.len(), rest.next), (2, None));
    let urgent = queue.peek(1).await.unwrap().messages.remove(0);
    let page = queue.peek(9).priority(3).after(urgent.id).await.unwrap();
    assert_eq!(page.messages.len(), 5, "all of them are behind the urgent one");
    assert_eq!(queue.peek(9).priority(2).await.unwrap(), Page::default());
    let last = queue.peek(9).priority(3).await.unwrap().messages.remove(4);
    assert_eq!(queue.peek(9).priority(1).after(last.id).await.unwrap(), Page::default());
}

#[tokio::test]
async fn reading_from_a_queue_never_used_makes_none() {
    let engine = Arc::new(MemoryEngine::new());
    let node = Node::builder().start(Arc::clone(&engine) as _).unwrap();
    let queue = node.queue("q");
    let empty = QueueStats { loss_window: Some(Duration::ZERO), ..QueueStats::default() };
    assert_eq!(queue.stats().await.unwrap(), empty);
    assert_eq!(queue.config().await.unwrap(), QueueConfig::default());
    assert_eq!(queue.configure(QueueConfig::default()).await.unwrap(), QueueConfig::default());
    assert_eq!(queue.resume(Paused { push: true, pop: true }).await.unwrap(), Paused::default());
    assert_eq!(queue.pop(9).await.unwrap(), []);
    assert_eq!(queue.peek(9).await.unwrap(), Page::default());
    assert_eq!(queue.purge(None).await.unwrap(), 0);
    let id = "000000000000000000000001".parse().unwrap();
    assert!(matches!(queue.message(id).await, Err(QueueError::MessageNotFound)));
    assert!(matches!(queue.cancel(id).await, Err(QueueError::MessageNotFound)));
    assert_eq!(engine.status().commits, 0);
    assert_eq!(node.queues().await.unwrap(), QueueList::default());
}

#[tokio::test]
async fn statistics_count_what_is_there_and_what_was() {
    let clock = Clock::manual();
    let engine = Arc::new(MemoryEngine::new());
    let node = Node::builder().clock(clock.clone()).start(engine).unwrap();
    let queue = node.queue("q");
    push(&queue, 2, 1).await;
    clock.advance(Duration::from_secs(3));
    push(&queue, 0, 4).await;
    clock.advance(Duration::from_secs(4));
    queue.pop(1).await.unwrap();
    let lane = |priority, ready| PriorityStats { priority, ready };
    let stats = queue.stats().await.unwrap();
    let expected = QueueStats {
        ready: 4,
        by_priority: vec![lane(0, 3), lane(2, 1)],
        bytes: 4 * 7,
        oldest_ready_age: Some(Duration::from_secs(7)),
        totals: QueueTotals { pushed: 5, popped: 1, ..QueueTotals::default() },
        durability: Durability::Durable,
        loss_window: Some(Duration::ZERO),
        ..QueueStats::default()
    };
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn statistics_name_the_first_thousand_priorities() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let message = |n: u32| NewMessage::new(json!({})).unwrap().priority(n);
    queue.push_all((0..1_000).map(message).collect()).await.unwrap();
    queue.push_all((1_000..1_001).map(message).collect()).await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.by_priority.len(), stats.ready), (1_000, 1_001));
    assert_eq!(stats.by_priority[999], PriorityStats { priority: 999, ready: 1 });
}

#[tokio::test]
async fn the_loss_window_is_that_of_the_durability_in_force() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    assert_eq!(queue.stats().await.unwrap().loss_window, None);
    let relaxed = QueueConfig { durability: Some(Durability::Relaxed), ..QueueConfig::default() };
    queue.configure(relaxed).await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!(stats.durability, Durability::Relaxed);
    assert!(stats.loss_window.is_some());
}

#[tokio::test]
async fn queues_are_listed_by_prefix_page_by_page() {
    let node = Node::in_memory();
    for id in ["b", "a.1", "a.2", "a.3", "aa"] {
        push(&node.queue(id), 1, 1).await;
    }
    let all = node.queues().await.unwrap();
    assert_eq!(all.ids, ["a.1", "a.2", "a.3", "aa", "b"]);
    assert_eq!(all.next, None);
    let page = node.queues().prefix("a.").limit(2).await.unwrap();
    assert_eq!((page.ids, page.next.as_deref()), (vec!["a.1".into(), "a.2".into()], Some("a.2")));
    let page = node.queues().prefix("a.").after("a.2").limit(1).await.unwrap();
    assert_eq!((page.ids, page.next), (vec!["a.3".to_owned()], None));
    for (limit, is_taken) in [(0, false), (1, true), (1_000, true), (1_001, false)] {
        assert_eq!(node.queues().limit(limit).await.is_ok(), is_taken, "{limit}");
    }
}
