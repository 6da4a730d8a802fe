//! What was used once and never again is forgotten, where a node is told to.

use std::time::Duration;

use lanekeeper::{
    Clock, Lanekeeper,
    gate::GatePolicy,
    json,
    queue::{NewMessage, QueueConfig, Sink},
    server::ServerOptions,
};

use crate::support::http::{TestServer, options};

const MINUTE: Duration = Duration::from_secs(60);

async fn node() -> Lanekeeper {
    let builder = Lanekeeper::builder().clock(Clock::manual());
    builder.forget_idle_after(10 * MINUTE).idle_timeout(MINUTE).open().await.unwrap()
}

async fn queues(node: &Lanekeeper) -> Vec<String> {
    node.queues().limit(1_000).await.unwrap().ids
}

/// Pushes and pops a message.
async fn use_once(node: &Lanekeeper, id: &str) {
    node.queue(id).push(json!({})).await.unwrap();
    assert_eq!(node.queue(id).pop(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_empty_without_settings_and_unused_for_long_is_forgotten() {
    let node = node().await;
    for n in 0..450 {
        use_once(&node, &format!("once.{n}")).await;
    }
    node.gate("g").acquire("a").await.unwrap().release().await.unwrap();
    node.worker("w").heartbeat().await.unwrap();
    node.worker("w").deregister().await.unwrap();
    node.advance(9 * MINUTE).await.unwrap();
    assert_eq!(queues(&node).await.len(), 450);
    assert_eq!(node.gates().await.unwrap().gates.len(), 1);
    node.advance(6 * MINUTE).await.unwrap();
    assert!(queues(&node).await.is_empty());
    assert!(node.gates().await.unwrap().gates.is_empty());
    assert!(node.workers().await.unwrap().workers.is_empty());
    // What remembers how far they had counted is the one actor that may be left.
    assert!(node.status().activations <= 1, "{:?}", node.status());
}

#[tokio::test]
async fn what_holds_something_or_was_told_something_stays() {
    let node = node().await;
    node.queue("full").push(json!({})).await.unwrap();
    node.queue("late").push(json!({})).delay(24 * 60 * MINUTE).await.unwrap();
    let keyed = NewMessage::new(json!({})).unwrap().key("k");
    let window = QueueConfig { dedup_window: Some(60 * MINUTE), ..QueueConfig::default() };
    node.queue("keys").configure(window).await.unwrap();
    node.queue("keys").push_message(keyed).await.unwrap();
    node.queue("keys").pop(1).await.unwrap();
    use_once(&node, "sink").await;
    node.queue("sink").set_sink(Sink::new("http://127.0.0.1:9/")).await.unwrap();
    use_once(&node, "told").await;
    let told = QueueConfig { capacity: Some(5), ..QueueConfig::default() };
    node.queue("told").configure(told).await.unwrap();
    use_once(&node, "once").await;
    node.gate("told").set_policy(GatePolicy::concurrent(3)).await.unwrap();
    let held = node.gate("held").acquire("a").await.unwrap();
    node.advance(30 * MINUTE).await.unwrap();
    assert_eq!(queues(&node).await, ["full", "keys", "late", "sink", "told"]);
    assert_eq!(node.gate("told").policy().await.unwrap().policy.max_concurrent, Some(3));
    assert_eq!(node.gate("held").stats().await.unwrap().active_count, 1);
    drop(held);
}

#[tokio::test]
async fn what_is_used_now_and_then_stays_and_what_is_used_again_is_another() {
    let node = node().await;
    let mut ids = Vec::new();
    use_once(&node, "once").await;
    for _ in 0..8 {
        ids.push(node.queue("often").push(json!({})).await.unwrap());
        node.queue("often").pop(1).await.unwrap();
        node.advance(4 * MINUTE).await.unwrap();
    }
    assert_eq!(queues(&node).await, ["often"]);
    assert_eq!(node.queue("often").stats().await.unwrap().totals.pushed, 8);
    node.advance(30 * MINUTE).await.unwrap();
    assert!(queues(&node).await.is_empty());
    let id = node.queue("often").push(json!({})).await.unwrap();
    assert!(!ids.contains(&id), "{id} was met before");
    assert_eq!(node.queue("often").stats().await.unwrap().totals.pushed, 1);
}

#[tokio::test]
async fn whoever_waits_at_an_idle_queue_gets_what_comes_next() {
    let node = node().await;
    use_once(&node, "q").await;
    let waiting = tokio::spawn(node.queue("q").pop(1).wait(MINUTE).into_future());
    let pushing = async {
        node.advance(Duration::from_secs(30)).await.unwrap();
        node.queue("q").push(json!({"n": 1})).await.unwrap();
    };
    pushing.await;
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_is_forgotten_where_nobody_asked_for_it() {
    let node = Lanekeeper::builder().clock(Clock::manual()).open().await.unwrap();
    use_once(&node, "q").await;
    node.advance(24 * 60 * MINUTE).await.unwrap();
    assert_eq!(queues(&node).await, ["q"]);
}

#[test]
fn a_push_at_the_moment_of_forgetting_is_never_lost() {
    let clock = Clock::manual();
    let server = TestServer::with(ServerOptions { ..options() }, |builder| {
        builder.clock(clock.clone()).forget_idle_after(MINUTE)
    });
    let node = &server.node;
    server.runtime.block_on(async {
        for round in 0..20 {
            use_once(node, "q").await;
            let pushing = async {
                for _ in 0..round {
                    tokio::task::yield_now().await;
                }
                node.queue("q").push(json!({"round": round})).await.unwrap()
            };
            let (id, moved) = tokio::join!(pushing, node.advance(2 * MINUTE));
            moved.unwrap();
            let popped = node.queue("q").pop(10).await.unwrap();
            assert_eq!(popped.iter().map(|message| message.id).collect::<Vec<_>>(), [id]);
        }
    });
}
