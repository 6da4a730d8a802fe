//! Sinks whose receivers are down: left alone, tried with one message, and no delivery burnt.

use std::time::{Duration, Instant};

use lanekeeper::webhook::Sinks;
use serde_json::json;

use crate::{
    support::{
        http::TestServer,
        receiver::{Post, Receiver},
    },
    webhook::delivery::{advance, push, start_manual, wait},
};

fn put(server: &TestServer, url: &str, concurrency: u32) {
    let body = json!({"url": url, "max_concurrency": concurrency}).to_string();
    server.put("/queue/q/sink", body).ok();
}

/// Waits until so many pauses were made: from then on the clock counts for the last one.
#[track_caller]
fn paused(sinks: &Sinks, count: u64) {
    let began = Instant::now();
    while sinks.figures().stats().pauses_total < count {
        assert!(began.elapsed() < Duration::from_secs(60), "{sinks:?}");
        std::thread::yield_now();
    }
}

fn is_held_back(server: &TestServer) -> bool {
    server.get("/metrics").body.contains("lanekeeper_sink_held_back 1\n")
}

#[test]
fn a_receiver_that_fails_is_left_alone_and_then_tried_with_one_message() {
    let (server, sinks, clock) = start_manual();
    let receiver = Receiver::start();
    for _ in 0..10 {
        push(&server, "q", "{}");
    }
    put(&server, &receiver.url(), 3);
    let mut under_way: Vec<Post> = (0..3).map(|_| receiver.next()).collect();
    for _ in 0..2 {
        under_way.remove(0).answer(503);
        under_way.push(receiver.next());
    }
    under_way.remove(0).answer(503);
    wait(&server, "q", |stats| stats.scheduled == 3);
    under_way.into_iter().for_each(|post| post.answer(503));
    wait(&server, "q", |stats| (stats.scheduled, stats.leased, stats.ready) == (5, 0, 5));
    assert!(!receiver.has_more());
    paused(&sinks, 1);
    assert!(is_held_back(&server));
    for (count, pause) in [(1, 1), (2, 2), (3, 4)] {
        paused(&sinks, count);
        advance(&server, &clock, Duration::from_millis(pause * 500 - 1));
        assert!(!receiver.has_more(), "half of the pause is certain");
        advance(&server, &clock, Duration::from_millis(pause * 500 + 1));
        let probe = receiver.next();
        wait(&server, "q", |stats| stats.leased == 1);
        assert!(!receiver.has_more(), "one at a time");
        let status = if pause == 4 { 200 } else { 503 };
        probe.answer(status);
        wait(&server, "q", |stats| stats.leased == 0 || pause == 4);
    }
    let under_way: Vec<Post> = (0..3).map(|_| receiver.next()).collect();
    assert!(!is_held_back(&server));
    under_way.into_iter().for_each(|post| post.answer(200));
}

#[test]
fn a_receiver_that_cannot_be_reached_costs_no_delivery() {
    let (server, sinks, clock) = start_manual();
    // Nobody listens there once this is dropped.
    let addr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    server.put("/queue/q/config", r#"{"max_deliveries":1}"#).ok();
    let id = push(&server, "q", "{}");
    put(&server, &format!("http://{addr}/"), 1);
    for nacked in 1..=6 {
        wait(&server, "q", |stats| (stats.totals.nacked, stats.scheduled) == (nacked, 1));
        let (message, _) = server.runtime.block_on(server.node.queue("q").message(id)).unwrap();
        assert_eq!(message.deliveries, 0);
        paused(&sinks, nacked.saturating_sub(2));
        if nacked < 6 {
            advance(&server, &clock, Duration::from_secs(30));
        }
    }
    assert!(is_held_back(&server));
    let receiver = Receiver::at(addr);
    advance(&server, &clock, Duration::from_secs(30));
    let post = receiver.next();
    assert_eq!(post.header("lanekeeper-deliveries"), "1");
    post.answer(200);
    wait(&server, "q", |stats| (stats.totals.acked, stats.totals.dead_lettered) == (1, 0));
}

#[test]
fn a_receiver_that_refuses_messages_is_not_down() {
    let (server, _sinks, _clock) = start_manual();
    let receiver = Receiver::start();
    for _ in 0..6 {
        push(&server, "q", "{}");
    }
    put(&server, &receiver.url(), 1);
    for _ in 0..5 {
        receiver.next().answer(400);
    }
    receiver.next().answer(200);
    wait(&server, "q", |stats| (stats.totals.acked, stats.scheduled) == (1, 5));
    assert!(!is_held_back(&server));
}

#[test]
fn another_address_is_tried_at_once() {
    let (server, _sinks, _clock) = start_manual();
    let (receiver, other) = (Receiver::start(), Receiver::start());
    for _ in 0..4 {
        push(&server, "q", "{}");
    }
    put(&server, &receiver.url(), 1);
    for _ in 0..3 {
        receiver.next().answer(500);
    }
    wait(&server, "q", |stats| (stats.scheduled, stats.leased, stats.ready) == (3, 0, 1));
    put(&server, &other.url(), 1);
    other.next().answer(200);
    wait(&server, "q", |stats| stats.totals.acked == 1);
    assert!(!is_held_back(&server));
}
