//! Coming back to a stream: after the last event that one has, or with a word that nobody knows.

use std::{path::Path, time::Duration};

use lanekeeper::{
    Lanekeeper, OpenError,
    stream::{Class, EventId, StreamConfig, Topic},
};
use lanekeeper_actors::Clock;

use crate::{
    http::stream::{publish as post, resumed},
    stream::delivery::{publish, waiting},
    support::http::{TestServer, options},
};

const TIMEOUT: Duration = Duration::from_secs(10);
const ANEW: &str = "Missed { count: None }";

async fn open(dir: &Path) -> (Lanekeeper, Topic) {
    // What runs in the background of the node before lets go of the directory when it has ended.
    let node = loop {
        match Lanekeeper::open(dir).await {
            Err(OpenError::Locked(_)) => tokio::task::yield_now().await,
            opened => break opened.unwrap(),
        }
    };
    let topic = node.stream("t");
    (node, topic)
}

/// Puts everything away: whoever has it open keeps the directory locked.
async fn close(node: Lanekeeper, topic: Topic) {
    node.shutdown(TIMEOUT).await.unwrap();
    drop((node, topic));
}

async fn since(topic: &Topic, last: EventId) -> Vec<String> {
    waiting(&mut topic.subscribe().after(last).await.unwrap())
}

/// Publishes numbers from `first` on to a subscriber that leaves after them; answers where it was.
async fn follow(topic: &Topic, numbers: std::ops::RangeInclusive<u64>) -> EventId {
    let mut subscriber = topic.subscribe().await.unwrap();
    for n in numbers {
        publish(topic, Class::Important, n).await;
    }
    waiting(&mut subscriber);
    subscriber.position().unwrap()
}

#[test]
fn a_client_of_a_stream_that_was_put_away_is_told_that_it_counts_anew() {
    let clock = Clock::manual();
    let own = clock.clone();
    let server = TestServer::with(options(), move |builder| {
        builder.clock(own).idle_timeout(Duration::from_secs(60)).without_duties()
    });
    let topic = server.node.stream("t");
    let id = server.runtime.block_on(follow(&topic, 1..=3));
    assert_eq!(id.seq, 3);
    clock.advance(Duration::from_secs(3_600));
    server.runtime.block_on(server.node.run_duties()).unwrap();
    assert_eq!(server.node.status().activations, 0, "it was put away");
    (1..=3).for_each(|n| drop(post(&server, "important", n)));
    // It has counted up to what the client has, and further on.
    for last in [id.to_string(), format!("{:x}-2", id.epoch), "3".to_owned(), "0-1".to_owned()] {
        let told = resumed(&server, &last, "gap");
        assert!(told.contains("data: {\"gap\":{\"count\":null}}"), "{last}: {told}");
    }
    let now = server.runtime.block_on(follow(&topic, 4..=4));
    assert_ne!(now.epoch, id.epoch);
    let told = resumed(&server, &format!("{:x}-2", now.epoch), "gap");
    assert!(told.contains("data: {\"gap\":{\"count\":2}}"), "its own count goes on: {told}");
}

#[tokio::test]
async fn a_count_that_is_kept_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (node, topic) = open(dir.path()).await;
    let config = StreamConfig { retain: 5, persist: true, ..StreamConfig::default() };
    topic.configure(config).await.unwrap();
    let third = follow(&topic, 1..=3).await;
    let mut alone = topic.subscribe().await.unwrap();
    topic.publish(Class::Control, serde_json::json!({"n": 0})).to(alone.id()).await.unwrap();
    waiting(&mut alone);
    // Its number is not kept, and will be another message's.
    let fourth = alone.position().unwrap();
    assert_eq!((fourth.seq, fourth.epoch), (4, third.epoch));
    drop(alone);
    close(node, topic).await;

    let (node, topic) = open(dir.path()).await;
    let fifth = follow(&topic, 4..=5).await;
    assert_eq!((fifth.seq, since(&topic, third).await), (5, vec!["4".into(), "5".into()]));
    assert_eq!(since(&topic, fourth).await, [ANEW, "1", "2", "3", "4", "5"]);
    close(node, topic).await;

    let (node, topic) = open(dir.path()).await;
    let mut subscriber = topic.subscribe().await.unwrap();
    waiting(&mut subscriber);
    assert_eq!(subscriber.position(), Some(fifth), "an id stays that of its message");
    assert_eq!(since(&topic, fifth).await, [""; 0]);
    assert_eq!(since(&topic, third).await, ["4", "5"]);
    close(node, topic).await;
}

#[tokio::test]
async fn a_count_that_was_kept_and_is_not_any_more_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let (node, topic) = open(dir.path()).await;
    let kept = StreamConfig { retain: 5, persist: true, ..StreamConfig::default() };
    topic.configure(kept).await.unwrap();
    let second = follow(&topic, 1..=2).await;
    topic.configure(StreamConfig { persist: false, ..kept }).await.unwrap();
    close(node, topic).await;

    let (node, topic) = open(dir.path()).await;
    follow(&topic, 7..=9).await;
    topic.configure(kept).await.unwrap();
    assert_eq!(since(&topic, second).await, [ANEW, "7", "8", "9"]);
    close(node, topic).await;
    let (node, topic) = open(dir.path()).await;
    assert_eq!(since(&topic, second).await, [ANEW, "7", "8", "9"]);
    close(node, topic).await;
}
