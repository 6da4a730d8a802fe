//! Sinks that are refused: addresses that are not allowed, fields out of bounds.

use std::time::{Duration, Instant};

use lanekeeper::{
    Clock,
    queue::{QueueError, Sink},
    server::ServerOptions,
    sink::{SinkOptions, Sinks},
};
use serde_json::json;

use crate::{
    support::{
        http::{TestServer, options},
        receiver::Receiver,
    },
    webhook::delivery::{deliver, local, push, wait},
};

#[test]
fn addresses_that_only_the_server_reaches_are_refused_unless_allowed() {
    let server = TestServer::start();
    for (host, kind) in [
        ("127.0.0.1:8000", "127.0.0.1 is loopback"),
        ("localhost", " is loopback"),
        ("2130706433", "127.0.0.1 is loopback"),
        ("0x7f.1", "127.0.0.1 is loopback"),
        ("[::1]:80", "::1 is loopback"),
        ("[::ffff:127.0.0.1]", "127.0.0.1 is loopback"),
        ("0.0.0.0", "0.0.0.0 is unspecified"),
        ("10.0.0.1", "10.0.0.1 is private"),
        ("192.168.1.1", "192.168.1.1 is private"),
        ("169.254.169.254", "169.254.169.254 is link-local, where clouds keep their metadata"),
        ("[fe80::1]", "fe80::1 is not public"),
        ("239.1.1.1", "239.1.1.1 is multicast"),
    ] {
        for scheme in ["http", "https"] {
            let body = json!({"url": format!("{scheme}://{host}/x")}).to_string();
            let detail = server.put("/queue/q/sink", body).detail(403, "forbidden_address");
            assert!(detail.contains(kind), "{host}: {detail}");
            assert!(detail.contains("--sink-allow"), "{detail}");
        }
    }
    server.get("/queue/q/sink").refused(404, "sink_not_found");
    assert_eq!(server.get("/queues").ok()["count"], 0, "a refusal makes no queue");
}

#[test]
fn a_forbidden_address_is_not_connected_to_however_it_was_set() {
    let server =
        TestServer::with(options(), |builder| builder.clock(Clock::manual()).without_duties());
    let _sinks = deliver(&server, SinkOptions::default());
    let receiver = Receiver::start();
    let queue = server.node.queue("q");
    let url = format!("http://localhost:{}/", receiver.addr.port());
    server.runtime.block_on(queue.set_sink(Sink::new(url))).unwrap();
    let id = push(&server, "q", "{}");
    wait(&server, "q", |stats| stats.scheduled == 1);
    let (message, _) = server.runtime.block_on(queue.message(id)).unwrap();
    let reason = message.reason.unwrap();
    assert!(reason.contains("is loopback: an operator can allow it"), "{reason}");
    assert!(!receiver.has_more());
}

#[test]
fn a_node_takes_so_many_sinks_and_no_more() {
    let sink = SinkOptions { sinks_max: 2, ..local() };
    let server = TestServer::with(ServerOptions { sink, ..options() }, |builder| builder);
    let put = |queue: &str, port: u16| {
        let body = json!({"url": format!("http://127.0.0.1:{port}/")}).to_string();
        server.put(&format!("/queue/{queue}/sink"), body)
    };
    put("a", 1).ok();
    put("b", 1).ok();
    let problem = put("c", 1).refused(429, "too_many_sinks");
    assert_eq!((&problem["limit"], &problem["current"]), (&json!(2), &json!(2)), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("--sinks-max"), "{problem}");
    server.get("/queue/c/sink").refused(404, "sink_not_found");
    assert_eq!(put("a", 2).ok()["url"], "http://127.0.0.1:2/", "one that is there is replaced");
    server.send("DELETE", "/queue/b/sink", b"").ok();
    put("c", 1).ok();
}

/// Waits until so many sinks have no place.
#[track_caller]
fn waiting(sinks: &Sinks, count: u64) {
    let began = Instant::now();
    while sinks.figures().stats().waiting != count {
        assert!(began.elapsed() < Duration::from_secs(60), "{sinks:?}");
        std::thread::yield_now();
    }
}

#[test]
fn sinks_that_were_set_beyond_the_bound_wait_until_there_is_a_place() {
    let bounded = || SinkOptions { sinks_max: 2, ..local() };
    let server = TestServer::with(ServerOptions { sink: bounded(), ..options() }, |own| own);
    let sinks = deliver(&server, bounded());
    let receiver = Receiver::start();
    let set = |queue: &str| {
        let sink = Sink::new(receiver.url());
        server.runtime.block_on(server.node.queue(queue).set_sink(sink)).unwrap();
    };
    for queue in ["b", "c"] {
        set(queue);
        push(&server, queue, "{}");
        let post = receiver.next();
        assert_eq!(post.header("lanekeeper-queue"), queue);
        post.answer(200);
    }
    set("a");
    push(&server, "a", "{}");
    waiting(&sinks, 1);
    let shown = server.get("/queue/a/sink").ok();
    assert_eq!(shown["waiting"], "the node delivers to at most 2 sinks (--sinks-max)", "{shown}");
    assert_eq!(shown["url"], receiver.url());
    assert!(server.get("/queue/b/sink").ok().get("waiting").is_none());
    assert!(server.get("/metrics").body.contains("\nlanekeeper_sink_waiting 1\n"));
    push(&server, "c", "{}");
    let post = receiver.next();
    assert_eq!(post.header("lanekeeper-queue"), "c");
    post.answer(200);
    wait(&server, "c", |stats| stats.totals.acked == 2);
    assert!(!receiver.has_more());
    server.send("DELETE", "/queue/c/sink", b"").ok();
    let post = receiver.next();
    assert_eq!(post.header("lanekeeper-queue"), "a");
    post.answer(200);
    waiting(&sinks, 0);
    assert!(server.get("/queue/a/sink").ok().get("waiting").is_none());
    // A smaller bound of another start holds for those that are there.
    server.runtime.block_on(sinks.stop(Duration::from_secs(20)));
    let sinks = deliver(&server, SinkOptions { sinks_max: 1, ..local() });
    waiting(&sinks, 1);
    server.send("DELETE", "/queue/b/sink", b"").ok();
    waiting(&sinks, 0);
}

#[test]
fn what_is_no_sink_is_refused_by_field_and_bound() {
    let server = TestServer::start();
    let long = format!("http://example.org/{}", "x".repeat(2_048));
    for (url, expected) in [
        ("", "url must be 1 to 2048 bytes long, not 0"),
        (&long, "url must be 1 to 2048 bytes long, not 2067"),
        ("file:///etc/passwd", "url: "),
        ("ftp://example.org/", "url: must begin with http:// or https://"),
        ("http://", "url: "),
        ("http://user:secret@example.org/", "url: must not name a user or a password"),
        ("//example.org/", "url: must begin with http:// or https://"),
    ] {
        let body = json!({"url": url}).to_string();
        let detail = server.put("/queue/q/sink", body).detail(400, "invalid_sink");
        assert!(detail.starts_with(expected), "{url}: {detail}");
        assert!(!detail.contains("secret"), "{detail}");
    }
    for (field, value, expected) in [
        ("max_concurrency", 0, "max_concurrency must be from 1 to 100, not 0"),
        ("max_concurrency", 101, "max_concurrency must be from 1 to 100, not 101"),
        ("lease_ttl_ms", 999, "lease_ttl_ms must be from 1000 (1 s) to 43200000 (12 h), not 999"),
        (
            "lease_ttl_ms",
            43_200_001,
            "lease_ttl_ms must be from 1000 (1 s) to 43200000 (12 h), not 43200001",
        ),
    ] {
        let body = json!({"url": "https://example.org/", field: value}).to_string();
        assert_eq!(server.put("/queue/q/sink", body).detail(400, "invalid_sink"), expected);
    }
    server.put("/queue/q/sink", "{}").refused(400, "invalid_request");
    server.put("/queue/q/sink", r#"{"url":1}"#).refused(400, "invalid_sink");
    server
        .put("/queue/q/sink", r#"{"url":"https://example.org/","x":1}"#)
        .refused(400, "invalid_request");
    let refused = server.runtime.block_on(server.node.queue("q").set_sink(Sink::new("")));
    assert!(matches!(refused, Err(QueueError::InvalidSink { field: "url", .. })), "{refused:?}");
    assert_eq!(server.get("/queues").ok()["count"], 0);
}
