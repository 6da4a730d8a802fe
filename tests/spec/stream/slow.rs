//! Slow subscribers: told, throttled or cut, as the stream says, and nobody else is.

use std::time::Duration;

use lanekeeper_actors::{
    Clock, Node,
    stream::{
        Class, End, Notice, OnSlow, StreamConfig, StreamEvent, Subscriber, SubscriberStatus, Topic,
    },
};

use crate::stream::delivery::{publish, waiting};

const SLOW: Duration = Duration::from_millis(501);

async fn stream(on_slow: OnSlow) -> (Node, Topic, Clock) {
    let clock = Clock::manual();
    let node = Node::builder().clock(clock.clone()).open().await.unwrap();
    let topic = node.stream("t");
    topic.configure(StreamConfig { on_slow, ..StreamConfig::default() }).await.unwrap();
    (node, topic, clock)
}

/// Takes so many messages, and takes its time over each.
async fn take(
    topic: &Topic,
    subscriber: &mut Subscriber,
    (count, time): (usize, Duration),
    clock: &Clock,
) {
    for _ in 0..count {
        publish(topic, Class::Important, 0).await;
        assert!(matches!(subscriber.try_next(), Some(StreamEvent::Message(_))));
        clock.advance(time);
    }
}

async fn status(topic: &Topic, subscriber: &Subscriber) -> SubscriberStatus {
    let stats = topic.stats().await.unwrap();
    let found = stats.subscribers.iter().find(|other| other.id == subscriber.id());
    found.unwrap().status
}

#[tokio::test]
async fn a_slow_one_is_told_and_recovers() {
    let (node, topic, clock) = stream(OnSlow::Warn).await;
    let mut slow = topic.subscribe().await.unwrap();
    let healthy = topic.subscribe().await.unwrap();
    take(&topic, &mut slow, (6, SLOW), &clock).await;
    let told = StreamEvent::Notice(Notice::SlowConsumer { slow_events: 6 });
    assert_eq!(slow.try_next(), Some(told));
    assert_eq!(status(&topic, &slow).await, SubscriberStatus::Slow);
    assert_eq!(status(&topic, &healthy).await, SubscriberStatus::Healthy);
    assert_eq!(topic.stats().await.unwrap().slow_count, 1);
    take(&topic, &mut slow, (5, Duration::ZERO), &clock).await;
    assert_eq!(slow.try_next(), Some(StreamEvent::Notice(Notice::Recovered)));
    assert_eq!(status(&topic, &slow).await, SubscriberStatus::Healthy);
    let stats = topic.stats().await.unwrap();
    let own = &stats.subscribers[0];
    assert_eq!((own.counts.slow_events, own.counts.sent.total()), (6, 11));
    assert!(own.send_p99 >= SLOW && own.send_mean < SLOW, "{own:?}");
    assert_eq!(slow.try_next(), None, "whoever waits has been told of what was given");
    let totals = node.stream_totals();
    assert_eq!((totals.slowed, totals.slow_events, totals.send_time), (1, 6, 6 * SLOW));
    assert_eq!((totals.delivered, totals.delivered_bytes), (11, 77));
}

#[tokio::test]
async fn a_slow_one_is_cut_where_the_stream_says_so() {
    let (node, topic, clock) = stream(OnSlow::Disconnect).await;
    let mut slow = topic.subscribe().await.unwrap();
    let mut healthy = topic.subscribe().await.unwrap();
    take(&topic, &mut slow, (6, SLOW), &clock).await;
    publish(&topic, Class::Critical, 1).await;
    assert_eq!((slow.next().await, slow.end()), (None, Some(End::SlowConsumer)));
    assert_eq!(publish(&topic, Class::Critical, 2).await.subscribers, 1);
    assert_eq!(waiting(&mut healthy)[..2], ["1", "2"]);
    drop(slow);
    assert_eq!(node.stream_totals().ended[End::SlowConsumer as usize].1, 1);
}

#[tokio::test]
async fn a_slow_one_gets_a_sample_of_bulk_where_the_stream_says_so() {
    let (_node, topic, clock) = stream(OnSlow::Throttle).await;
    let mut slow = topic.subscribe().await.unwrap();
    take(&topic, &mut slow, (6, SLOW), &clock).await;
    assert!(matches!(slow.try_next(), Some(StreamEvent::Notice(_))));
    let mut queued = 0;
    for n in 0..100 {
        queued += publish(&topic, Class::Bulk, n).await.queued;
    }
    assert_eq!(queued, 10);
    let seen = waiting(&mut slow);
    assert_eq!(seen[..4], ["bulk:9", "9", "bulk:9", "19"]);
}

#[tokio::test]
async fn whoever_lets_control_messages_pile_up_is_cut() {
    let node = Node::in_memory();
    let topic = node.stream("t");
    let mut stalled = topic.subscribe().queue_max(1).await.unwrap();
    for n in 0..100 {
        assert_eq!(publish(&topic, Class::Control, n).await.queued, 1);
    }
    let done = publish(&topic, Class::Control, 100).await;
    assert_eq!((done.queued, done.refused), (0, 1));
    assert_eq!((stalled.next().await, stalled.end()), (None, Some(End::ControlOverflow)));
    assert_eq!(publish(&topic, Class::Control, 101).await.subscribers, 0);
}

#[tokio::test]
async fn bulk_is_shed_before_the_queue_is_full() {
    let node = Node::in_memory();
    let topic = node.stream("t");
    let mut subscriber = topic.subscribe().queue_max(100).await.unwrap();
    let mut refused = 0;
    for n in 0..100 {
        refused += publish(&topic, Class::Bulk, n).await.refused;
    }
    assert_eq!(refused, 10);
    let own = &topic.stats().await.unwrap().subscribers[0];
    assert_eq!((own.status, own.fill()), (SubscriberStatus::Backpressure, 0.9));
    assert_eq!(own.counts.backpressure_events, 1);
    assert_eq!(node.stream_totals().backpressure_events, 1);
    let seen = waiting(&mut subscriber);
    assert_eq!((seen.len(), seen.last().unwrap().as_str()), (91, "bulk:10"));
}
