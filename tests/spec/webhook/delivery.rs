//! Sinks: the messages of a queue, posted to an address.

use std::time::Duration;

use lanekeeper::{
    Clock, Event,
    queue::{LeaseToken, MessageId, MessageState, QueueStats},
    server::ServerOptions,
    sink::{self, AddressPolicy, SinkOptions, Sinks},
};
use serde_json::json;

use crate::support::{
    http::{TestServer, agent, options, send},
    process::{Serving, lanekeeper},
    receiver::{Post, Receiver},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Loopback is allowed.
pub(crate) fn local() -> SinkOptions {
    let allowed = vec!["127.0.0.0/8".parse().unwrap()];
    SinkOptions { policy: AddressPolicy { allowed }, ..SinkOptions::default() }
}

pub(crate) fn deliver(server: &TestServer, options: SinkOptions) -> Sinks {
    let _context = server.runtime.enter();
    let sinks = sink::run(server.node.clone(), options);
    server.handle.show_sinks(&sinks);
    sinks
}

/// A server that delivers, to loopback too.
fn start() -> (TestServer, Sinks) {
    let server = TestServer::with(ServerOptions { sink: local(), ..options() }, |builder| builder);
    let sinks = deliver(&server, local());
    (server, sinks)
}

/// As [`start`], on a clock that the test moves.
pub(crate) fn start_manual() -> (TestServer, Sinks, Clock) {
    let clock = Clock::manual();
    let options = ServerOptions { sink: local(), ..options() };
    let server = TestServer::with(options, |builder| builder.clock(clock.clone()).without_duties());
    let sinks = deliver(&server, local());
    (server, sinks, clock)
}

fn put(server: &TestServer, queue: &str, receiver: &Receiver) {
    let body = json!({"url": receiver.url()}).to_string();
    server.put(&format!("/queue/{queue}/sink"), body).ok();
}

pub(crate) fn push(server: &TestServer, queue: &str, item: &str) -> MessageId {
    let reply = server.post(&format!("/queue/{queue}/push"), format!("{{\"item\":{item}}}")).ok();
    reply["ids"][0].as_str().unwrap().parse().unwrap()
}

/// Waits until the figures of a queue are as wanted; they change with its commits.
#[track_caller]
pub(crate) fn wait(server: &TestServer, queue: &str, is_wanted: impl Fn(&QueueStats) -> bool) {
    let mut events = server.node.events();
    let handle = server.node.queue(queue);
    let waiting = async {
        while !is_wanted(&handle.stats().await.unwrap()) {
            let is_commit =
                |event: &Event| matches!(event, Event::Commit { id, .. } if *id.key == *queue);
            events.until(is_commit).await.unwrap();
        }
    };
    let waited = server.runtime.block_on(async { tokio::time::timeout(PATIENCE, waiting).await });
    waited.expect("the figures did not become as wanted");
}

pub(crate) fn advance(server: &TestServer, clock: &Clock, span: Duration) {
    clock.advance(span);
    server.runtime.block_on(server.node.settle_duties()).unwrap();
}

fn token(post: &Post) -> LeaseToken {
    post.header("lanekeeper-lease").parse().unwrap()
}

#[test]
fn a_message_is_posted_as_it_was_sent_and_an_answer_of_2xx_acks_it() {
    let (server, _sinks) = start();
    let receiver = Receiver::start();
    put(&server, "q", &receiver);
    let reply = server.post("/queue/q/push", r#"{"item":{ "b" : 1.0,"a":[ "é" ]},"priority":3}"#);
    let id = reply.ok()["ids"][0].as_str().unwrap().to_owned();
    let post = receiver.next();
    assert_eq!(post.line(), "POST /in?x=1 HTTP/1.1");
    assert_eq!(post.body, r#"{ "b" : 1.0,"a":[ "é" ]}"#);
    for (name, value) in [
        ("content-type", "application/json"),
        ("lanekeeper-queue", "q"),
        ("lanekeeper-message-id", &id),
        ("lanekeeper-priority", "3"),
        ("lanekeeper-deliveries", "1"),
        ("host", &receiver.addr.to_string()),
    ] {
        assert_eq!(post.header(name), value, "{name}");
    }
    assert_eq!(token(&post).message_id().to_string(), id);
    let ends: u64 = post.header("lanekeeper-lease-expires-at").parse().unwrap();
    assert!(ends > server.node.clock().now_ms(), "{ends}");
    let connection = post.connection;
    post.answer(200);
    wait(&server, "q", |stats| stats.totals.acked == 1);
    push(&server, "q", "{}");
    let post = receiver.next();
    assert_eq!(post.connection, connection, "a connection is kept");
    post.answer(204);
    wait(&server, "q", |stats| (stats.totals.acked, stats.leased, stats.ready) == (2, 0, 0));
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("deliveries_total{outcome=\"failed\"} 0\n"), "{metrics}");
}

#[test]
fn an_answer_of_202_leaves_the_lease_to_the_receiver() {
    let (server, sinks) = start();
    let receiver = Receiver::start();
    put(&server, "q", &receiver);
    push(&server, "q", "{}");
    let post = receiver.next();
    let token = token(&post);
    post.answer(202);
    let figures = sinks.figures();
    server.runtime.block_on(sinks.stop(PATIENCE));
    let stats = figures.stats();
    assert_eq!((stats.accepted_total, stats.delivered_total, stats.under_way), (1, 0, 0));
    let queue = server.node.queue("q");
    let settled = server.runtime.block_on(queue.ack(&[token])).unwrap();
    assert_eq!((settled.count, settled.failed), (1, vec![]));
    assert!(server.get("/metrics").body.contains("deliveries_total{outcome=\"accepted\"} 1\n"));
}

#[test]
fn any_other_answer_brings_the_message_back_after_a_wait_that_grows() {
    let (server, _sinks, clock) = start_manual();
    let receiver = Receiver::start();
    put(&server, "q", &receiver);
    let id = push(&server, "q", "{}");
    for (deliveries, status, longest) in [("1", 500, 1_000), ("2", 404, 2_000), ("3", 0, 4_000)] {
        let post = receiver.next();
        assert_eq!(post.header("lanekeeper-deliveries"), deliveries);
        if status == 0 {
            post.close();
        } else {
            post.answer(status);
        }
        wait(&server, "q", |stats| stats.scheduled == 1);
        let (message, state) = server.runtime.block_on(server.node.queue("q").message(id)).unwrap();
        assert_eq!(state, MessageState::Scheduled);
        let reason = message.reason.unwrap();
        assert!(
            status == 0 || reason == format!("sink: the receiver answered {status}"),
            "{reason}"
        );
        advance(&server, &clock, Duration::from_millis(longest / 2 - 1));
        let stats = server.runtime.block_on(server.node.queue("q").stats()).unwrap();
        assert_eq!((stats.scheduled, stats.leased), (1, 0), "half of the wait is certain");
        advance(&server, &clock, Duration::from_millis(longest / 2 + 1));
    }
    let post = receiver.next();
    assert_eq!(post.header("lanekeeper-deliveries"), "4");
    post.answer(201);
    wait(&server, "q", |stats| (stats.totals.acked, stats.totals.nacked) == (1, 3));
}

#[test]
fn a_receiver_that_takes_too_long_has_failed_before_the_lease_ends() {
    let (server, sinks, _clock) = start_manual();
    let receiver = Receiver::start();
    let body = json!({"url": receiver.url(), "lease_ttl_ms": 1_000, "max_concurrency": 1});
    server.put("/queue/q/sink", body.to_string()).ok();
    let id = push(&server, "q", "{}");
    let post = receiver.next();
    wait(&server, "q", |stats| stats.scheduled == 1);
    let (message, _) = server.runtime.block_on(server.node.queue("q").message(id)).unwrap();
    assert_eq!(message.reason.as_deref(), Some("sink: the receiver took too long"));
    assert_eq!((message.deliveries, sinks.figures().stats().failed_total), (1, 1));
    drop(post);
}

#[test]
fn a_redirect_is_no_success_and_not_followed() {
    let (server, _sinks, _clock) = start_manual();
    let (receiver, elsewhere) = (Receiver::start(), Receiver::start());
    put(&server, "q", &receiver);
    for status in [302, 307] {
        let id = push(&server, "q", "{}");
        let location = format!("location: http://{}/\r\n", elsewhere.addr);
        receiver.next().answer_with(status, &location);
        wait(&server, "q", |stats| stats.leased == 0 && stats.ready == 0);
        let (message, _) = server.runtime.block_on(server.node.queue("q").message(id)).unwrap();
        assert_eq!(message.reason, Some(format!("sink: the receiver answered {status}")));
    }
    assert!(!elsewhere.has_more());
}

#[test]
fn a_sink_is_shown_listed_and_replaced() {
    let server = TestServer::with(ServerOptions { sink: local(), ..options() }, |builder| builder);
    let body = json!({"url": "http://127.0.0.1:9/a", "max_concurrency": 7, "lease_ttl_ms": 2_000});
    assert_eq!(server.put("/queue/b/sink", body.to_string()).ok(), body);
    assert_eq!(server.get("/queue/b/sink").ok(), body);
    let plain = server.put("/queue/a/sink", r#"{"url":"http://127.0.0.1:9/"}"#).ok();
    let expected =
        json!({"url": "http://127.0.0.1:9/", "max_concurrency": 5, "lease_ttl_ms": 30_000});
    assert_eq!(plain, expected);
    let other = json!({"url": "http://127.0.0.1:9/c", "max_concurrency": 1, "lease_ttl_ms": 1_000});
    server.put("/queue/b/sink", other.to_string()).ok();
    assert_eq!(server.get("/queue/b/sink").ok(), other);
    server.runtime.block_on(async {
        let first = server.node.sinks().limit(1).await.unwrap();
        assert_eq!((first.sinks[0].0.as_str(), first.next.as_deref()), ("a", Some("a")));
        let second = server.node.sinks().after("a").limit(1).await.unwrap();
        assert_eq!(second.sinks[0].1.url, "http://127.0.0.1:9/c");
        assert_eq!(second.next, None);
        assert!(server.node.sinks().limit(0).await.is_err());
    });
}

#[test]
fn a_removed_sink_gets_nothing_more() {
    let (server, _sinks) = start();
    let receiver = Receiver::start();
    put(&server, "q", &receiver);
    push(&server, "q", "{}");
    let under_way = receiver.next();
    assert_eq!(server.send("DELETE", "/queue/q/sink", b"").ok(), json!({"removed": true}));
    server.send("DELETE", "/queue/q/sink", b"").refused(404, "sink_not_found");
    push(&server, "q", r#"{"n":2}"#);
    let popped = server.post("/queue/q/pop?wait_ms=20000", "").ok();
    assert_eq!(popped["items"], json!([{"n": 2}]));
    under_way.answer(200);
    wait(&server, "q", |stats| stats.totals.acked == 1);
    assert!(!receiver.has_more());
    put(&server, "q", &receiver);
    push(&server, "q", r#"{"n":3}"#);
    let again = receiver.next();
    assert_eq!(again.body, r#"{"n":3}"#);
    again.answer(200);
}

#[test]
fn no_more_are_under_way_than_the_sink_allows() {
    let (server, _sinks) = start();
    let receiver = Receiver::start();
    let sink = |max: u32| json!({"url": receiver.url(), "max_concurrency": max}).to_string();
    server.put("/queue/q/sink", sink(2)).ok();
    for _ in 0..6 {
        push(&server, "q", "{}");
    }
    let leased = |count| wait(&server, "q", |stats| stats.leased == count);
    let (first, second) = (receiver.next(), receiver.next());
    leased(2);
    first.answer(200);
    let third = receiver.next();
    leased(2);
    server.put("/queue/q/sink", sink(1)).ok();
    second.answer(200);
    leased(1);
    wait(&server, "q", |stats| stats.totals.acked == 2);
    assert!(!receiver.has_more(), "one is under way, and the sink allows one now");
    third.answer(200);
    for acked in 4..=6 {
        let post = receiver.next();
        leased(1);
        assert!(!receiver.has_more());
        post.answer(200);
        wait(&server, "q", |stats| stats.totals.acked >= acked);
    }
}

#[test]
fn a_paused_queue_delivers_nothing_until_it_is_resumed() {
    let (server, _sinks) = start();
    let receiver = Receiver::start();
    server.post("/queue/q/pause", r#"{"pop":true}"#).ok();
    for queue in ["q", "other"] {
        put(&server, queue, &receiver);
        push(&server, queue, "{}");
    }
    let post = receiver.next();
    assert_eq!(post.header("lanekeeper-queue"), "other");
    post.answer(200);
    wait(&server, "other", |stats| stats.totals.acked == 1);
    wait(&server, "q", |stats| (stats.ready, stats.leased) == (1, 0));
    server.post("/queue/q/resume", "").ok();
    let post = receiver.next();
    assert_eq!(post.header("lanekeeper-queue"), "q");
    post.answer(200);
}

#[test]
fn a_queue_that_is_resumed_delivers_at_once() {
    let (server, sinks, _clock) = start_manual();
    let receiver = Receiver::start();
    put(&server, "q", &receiver);
    for round in 1..=2 {
        let refused = sinks.figures().stats().refusals_total;
        server.post("/queue/q/pause", r#"{"pop":true}"#).ok();
        push(&server, "q", "{}");
        while sinks.figures().stats().refusals_total == refused {
            std::thread::yield_now();
        }
        assert!(!receiver.has_more());
        // The clock stands still: nothing but the resumption can end the wait.
        server.post("/queue/q/resume", r#"{"pop":true}"#).ok();
        receiver.next().answer(200);
        wait(&server, "q", |stats| stats.totals.acked == round);
    }
}

#[test]
fn a_stop_waits_for_what_is_under_way_and_gives_back_the_rest_uncounted() {
    let (server, sinks) = start();
    let receiver = Receiver::start();
    put(&server, "q", &receiver);
    push(&server, "q", "{}");
    let post = receiver.next();
    let stopping = server.runtime.spawn(sinks.stop(PATIENCE));
    post.answer(200);
    server.runtime.block_on(stopping).unwrap();
    wait(&server, "q", |stats| stats.totals.acked == 1);
    let sinks = deliver(&server, local());
    let id = push(&server, "q", "{}");
    let post = receiver.next();
    let figures = sinks.figures();
    server.runtime.block_on(sinks.stop(Duration::ZERO));
    wait(&server, "q", |stats| (stats.ready, stats.leased) == (1, 0));
    let (message, _) = server.runtime.block_on(server.node.queue("q").message(id)).unwrap();
    assert_eq!((message.deliveries, figures.stats().released_total), (0, 1));
    drop(post);
}

#[test]
fn the_binary_delivers_where_its_operator_allows_and_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let serve = || {
        let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(dir.path());
        command
    };
    let agent = agent();
    for n in 1..=2 {
        let mut command = serve();
        command.env("LANEKEEPER_SINK_ALLOW", "10.0.0.0/8,127.0.0.1");
        let serving = Serving::start(command);
        let url = |verb: &str| format!("{}/queue/q/{verb}", serving.url);
        if n == 1 {
            let body = json!({"url": receiver.url()}).to_string();
            send(&agent, &url("sink"), "PUT", (body.as_bytes(), &[])).ok();
        }
        let item = json!({"item": {"n": n}}).to_string();
        send(&agent, &url("push"), "POST", (item.as_bytes(), &[])).ok();
        let post = receiver.next();
        assert_eq!(post.body, json!({"n": n}).to_string());
        post.answer(200);
        serving.signal(rustix::process::Signal::TERM);
        assert_eq!(serving.wait().code, Some(0));
    }
    let mut command = serve();
    command.args(["--sink-allow", "loopback"]);
    assert!(crate::support::process::run(command).failed(2).contains("is not a network such as"));
}
