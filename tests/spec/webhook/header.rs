//! Sinks: headers of one's own, which nobody is shown, and `Retry-After`, which is heeded.

use std::time::Duration;

use lanekeeper::{queue::Sink, server::ServerOptions};
use serde_json::{Value, json};

use crate::{
    support::{
        http::{TestServer, options},
        receiver::Receiver,
    },
    webhook::delivery::{advance, deliver, local, push, start_manual, wait},
};

const HIDDEN: &str = "********";

fn start() -> TestServer {
    TestServer::with(ServerOptions { sink: local(), ..options() }, |builder| builder)
}

fn put(server: &TestServer, body: &Value) -> Value {
    server.put("/queue/q/sink", body.to_string()).ok()
}

#[test]
fn headers_are_sent_with_each_message_and_shown_to_nobody() {
    let server = start();
    let _sinks = deliver(&server, local());
    let receiver = Receiver::start();
    let headers = json!({"Authorization": "Bearer secret", "x-tenant": "7"});
    let set = put(&server, &json!({"url": receiver.url(), "headers": headers}));
    let hidden = json!({"authorization": HIDDEN, "x-tenant": HIDDEN});
    assert_eq!(set["headers"], hidden);
    let read = server.get("/queue/q/sink");
    assert!(!read.body.contains("secret"), "{}", read.body);
    assert_eq!(read.ok()["headers"], hidden);
    push(&server, "q", "{}");
    let post = receiver.next();
    assert_eq!(post.header("authorization"), "Bearer secret");
    assert_eq!(post.header("x-tenant"), "7");
    assert_eq!(post.header("content-type"), "application/json");
    post.answer(200);
    let kept = server.runtime.block_on(server.node.queue("q").sink()).unwrap().unwrap();
    assert!(!format!("{kept:?}").contains("secret"), "{kept:?}");
}

#[test]
fn what_is_hidden_can_be_put_back_but_not_sent_elsewhere() {
    let server = start();
    let url = "http://127.0.0.1:9/x";
    let headers = json!({"authorization": "Bearer secret"});
    put(&server, &json!({"url": url, "headers": headers}));
    let value = || {
        let sink = server.runtime.block_on(server.node.queue("q").sink()).unwrap().unwrap();
        sink.headers.get("Authorization").map(str::to_owned)
    };
    let read = server.get("/queue/q/sink").ok();
    assert_eq!(put(&server, &read), read);
    assert_eq!(value().unwrap(), "Bearer secret");
    // Another path of the same host is the same receiver.
    let patch = json!({"url": "http://127.0.0.1:9/y"}).to_string();
    server.send("PATCH", "/queue/q/sink", patch.as_bytes()).ok();
    assert_eq!(value().unwrap(), "Bearer secret");
    for elsewhere in ["http://127.0.0.1:10/x", "https://127.0.0.1:9/x", "http://127.0.0.2:9/x"] {
        for (method, body) in [
            ("PATCH", json!({"url": elsewhere})),
            ("PUT", json!({"url": elsewhere, "headers": {"authorization": HIDDEN}})),
        ] {
            let refused = server.send(method, "/queue/q/sink", body.to_string().as_bytes());
            let detail = refused.detail(400, "invalid_sink");
            assert!(detail.starts_with("headers.authorization: "), "{detail}");
            assert!(detail.ends_with("give the value itself"), "{detail}");
        }
    }
    assert_eq!(value().unwrap(), "Bearer secret");
    let unknown = json!({"url": url, "headers": {"x": HIDDEN}}).to_string();
    server.put("/queue/q/sink", unknown).refused(400, "invalid_sink");
    let patch = br#"{"headers":{"authorization":null,"x-new":"1"}}"#;
    let changed = server.send("PATCH", "/queue/q/sink", patch).ok();
    assert_eq!(changed["headers"], json!({"x-new": HIDDEN}));
    assert_eq!(value(), None);
    for _ in 0..2 {
        let none = server.send("PATCH", "/queue/q/sink", br#"{"headers":null}"#).ok();
        assert_eq!(none.get("headers"), None);
    }
}

#[test]
fn a_header_that_cannot_be_sent_is_refused_by_name() {
    let server = start();
    let many: serde_json::Map<_, _> = (0..21).map(|n| (format!("x-{n}"), json!("1"))).collect();
    let long = "x".repeat(4_097);
    for (headers, expected) in [
        (json!({"host": "x"}), "headers.host: is set by the node"),
        (json!({"Lanekeeper-Queue": "x"}), "headers.lanekeeper-queue: is set by the node"),
        (json!({"x": "a\r\nb: c"}), "headers.x: its value must be made of visible ASCII"),
        (json!({"x y": "1"}), "headers.x y: its name must be made of"),
        (json!({"x": long}), "headers.x: its value must be at most 4096 bytes long"),
        (Value::Object(many), "headers: at most 20 are allowed, not 21"),
    ] {
        let body = json!({"url": "http://127.0.0.1:9/x", "headers": headers}).to_string();
        let detail = server.put("/queue/q/sink", body).detail(400, "invalid_sink");
        assert!(detail.starts_with(expected), "{detail}");
    }
    server.get("/queue/q/sink").refused(404, "sink_not_found");
}

#[test]
fn headers_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sink = Sink::new("http://127.0.0.1:9/x").header("X-Key", "7");
    runtime.block_on(async {
        let node = lanekeeper::Lanekeeper::open(dir.path()).await.unwrap();
        node.queue("q").set_sink(sink.clone()).await.unwrap();
        node.shutdown(Duration::from_secs(10)).await.unwrap();
        drop(node);
        let node = lanekeeper::Lanekeeper::open(dir.path()).await.unwrap();
        assert_eq!(node.queue("q").sink().await.unwrap(), Some(sink));
    });
}

#[test]
fn a_receiver_that_says_when_to_come_again_is_left_alone_until_then() {
    for (status, header) in [(429, "retry-after: 600\r\n"), (503, "Retry-After: 600\r\n")] {
        let (server, _sinks, clock) = start_manual();
        let receiver = Receiver::start();
        put(&server, &json!({"url": receiver.url(), "max_concurrency": 1}));
        push(&server, "q", r#"{"n":1}"#);
        receiver.next().answer_with(status, header);
        wait(&server, "q", |stats| (stats.totals.nacked, stats.leased) == (1, 0));
        // Another message is not sent either, though it was never refused.
        push(&server, "q", r#"{"n":2}"#);
        advance(&server, &clock, Duration::from_secs(599));
        let stats = server.runtime.block_on(server.node.queue("q").stats()).unwrap();
        assert_eq!((stats.leased, receiver.has_more()), (0, false), "{status}");
        advance(&server, &clock, Duration::from_secs(1));
        receiver.next().answer(200);
        receiver.next().answer(200);
        wait(&server, "q", |stats| stats.totals.acked == 2);
    }
}

#[test]
fn a_wait_is_bounded_and_one_that_makes_no_sense_is_none() {
    let (server, _sinks, clock) = start_manual();
    let receiver = Receiver::start();
    put(&server, &json!({"url": receiver.url()}));
    push(&server, "q", "{}");
    receiver.next().answer_with(503, "retry-after: 99999999999\r\n");
    wait(&server, "q", |stats| (stats.totals.nacked, stats.leased) == (1, 0));
    advance(&server, &clock, Duration::from_secs(3_600));
    receiver.next().answer_with(503, "retry-after: whenever\r\n");
    wait(&server, "q", |stats| (stats.totals.nacked, stats.leased) == (2, 0));
    // As without: 1 to 2 s after the second delivery.
    advance(&server, &clock, Duration::from_secs(2));
    receiver.next().answer(200);
    wait(&server, "q", |stats| stats.totals.acked == 1);
}
