//! Queues: what is pushed comes out, once, in order, byte for byte, and as durable as promised.

use lanekeeper_storage::FaultEngine;
use std::{
    collections::HashSet,
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lanekeeper_actors::{
    AskError, Clock, CommitError, Node,
    queue::{Item, Message, NewMessage, QueueConfig, QueueError, QueueLimits},
};
use lanekeeper_storage::MemoryEngine;
use serde_json::json;

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.item.as_str()).collect()
}

fn messages(count: usize) -> Vec<NewMessage> {
    (0..count).map(|n| NewMessage::new(json!({ "n": n })).unwrap()).collect()
}

#[tokio::test]
async fn messages_leave_by_priority_and_inside_one_first_in_first_out() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    for (priority, name) in [(5, "e"), (0, "a"), (1, "c"), (0, "b"), (1, "d")] {
        queue.push(json!({ "name": name })).priority(priority).await.unwrap();
    }
    queue.push(r#"{"name":"default"}"#).await.unwrap();
    let popped = queue.pop(100).await.unwrap();
    let names = ["a", "b", "c", "d", "default", "e"].map(|name| format!("{{\"name\":\"{name}\"}}"));
    assert_eq!(texts(&popped), names);
    assert_eq!(queue.pop(1).await.unwrap(), []);
}

#[tokio::test]
async fn a_payload_is_kept_byte_for_byte() {
    let node = Node::builder().start(Arc::new(MemoryEngine::new())).unwrap();
    let queue = node.queue("q");
    let text = "{ \"b\" : 1.50,\t\"a\":[ ],\"é\":\"\\u00e9\",\"b\":2 }";
    let id = queue.push(text).await.unwrap();
    assert_eq!(queue.message(id).await.unwrap().0.item.as_str(), text);
    assert_eq!(texts(&queue.pop(1).await.unwrap()), [text]);
}

#[tokio::test]
async fn a_message_says_what_it_is() {
    let clock = Clock::manual();
    let node = Node::builder().clock(clock.clone()).open().await.unwrap();
    let queue = node.queue("q");
    let id = queue.push(json!({})).priority(7).await.unwrap();
    let pushed_at = clock.now();
    clock.advance(Duration::from_secs(5));
    let popped = queue.pop(1).await.unwrap().remove(0);
    let item = Item::from_json("{}").unwrap();
    let expected = Message {
        id,
        priority: 7,
        item,
        pushed_at,
        deliveries: 0,
        expires_at: None,
        reason: None,
        dead_letter: None,
    };
    assert_eq!(popped, expected);
}

#[tokio::test]
async fn a_push_of_many_keeps_its_order_and_answers_an_id_for_each() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let pushed = queue.push_all(messages(1_000)).await.unwrap();
    let ids: Vec<_> = pushed.iter().map(|pushed| pushed.id).collect();
    assert_eq!(ids.len(), 1_000);
    assert!(ids.is_sorted());
    let popped = queue.pop(100).await.unwrap();
    assert!(popped.iter().map(|message| message.id).eq(ids.into_iter().take(100)));
}

#[tokio::test]
async fn every_bound_holds_at_the_bound_and_not_past_it() {
    let limits = QueueLimits { item_bytes_max: 10, ..QueueLimits::default() };
    let node = Node::builder().queue_limits(limits).open().await.unwrap();
    let queue = node.queue("q");
    let item = |bytes: usize| Item::from_json(format!("{{\"a\":{}}}", "1".repeat(bytes - 6)));
    queue.push(item(10).unwrap()).await.unwrap();
    let large = queue.push(item(11).unwrap()).await;
    assert!(matches!(large, Err(QueueError::TooLarge { bytes: 11, bytes_max: 10 })), "{large:?}");

    queue.push(json!({})).priority(2_147_483_647).await.unwrap();
    let out = queue.push(json!({})).priority(2_147_483_648).await;
    assert!(matches!(out, Err(QueueError::InvalidPriority { number: 2_147_483_648 })), "{out:?}");

    for (count, is_taken) in [(0, false), (1, true), (1_000, true), (1_001, false)] {
        let outcome = queue.push_all(vec![NewMessage::new(json!({})).unwrap(); count]).await;
        assert_eq!(outcome.is_ok(), is_taken, "{count} messages");
    }
    for (depth, is_taken) in [(0, false), (1, true), (100, true), (101, false)] {
        assert_eq!(queue.pop(depth).await.is_ok(), is_taken, "pop {depth}");
        assert_eq!(queue.peek(depth).await.is_ok(), is_taken, "peek {depth}");
    }
    let wait = |ms| queue.pop(1).wait(Duration::from_millis(ms));
    assert!(wait(60_000).await.is_ok());
    assert!(matches!(wait(60_001).await, Err(QueueError::InvalidWait { .. })));
    assert!(matches!(queue.push("[1]").await, Err(QueueError::InvalidItem(_))));
    assert!(matches!(node.queue("a/b").pop(1).await, Err(QueueError::InvalidId(_))));
    assert!(matches!(node.queue("").stats().await, Err(QueueError::InvalidId(_))));
}

#[tokio::test]
async fn a_refused_push_of_many_leaves_nothing_behind() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let mut mixed = messages(3);
    mixed.push(NewMessage::new(json!({})).unwrap().priority(u32::MAX));
    assert!(queue.push_all(mixed).await.is_err());
    let bounded = QueueConfig { capacity: Some(3), ..QueueConfig::default() };
    queue.configure(bounded).await.unwrap();
    let full = queue.push_all(messages(4)).await;
    assert!(matches!(full, Err(QueueError::Full { current: 0, capacity: 3 })), "{full:?}");
    assert_eq!(queue.pop(100).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_first_pushes_at_once_make_one_queue() {
    let node = Node::in_memory();
    let queue = node.queue("q");
    let pushes = (0..64).map(|n| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.push(json!({ "n": n })).await.unwrap() })
    });
    let mut ids = HashSet::new();
    for push in pushes.collect::<Vec<_>>() {
        assert!(ids.insert(push.await.unwrap()));
    }
    let popped: HashSet<_> =
        queue.pop(100).await.unwrap().into_iter().map(|message| message.id).collect();
    assert_eq!(popped, ids);
    assert_eq!(node.queues().await.unwrap().ids, ["q"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_pushes_and_pops_lose_and_double_nothing() {
    const PUSHERS: usize = 8;
    const EACH: usize = 500;
    let node = Node::in_memory();
    let queue = node.queue("q");
    let is_over = Arc::new(AtomicBool::new(false));
    let pushers = (0..PUSHERS).map(|pusher| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for n in 0..EACH {
                let item = json!({ "pusher": pusher, "n": n });
                ids.push(queue.push(item).priority((n % 3) as u32).await.unwrap());
            }
            ids
        })
    });
    let poppers = (1..=4).map(|depth| {
        let (queue, is_over) = (queue.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut ids = Vec::new();
            loop {
                let is_last = is_over.load(Ordering::Acquire);
                let popped = queue.pop(depth).wait(Duration::from_millis(20)).await.unwrap();
                if is_last && popped.is_empty() {
                    return ids;
                }
                ids.extend(popped.into_iter().map(|message| message.id));
            }
        })
    });
    let (pushers, poppers): (Vec<_>, Vec<_>) = (pushers.collect(), poppers.collect());
    let mut pushed = Vec::new();
    for pusher in pushers {
        pushed.extend(pusher.await.unwrap());
    }
    is_over.store(true, Ordering::Release);
    let mut popped = Vec::new();
    for popper in poppers {
        popped.extend(popper.await.unwrap());
    }
    pushed.sort_unstable();
    popped.sort_unstable();
    assert_eq!(popped, pushed);
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_durable() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = Node::builder().start(Arc::clone(&engine) as _).unwrap();
    let queue = node.queue("q");
    queue.push(json!({ "n": 1 })).await.unwrap();
    engine.hold_commits();
    let mut push = Box::pin(queue.push(json!({ "n": 2 })).into_future());
    let mut pop = Box::pin(queue.pop(1).into_future());
    assert!(futures_util::poll!(&mut push).is_pending());
    assert!(futures_util::poll!(&mut pop).is_pending());
    engine.let_commits_go();
    push.await.unwrap();
    assert_eq!(texts(&pop.await.unwrap()), [r#"{"n":1}"#]);
}

#[tokio::test]
async fn a_full_disk_refuses_pushes_serves_pops_and_forgets_nothing() {
    let engine = Arc::new(FaultEngine::new(1));
    let node = Node::builder().start(Arc::clone(&engine) as _).unwrap();
    let queue = node.queue("q");
    queue.push_all(messages(3)).await.unwrap();
    engine.refuse_commits(true);
    let refused = queue.push(json!({ "n": 3 })).await;
    let is_refusal =
        matches!(refused, Err(QueueError::Ask(AskError::Refused(CommitError::DiskFull))));
    assert!(is_refusal, "{refused:?}");
    assert_eq!(texts(&queue.pop(2).await.unwrap()), [r#"{"n":0}"#, r#"{"n":1}"#]);
    engine.refuse_commits(false);
    queue.push(json!({ "n": 4 })).await.unwrap();
    assert_eq!(texts(&queue.pop(9).await.unwrap()), [r#"{"n":2}"#, r#"{"n":4}"#]);
}

#[tokio::test]
async fn a_queue_survives_passivation_and_restart() {
    let engine = Arc::new(MemoryEngine::new());
    let node = Node::builder().start(Arc::clone(&engine) as _).unwrap();
    let queue = node.queue("q");
    queue.push_all(messages(2_000 / 2)).await.unwrap();
    queue.push(json!({ "urgent": true })).priority(0).await.unwrap();
    let config = QueueConfig { capacity: Some(2_000), ..QueueConfig::default() };
    queue.configure(config.clone()).await.unwrap();
    let first = queue.pop(2).await.unwrap();
    assert_eq!(texts(&first), [r#"{"urgent":true}"#, r#"{"n":0}"#]);
    drop((queue, node));

    let node = Node::builder().start(engine).unwrap();
    let queue = node.queue("q");
    assert_eq!(queue.config().await.unwrap(), config);
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.totals.pushed, stats.totals.popped), (999, 1_001, 2));
    let mut n = 1;
    loop {
        let popped = queue.pop(100).await.unwrap();
        if popped.is_empty() {
            break;
        }
        for message in popped {
            assert_eq!(message.item.as_str(), format!("{{\"n\":{n}}}"));
            n += 1;
        }
    }
    assert_eq!(n, 1_000);
}
