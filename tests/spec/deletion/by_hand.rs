//! Deleting: nothing is left of a queue, gate, stream or worker, and what comes later is another.

use std::time::Duration;

use lanekeeper::{
    Clock, Durability, Lanekeeper,
    gate::{GateError, GatePolicy},
    json,
    queue::{LeaseError, NewMessage, QueueConfig, QueueError, Sink},
    stream::{Class, End, StreamConfig, StreamEvent},
    worker::LivenessError,
};
use lanekeeper_actors::{CheckReport, OpenError, check};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::http::TestServer;

/// Opens a directory, once the node before has let go of it.
async fn open(dir: &TempDir) -> Lanekeeper {
    loop {
        match Lanekeeper::open(dir.path()).await {
            Err(OpenError::Locked(_)) => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

/// Checks a directory, once the node that had it open has let go of it.
async fn checked(dir: &TempDir) -> CheckReport {
    loop {
        match check(dir.path()) {
            Err(OpenError::Locked(_)) => tokio::task::yield_now().await,
            report => return report.unwrap(),
        }
    }
}

async fn close(node: Lanekeeper) {
    node.shutdown(Duration::from_secs(10)).await.unwrap();
}

/// Everything about a queue that the store keeps.
async fn use_all_of(node: &Lanekeeper, id: &str) {
    let queue = node.queue(id);
    let config = QueueConfig { capacity: Some(5_000), ..QueueConfig::default() };
    queue.configure(config).await.unwrap();
    queue.set_sink(Sink::new("http://127.0.0.1:9/")).await.unwrap();
    let messages = (0..30).map(|n| {
        let message = NewMessage::new(json!({"n": n})).unwrap().priority(n % 3);
        let message = message.key(format!("k{n}")).ttl(Duration::from_secs(3_600));
        if n % 5 == 0 { message.delay(Duration::from_secs(600)) } else { message }
    });
    queue.push_all(messages.collect()).await.unwrap();
    node.worker("w").heartbeat().await.unwrap();
    queue.lease(5).worker("w").await.unwrap().into_iter().for_each(|lease| {
        lease.detach();
    });
}

#[tokio::test]
async fn a_queue_in_use_is_not_deleted_and_nothing_of_it_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir).await;
    use_all_of(&node, "q").await;
    let before = node.queue("q").stats().await.unwrap();
    let refused = node.queue("q").delete().await;
    let Err(QueueError::InUse { messages: 30, leased: 5 }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(node.queue("q").stats().await.unwrap().totals, before.totals);
    assert!(node.queue("q").sink().await.unwrap().is_some());
    close(node).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_queue_that_was_deleted_with_its_messages() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir).await;
    use_all_of(&node, "q").await;
    node.queue("other").push(json!({})).await.unwrap();
    assert!(node.queue("q").delete_with_messages().await.unwrap());
    assert!(!node.queue("q").delete().await.unwrap(), "there is none any more");
    let stats = node.queue("q").stats().await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.totals), (0, 0, Default::default()));
    assert_eq!(node.queue("q").config().await.unwrap(), QueueConfig::default());
    assert_eq!(node.queues().await.unwrap().ids, ["other"]);
    assert!(node.sinks().await.unwrap().sinks.is_empty());
    node.worker("w").delete().await.unwrap();
    close(node).await;
    let report = checked(&dir).await;
    assert!(report.problems.is_empty(), "{report:?}");
    assert_eq!((report.queue_count, report.message_count), (1, 1));
    // Of the one reminder there was nothing is left either.
    assert_eq!(report.reminder_count, 0);
}

#[tokio::test]
async fn ids_and_leases_of_a_deleted_queue_are_never_met_again() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir).await;
    let queue = node.queue("q");
    let mut ids = Vec::new();
    let mut leases = Vec::new();
    for round in 0..4 {
        for _ in 0..3 {
            ids.push(queue.push(json!({})).await.unwrap());
        }
        leases.push(queue.lease(1).await.unwrap().remove(0));
        queue.delete_with_messages().await.unwrap();
        if round % 2 == 1 {
            // It is read anew.
            queue.passivate().await;
        }
    }
    ids.push(queue.push(json!({})).await.unwrap());
    let count = ids.len();
    ids.sort_by_key(ToString::to_string);
    ids.dedup();
    assert_eq!(ids.len(), count, "an id was met twice");
    for lease in leases {
        let refused = lease.ack().await;
        assert!(matches!(refused, Err(QueueError::Lease(LeaseError::NotFound))), "{refused:?}");
    }
    assert_eq!(queue.stats().await.unwrap().ready, 1);
    drop(queue);
    close(node).await;
    let node = open(&dir).await;
    node.queue("q").delete_with_messages().await.unwrap();
    close(node).await;
    let node = open(&dir).await;
    let id = node.queue("q").push(json!({})).await.unwrap();
    assert!(!ids.contains(&id), "{id} was met before the restart");
    close(node).await;
}

#[tokio::test]
async fn a_large_queue_is_deleted_in_slices_and_others_are_served_meanwhile() {
    let node = Lanekeeper::in_memory();
    let queue = node.queue("q");
    for n in 0..6 {
        let message = |m: usize| NewMessage::new(json!({})).unwrap().key(format!("{n}-{m}"));
        queue.push_all((0..1_000).map(message).collect()).await.unwrap();
    }
    queue.pop(100).await.unwrap();
    assert!(queue.delete_with_messages().await.unwrap());
    assert!(node.queues().await.unwrap().ids.is_empty());
    let again = NewMessage::new(json!({})).unwrap().key("0-0");
    assert!(queue.push_message(again).report().await.unwrap().duplicate.is_none());
}

#[tokio::test]
async fn a_queue_that_is_kept_in_memory_is_deleted_too() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir).await;
    let config = QueueConfig { durability: Some(Durability::Memory), ..QueueConfig::default() };
    node.queue("m").configure(config).await.unwrap();
    node.queue("m").push(json!({})).delay(Duration::from_secs(60)).await.unwrap();
    assert!(node.queue("m").delete_with_messages().await.unwrap());
    close(node).await;
    let report = checked(&dir).await;
    assert!(report.problems.is_empty(), "{report:?}");
    assert_eq!((report.queue_count, report.reminder_count), (0, 0));
}

#[tokio::test]
async fn whoever_waits_at_a_deleted_queue_gets_what_comes_next() {
    let node = Lanekeeper::in_memory();
    let queue = node.queue("q");
    queue.push(json!({"n": 1})).await.unwrap();
    queue.pop(1).await.unwrap();
    let waiting = queue.pop(1).wait(Duration::from_secs(20));
    let other = async {
        assert!(queue.delete().await.unwrap());
        queue.push(json!({"n": 2})).await.unwrap();
    };
    let (popped, ()) = tokio::join!(waiting, other);
    assert_eq!(popped.unwrap()[0].item.as_str(), r#"{"n":2}"#);
}

#[tokio::test]
async fn a_gate_is_deleted_once_nobody_is_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir).await;
    let gate = node.gate("a");
    gate.set_policy(GatePolicy::concurrent(1)).await.unwrap();
    let held = gate.acquire("one").ttl(Duration::from_secs(60)).await.unwrap();
    let ticket = gate.acquire("two").ticket().await.unwrap();
    let refused = gate.delete().await;
    assert!(matches!(refused, Err(GateError::InUse { held: 1, waiting: 1 })), "{refused:?}");
    assert_eq!(gate.stats().await.unwrap().max_concurrent, Some(1));
    assert_eq!(node.gate("a.b").policy().await.unwrap().policy.max_concurrent, Some(1));
    assert!(gate.delete_with_owners().await.unwrap());
    assert!(gate.ticket("one").await.is_err() && gate.ticket("two").await.is_err());
    assert_eq!(node.gate("a.b").policy().await.unwrap().policy.max_concurrent, None);
    assert!(!gate.delete().await.unwrap());
    let stats = gate.stats().await.unwrap();
    assert_eq!((stats.total_enqueued, stats.last_updated), (0, None));
    assert!(node.gates().await.unwrap().gates.is_empty());
    drop((held, ticket, gate));
    close(node).await;
    let report = checked(&dir).await;
    assert!(report.problems.is_empty(), "{report:?}");
}

#[tokio::test]
async fn whoever_waits_at_a_gate_that_is_deleted_is_told() {
    let node = Lanekeeper::in_memory();
    let gate = node.gate("g");
    gate.set_policy(GatePolicy::concurrent(1)).await.unwrap();
    let held = gate.acquire("one").await.unwrap();
    let waiting = async { gate.acquire("two").await.err() };
    let deleting = async {
        while gate.stats().await.unwrap().queue_length == 0 {
            tokio::task::yield_now().await;
        }
        gate.delete_with_owners().await.unwrap()
    };
    let (refused, deleted) = tokio::join!(waiting, deleting);
    assert!(deleted && matches!(refused, Some(GateError::Cancelled)), "{refused:?}");
    drop(held);
}

#[tokio::test]
async fn the_subscribers_of_a_deleted_stream_are_told_and_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir).await;
    let topic = node.stream("t");
    let config = StreamConfig { retain: 5, persist: true, ..StreamConfig::default() };
    topic.configure(config).await.unwrap();
    let mut subscriber = topic.subscribe().await.unwrap();
    topic.publish(Class::Important, json!({"n": 1})).await.unwrap();
    assert!(topic.delete().await.unwrap());
    assert!(matches!(subscriber.next().await, Some(StreamEvent::Message(_))), "it had waited");
    assert_eq!((subscriber.next().await, subscriber.end()), (None, Some(End::Deleted)));
    drop(subscriber);
    assert!(!node.stream("t2").delete().await.unwrap());
    let stats = topic.stats().await.unwrap();
    assert_eq!((stats.retained_count, stats.subscriber_count), (0, 0));
    assert_eq!(topic.config().await.unwrap(), StreamConfig::default());
    let mut late = topic.subscribe().await.unwrap();
    topic.publish(Class::Important, json!({"n": 2})).await.unwrap();
    assert!(matches!(late.next().await, Some(StreamEvent::Message(_))));
    drop((late, topic));
    close(node).await;
    let report = checked(&dir).await;
    assert!(report.problems.is_empty(), "{report:?}");
}

#[tokio::test]
async fn a_deleted_worker_gives_back_what_it_held_and_is_forgotten() {
    let node = Lanekeeper::builder().clock(Clock::manual()).open().await.unwrap();
    let worker = node.worker("w");
    let refused = worker.delete().await;
    assert!(matches!(refused, Err(LivenessError::NotFound)), "{refused:?}");
    worker.heartbeat().meta(json!({"v": 1})).await.unwrap();
    // One that is merged in memory, and not written yet.
    worker.heartbeat().await.unwrap();
    let queue = node.queue("q");
    queue.push(json!({})).await.unwrap();
    let lease = queue.lease(1).worker("w").await.unwrap().remove(0);
    worker.delete().await.unwrap();
    node.advance(Duration::from_secs(120)).await.unwrap();
    assert_eq!(queue.stats().await.unwrap().ready, 1);
    assert!(lease.ack().await.is_err());
    assert!(matches!(worker.status().await, Err(LivenessError::NotFound)));
    assert!(node.workers().await.unwrap().workers.is_empty());
    worker.heartbeat().await.unwrap();
    assert!(worker.status().await.unwrap().meta.is_none(), "it is a new one");
}

#[tokio::test]
async fn a_deleted_worker_is_forgotten_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(&dir).await;
    for id in ["deleted", "kept"] {
        node.worker(id).heartbeat().meta(json!({"v": 1})).await.unwrap();
    }
    node.worker("deleted").delete().await.unwrap();
    close(node).await;
    let node = open(&dir).await;
    let found = node.worker("deleted").status().await;
    assert!(matches!(found, Err(LivenessError::NotFound)), "{found:?}");
    assert!(node.worker("kept").status().await.unwrap().meta.is_some());
    close(node).await;
    let report = checked(&dir).await;
    assert!(report.problems.is_empty(), "{report:?}");
}

#[test]
fn what_is_deleted_over_http_says_whether_it_was_there() {
    let server = TestServer::start();
    let delete = |path: &str| server.send("DELETE", path, b"");
    server.post("/queue/q/push", r#"{"item":{}}"#).ok();
    let detail = delete("/queue/q").detail(409, "not_empty");
    assert_eq!(
        detail,
        "the queue holds 1 messages, 0 of them leased: purge it first, or force its deletion"
    );
    server.post("/queue/q/lease", "{}").ok();
    delete("/queue/q?force=false").refused(409, "not_empty");
    delete("/queue/q?force=yes").refused(400, "invalid_request");
    assert_eq!(delete("/queue/q?force=true").ok(), json!({"deleted": true}));
    assert_eq!(delete("/queue/q").ok(), json!({"deleted": false}));
    assert_eq!(server.get("/queues").ok()["queues"], json!([]));
    server.post("/gate/g/acquire", r#"{"owner":"a"}"#).ok();
    delete("/gate/g").refused(409, "not_empty");
    assert_eq!(delete("/gate/g?force=true").ok(), json!({"deleted": true}));
    server.put("/stream/t/config", r#"{"retain":1}"#).ok();
    assert_eq!(delete("/stream/t").ok(), json!({"deleted": true}));
    delete("/worker/w").refused(404, "worker_not_found");
    server.post("/worker/w/heartbeat", "").ok();
    assert_eq!(delete("/worker/w").ok(), json!({"deleted": true}));
    let workers: Value = server.get("/workers").ok();
    assert_eq!(workers["workers"], json!([]));
}
