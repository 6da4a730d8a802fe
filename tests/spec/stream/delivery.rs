//! Streams: everyone who is subscribed gets what is published, in the order of the classes, and is
//! told of every message it does not get.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, poll};
use lanekeeper_actors::{
    Clock, Node, OpenError,
    stream::{
        Class, End, Gap, Published, StreamConfig, StreamError, StreamEvent, StreamLimits,
        Subscriber, SubscriberId, Topic,
    },
};
use serde_json::json;

/// What waits for a subscriber, in short: numbers of messages, and gaps.
pub(crate) fn waiting(subscriber: &mut Subscriber) -> Vec<String> {
    std::iter::from_fn(|| subscriber.try_next()).map(|event| short(&event)).collect()
}

fn short(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Message(message) => {
            let data: serde_json::Value = message.data.parse().unwrap();
            format!("{}", data["n"])
        }
        StreamEvent::Gap(Gap { class, count }) => format!("{class}:{count}"),
        StreamEvent::Notice(notice) => format!("{notice:?}"),
    }
}

pub(crate) async fn publish(topic: &Topic, class: Class, n: u64) -> Published {
    topic.publish(class, json!({ "n": n })).await.unwrap()
}

#[tokio::test]
async fn what_is_published_reaches_everyone_who_is_subscribed() {
    let node = Node::in_memory();
    let topic = node.stream("prices");
    assert_eq!(publish(&topic, Class::Bulk, 0).await.subscribers, 0);
    let mut first = topic.subscribe().await.unwrap();
    let mut second = topic.subscribe().await.unwrap();
    let done = publish(&topic, Class::Important, 1).await;
    let expected = Published { seq: 2, subscribers: 2, queued: 2, evicted: 0, refused: 0 };
    assert_eq!(done, expected);
    let Some(StreamEvent::Message(message)) = first.next().await else { panic!("a message") };
    assert_eq!((message.seq, message.data.as_str()), (2, "{\"n\":1}"));
    let Some(StreamEvent::Message(same)) = StreamExt::next(&mut second).await else {
        panic!("a message")
    };
    assert!(Arc::ptr_eq(&message, &same), "the payload is shared, not copied");
    assert!(poll!(Box::pin(first.next())).is_pending());
}

#[tokio::test]
async fn classes_overtake_each_other_and_keep_their_order() {
    let node = Node::in_memory();
    let topic = node.stream("t");
    let mut subscriber = topic.subscribe().await.unwrap();
    for (n, class) in (0..).zip(Class::ALL.into_iter().rev().cycle().take(8)) {
        publish(&topic, class, n).await;
    }
    assert_eq!(waiting(&mut subscriber), ["3", "7", "2", "6", "1", "5", "0", "4"]);
}

#[tokio::test]
async fn a_subscriber_that_reads_nothing_harms_nobody_and_is_told_what_it_missed() {
    let node = Node::in_memory();
    let topic = node.stream("t");
    let mut healthy = Vec::new();
    for _ in 0..20 {
        healthy.push(topic.subscribe().await.unwrap());
    }
    let mut stalled = topic.subscribe().queue_max(10).await.unwrap();
    for n in 0..1_000 {
        let class = if n % 2 == 0 { Class::Important } else { Class::Bulk };
        let done = publish(&topic, class, n).await;
        assert_eq!((done.subscribers, done.queued + done.refused), (21, 21));
        for subscriber in &mut healthy {
            assert_eq!(waiting(subscriber), [n.to_string()]);
        }
    }
    let stats = topic.stats().await.unwrap();
    let worst = stats.subscribers.iter().find(|subscriber| subscriber.id == stalled.id()).unwrap();
    assert_eq!((worst.waiting.total(), worst.queue_max, worst.fill()), (10, 10, 1.0));
    let important: Vec<String> =
        (0..10).map(|place| (1_000 - 20 + 2 * place).to_string()).collect();
    let mut expected = vec!["important:490".to_owned()];
    expected.extend(important);
    expected.push("bulk:500".to_owned());
    assert_eq!(waiting(&mut stalled), expected);
}

#[tokio::test]
async fn a_message_can_go_to_one_subscriber_alone() {
    let node = Node::in_memory();
    let topic = node.stream("t");
    let mut first = topic.subscribe().await.unwrap();
    let mut second = topic.subscribe().await.unwrap();
    let publish = |id| topic.publish(Class::Control, json!({ "n": 1 })).to(id);
    assert_eq!(publish(second.id()).await.unwrap().subscribers, 1);
    assert_eq!(waiting(&mut first), [""; 0]);
    assert_eq!(waiting(&mut second), ["1"]);
    let gone = second.id();
    topic.unsubscribe(second).await.unwrap();
    for id in [gone, SubscriberId(999)] {
        let refused = publish(id).await;
        assert!(matches!(refused, Err(StreamError::SubscriberNotFound(other)) if other == id));
    }
    assert_eq!(topic.stats().await.unwrap().seq_last, 1, "a refusal takes no number");
}

#[tokio::test]
async fn whoever_leaves_is_forgotten() {
    let node = Node::in_memory();
    let topic = node.stream("t");
    for _ in 0..10_000 {
        let subscriber = topic.subscribe().await.unwrap();
        publish(&topic, Class::Bulk, 1).await;
        drop(subscriber);
    }
    let stats = topic.stats().await.unwrap();
    assert_eq!((stats.subscriber_count, stats.subscribers.len()), (0, 0));
    assert_eq!((stats.counts.abandoned, stats.published.total()), (10_000, 10_000));
    let totals = node.stream_totals();
    assert_eq!((totals.subscriber_count, totals.subscribed), (0, 10_000));
    assert_eq!(totals.ended[End::Finished as usize], (End::Finished, 10_000));
    assert!(topic.passivate().await, "nobody keeps it in memory");
}

#[tokio::test]
async fn a_late_subscriber_first_gets_what_was_retained() {
    let node = Node::in_memory();
    let topic = node.stream("t");
    let config = StreamConfig { retain: 3, ..StreamConfig::default() };
    assert_eq!(topic.configure(config).await.unwrap(), config);
    for n in 0..5 {
        publish(&topic, Class::Bulk, n).await;
    }
    let mut late = topic.subscribe().await.unwrap();
    let mut small = topic.subscribe().queue_max(2).await.unwrap();
    publish(&topic, Class::Bulk, 5).await;
    assert_eq!(waiting(&mut late), ["2", "3", "4", "5"]);
    assert_eq!(waiting(&mut small), ["3", "4", "bulk:1"], "no more than it has room for");
    drop((late, small));
    assert!(!topic.passivate().await, "what is kept in memory alone keeps the stream there");
    topic.configure(StreamConfig { retain: 1, ..config }).await.unwrap();
    assert_eq!(topic.stats().await.unwrap().retained_count, 1);
}

#[tokio::test]
async fn what_is_retained_survives_a_restart_where_asked() {
    let dir = tempfile::tempdir().unwrap();
    let config = StreamConfig { retain: 2, persist: true, ..StreamConfig::default() };
    {
        let node = Node::open(dir.path()).await.unwrap();
        let topic = node.stream("t");
        topic.configure(StreamConfig { persist: false, ..config }).await.unwrap();
        publish(&topic, Class::Control, 7).await;
        topic.configure(config).await.unwrap();
        for n in 8..10 {
            publish(&topic, Class::Control, n).await;
        }
        node.shutdown(Duration::from_secs(10)).await.unwrap();
    }
    let report = loop {
        match lanekeeper_actors::check(dir.path()) {
            Err(OpenError::Locked(_)) => std::thread::yield_now(),
            report => break report.unwrap(),
        }
    };
    assert!(report.is_sound(), "{report}");
    let node = Node::open(dir.path()).await.unwrap();
    let topic = node.stream("t");
    assert_eq!(topic.config().await.unwrap(), config);
    let mut late = topic.subscribe().await.unwrap();
    assert_eq!(publish(&topic, Class::Bulk, 10).await.seq, 4, "numbers go on");
    assert_eq!(waiting(&mut late), ["8", "9", "10"]);
    topic.configure(StreamConfig::default()).await.unwrap();
    drop(late);
    assert!(topic.passivate().await);
    let mut latest = topic.subscribe().await.unwrap();
    assert_eq!(waiting(&mut latest), [""; 0]);
}

#[tokio::test]
async fn bounds_are_refused_by_name() {
    let limits = StreamLimits { subscribers_max: 2, data_bytes_max: 16, ..StreamLimits::default() };
    let node = Node::builder().stream_limits(limits).open().await.unwrap();
    let topic = node.stream("t");
    let refused = topic.subscribe().queue_max(0).await.unwrap_err();
    assert_eq!(refused.to_string(), "queue_max must be from 1 to 100000, not 0");
    assert!(topic.subscribe().queue_max(100_001).await.is_err());
    let _both = (topic.subscribe().await.unwrap(), topic.subscribe().await.unwrap());
    let refused = topic.subscribe().await.unwrap_err();
    assert!(matches!(refused, StreamError::TooManySubscribers { subscribers_max: 2 }));
    let refused = topic.publish(Class::Bulk, "[1]").await.unwrap_err();
    assert_eq!(refused.to_string(), "data must be one JSON object, not an array");
    let refused = topic.publish(Class::Bulk, json!({ "long": "xxxxxx" })).await.unwrap_err();
    assert_eq!(refused.to_string(), "data has 17 bytes; at most 16 are allowed");
    let config = StreamConfig { retain: 1_001, ..StreamConfig::default() };
    assert!(matches!(topic.configure(config).await, Err(StreamError::InvalidConfig { .. })));
    let config = StreamConfig { persist: true, ..StreamConfig::default() };
    assert!(matches!(topic.configure(config).await, Err(StreamError::InvalidConfig { .. })));
    assert!(matches!(node.stream("a/b").stats().await, Err(StreamError::InvalidId(_))));
    assert_eq!(topic.stats().await.unwrap().published.total(), 0);
}

#[tokio::test]
async fn shutting_down_gives_what_waits_and_ends_the_stream() {
    let node = Node::builder().clock(Clock::manual()).open().await.unwrap();
    let topic = node.stream("t");
    let mut subscriber = topic.subscribe().await.unwrap();
    publish(&topic, Class::Bulk, 1).await;
    node.shutdown(Duration::from_secs(1)).await.unwrap();
    assert!(subscriber.next().await.is_some());
    assert_eq!((subscriber.next().await, subscriber.end()), (None, Some(End::ShuttingDown)));
}

#[tokio::test]
async fn whoever_finishes_gets_what_waits_and_nothing_more() {
    let node = Node::in_memory();
    let topic = node.stream("t");
    let mut subscriber = topic.subscribe().await.unwrap();
    publish(&topic, Class::Bulk, 1).await;
    subscriber.finish();
    assert_eq!(publish(&topic, Class::Bulk, 2).await.subscribers, 0);
    assert_eq!(waiting(&mut subscriber), ["1"]);
    assert_eq!((subscriber.next().await, subscriber.end()), (None, Some(End::Finished)));
}

/// Reads to the end; answers how many messages came, and how many were missing.
async fn read(mut subscriber: Subscriber) -> (u64, u64) {
    let mut last = [0; 4];
    let (mut delivered, mut missing) = (0, 0);
    while let Some(event) = subscriber.next().await {
        match event {
            StreamEvent::Message(message) => {
                let last = &mut last[message.class as usize];
                assert!(*last < message.seq, "in order inside a class");
                *last = message.seq;
                delivered += 1;
            }
            StreamEvent::Gap(gap) => missing += gap.count,
            StreamEvent::Notice(notice) => panic!("{notice:?}"),
        }
    }
    (delivered, missing)
}

fn add(sum: Published, done: Published) -> Published {
    assert_eq!(done.subscribers, done.queued + done.refused);
    Published {
        queued: sum.queued + done.queued,
        evicted: sum.evicted + done.evicted,
        refused: sum.refused + done.refused,
        subscribers: sum.subscribers + done.subscribers,
        ..sum
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_published_is_delivered_evicted_refused_or_waiting() {
    const MESSAGES: u64 = 2_000;
    let node = Node::in_memory();
    let topic = node.stream("t");
    let mut readers = Vec::new();
    for place in 0..8_usize {
        let subscriber = topic.subscribe().queue_max(1 << place).await.unwrap();
        readers.push(tokio::spawn(read(subscriber)));
    }
    let publisher = |class| {
        let topic = topic.clone();
        tokio::spawn(async move {
            let mut sum = Published::default();
            for n in 0..MESSAGES {
                sum = add(sum, publish(&topic, class, n).await);
            }
            sum
        })
    };
    let publishers: Vec<_> = Class::ALL[1..].iter().copied().map(publisher).collect();
    let mut sum = Published::default();
    for publisher in publishers {
        sum = add(sum, publisher.await.unwrap());
    }
    node.shutdown(Duration::from_secs(10)).await.unwrap();
    let (mut delivered, mut missing) = (0, 0);
    for reader in readers {
        let read = reader.await.unwrap();
        delivered += read.0;
        missing += read.1;
    }
    assert_eq!(sum.subscribers, 3 * MESSAGES * 8);
    assert_eq!(delivered, sum.queued - sum.evicted, "nothing waits any more");
    assert_eq!(missing, sum.evicted + sum.refused, "and nothing is silent");
    let totals = node.stream_totals();
    assert_eq!((totals.delivered, totals.subscriber_count), (delivered, 0));
}
