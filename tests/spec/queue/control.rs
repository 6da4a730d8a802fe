//! Governing a queue: cancel, purge, pause, capacity, eviction, durability.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use futures_util::{FutureExt, poll};
use lanekeeper_actors::{
    Durability, Event, Node,
    queue::{NewMessage, OnFull, Paused, Queue, QueueConfig, QueueError},
};
use lanekeeper_storage::{FaultEngine, MemoryEngine};
use serde_json::json;

async fn fill(queue: &Queue, priority: u32, count: usize) {
    let message = NewMessage::new(json!({ "priority": priority })).unwrap().priority(priority);
    for slice in vec![message; count].chunks(1_000) {
        queue.push_all(slice.to_vec()).await.unwrap();
    }
}

async fn ready(queue: &Queue) -> u64 {
    queue.stats().await.unwrap().ready
}

#[tokio::test]
async fn a_cancelled_message_is_gone_and_its_neighbours_stay() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(queue.push(json!({ "n": n })).await.unwrap());
    }
    queue.cancel(ids[1]).await.unwrap();
    assert!(matches!(queue.cancel(ids[1]).await, Err(QueueError::MessageNotFound)));
    assert!(matches!(queue.message(ids[1]).await, Err(QueueError::MessageNotFound)));
    let popped = queue.pop(9).await.unwrap();
    assert!(popped.iter().map(|message| message.id).eq([ids[0], ids[2]]));
    assert!(matches!(queue.cancel(ids[0]).await, Err(QueueError::MessageNotFound)));
    assert_eq!(queue.stats().await.unwrap().totals.cancelled, 1);
}

#[tokio::test]
async fn a_purge_takes_everything_or_one_priority() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    assert_eq!(queue.purge(None).await.unwrap(), 0);
    fill(&queue, 1, 10).await;
    fill(&queue, 2, 2_500).await;
    fill(&queue, 3, 20).await;
    assert_eq!(queue.purge(Some(2)).await.unwrap(), 2_500);
    assert_eq!(queue.purge(Some(2)).await.unwrap(), 0);
    assert_eq!(ready(&queue).await, 30);
    assert_eq!(queue.purge(None).await.unwrap(), 30);
    assert_eq!(queue.pop(1).await.unwrap(), []);
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.totals.purged, stats.ready, stats.bytes), (2_530, 0, 0));
    assert!(matches!(queue.purge(Some(u32::MAX)).await, Err(QueueError::InvalidPriority { .. })));
}

#[tokio::test]
async fn a_purge_goes_by_slices_and_keeps_what_is_pushed_meanwhile() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = Node::builder().start(Arc::clone(&engine) as _).unwrap();
    let queue = node.queue("q");
    fill(&queue, 2, 3_500).await;
    engine.hold_commits();
    let mut purge = Box::pin(queue.purge(None));
    assert!(poll!(&mut purge).is_pending());
    let mut pushes: Vec<_> = [0, 2, 9]
        .map(|priority| queue.push(json!({})).priority(priority).into_future())
        .into_iter()
        .collect();
    for push in &mut pushes {
        assert!(poll!(push).is_pending());
    }
    let mut pop = queue.pop(1).into_future();
    assert!(poll!(&mut pop).is_pending(), "it was served between two slices");
    engine.let_commits_go();
    assert_eq!(purge.await.unwrap(), 3_500);
    assert_eq!(pop.await.unwrap()[0].priority, 0);
    let left = queue.pop(9).await.unwrap();
    let left: Vec<_> = left.iter().map(|message| message.priority).collect();
    assert_eq!(left, [2, 9]);
}

#[tokio::test]
async fn a_full_queue_refuses_until_there_is_room() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let config = QueueConfig { capacity: Some(2), ..QueueConfig::default() };
    assert_eq!(queue.configure(config.clone()).await.unwrap(), config);
    fill(&queue, 1, 2).await;
    let full = queue.push(json!({})).await;
    assert!(matches!(full, Err(QueueError::Full { current: 2, capacity: 2 })), "{full:?}");
    queue.pop(1).await.unwrap();
    queue.push(json!({})).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().totals.rejected, 1);
    let lowered = QueueConfig { capacity: Some(1), ..config.clone() };
    queue.configure(lowered).await.unwrap();
    assert_eq!(ready(&queue).await, 2, "a lower capacity drops nothing");
    assert!(queue.push(json!({})).priority(0).await.is_err());
    queue.configure(QueueConfig::default()).await.unwrap();
    fill(&queue, 1, 2).await;
    let refused = queue.configure(QueueConfig { capacity: Some(0), ..config }).await;
    assert!(
        matches!(refused, Err(QueueError::InvalidConfig { field: "capacity", .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_queue_that_evicts_lets_the_newest_of_the_least_urgent_give_way() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let on_full = OnFull::EvictLowest;
    let config = QueueConfig { capacity: Some(2_000), on_full, ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    let oldest = queue.push(json!({})).priority(5).await.unwrap();
    fill(&queue, 5, 1_999).await;
    assert!(matches!(queue.push(json!({})).priority(5).await, Err(QueueError::Full { .. })));
    fill(&queue, 4, 1_500).await;
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.totals.evicted), (2_000, 1_500));
    let by_priority: Vec<_> =
        stats.by_priority.iter().map(|lane| (lane.priority, lane.ready)).collect();
    assert_eq!(by_priority, [(4, 1_500), (5, 500)]);
    let page = queue.peek(1).priority(5).await.unwrap();
    assert_eq!(page.messages[0].id, oldest, "the oldest stayed");
}

#[tokio::test]
async fn a_pause_holds_until_it_is_resumed_restarts_included() {
    let engine = Arc::new(MemoryEngine::new());
    let node = Node::builder().start(Arc::clone(&engine) as _).unwrap();
    let queue = node.queue("q");
    queue.push(json!({})).await.unwrap();
    let paused = queue.pause(Paused { push: true, pop: false }).await.unwrap();
    assert_eq!(paused, Paused { push: true, pop: false });
    drop((queue, node));

    let node = Node::builder().start(engine).unwrap();
    let queue = node.queue("q");
    assert!(matches!(queue.push(json!({})).await, Err(QueueError::Paused { verb: "push" })));
    assert_eq!(queue.pop(1).await.unwrap().len(), 1);
    let paused = queue.pause(Paused { push: false, pop: true }).await.unwrap();
    assert_eq!(paused, Paused { push: true, pop: true });
    assert!(matches!(queue.pop(1).await, Err(QueueError::Paused { verb: "pop" })));
    assert_eq!(queue.stats().await.unwrap().paused, paused);
    let paused = queue.resume(Paused { push: true, pop: true }).await.unwrap();
    assert_eq!(paused, Paused::default());
    queue.push(json!({})).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().totals.rejected, 1);
}

#[tokio::test]
async fn a_queue_may_choose_its_own_durability() {
    let node = Node::builder().start(Arc::new(MemoryEngine::new())).unwrap();
    let queue = node.queue("q");
    let mut events = node.events();
    let with = |level| QueueConfig { durability: level, ..QueueConfig::default() };
    queue.configure(with(Some(Durability::Memory))).await.unwrap();
    queue.push(json!({})).await.unwrap();
    let refused = queue.configure(with(None)).await;
    assert!(matches!(refused, Err(QueueError::NotEmpty(1))), "{refused:?}");
    queue.pop(1).await.unwrap();
    queue.configure(with(None)).await.unwrap();
    let mut levels = Vec::new();
    while let Some(Ok(event)) = events.next().now_or_never() {
        if let Event::Commit { durability, .. } = event {
            levels.push(durability);
        }
    }
    assert_eq!(
        levels,
        [Durability::Durable, Durability::Memory, Durability::Memory, Durability::Durable],
        "settings survive, messages need not"
    );
}

#[tokio::test]
async fn refusals_are_counted_across_passivation() {
    let clock = lanekeeper_actors::Clock::manual();
    let builder = Node::builder().clock(clock.clone()).idle_timeout(Duration::from_secs(1));
    let node = builder.without_duties().open().await.unwrap();
    node.run_duties().await.unwrap();
    let queue = node.queue("q");
    queue.pause(Paused { push: true, pop: false }).await.unwrap();
    assert!(queue.push(json!({})).await.is_err());
    clock.advance(Duration::from_secs(5));
    node.run_duties().await.unwrap();
    assert_eq!(node.status().activations, 0);
    assert_eq!(queue.stats().await.unwrap().totals.rejected, 1);
}

#[tokio::test]
async fn a_dropped_verb_that_was_never_polled_does_nothing() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    drop(queue.push(json!({})).into_future());
    assert_eq!(queue.pop(1).await.unwrap(), []);
    let mut purge = Box::pin(queue.purge(None));
    assert!(poll!(&mut purge).is_ready());
}
