//! Streams over HTTP: WebSockets, server-sent events, publishing, settings, figures.

use std::{
    io::{BufRead, BufReader, Write},
    time::{Duration, Instant},
};

use lanekeeper::{
    server::{ServerOptions, SocketOptions},
    stream::StreamLimits,
};
use serde_json::{Value, json};

use crate::support::{
    http::{PATIENCE, TestServer, options, talk},
    socket::Client,
};

pub(crate) fn with(socket: SocketOptions) -> TestServer {
    TestServer::with(ServerOptions { socket, ..options() }, |builder| builder)
}

pub(crate) fn publish(server: &TestServer, class: &str, n: u64) -> Value {
    let body = json!({ "class": class, "data": { "n": n } });
    server.post("/stream/t/publish", body.to_string()).ok()
}

/// A figure of `/metrics`.
pub(crate) fn metric(server: &TestServer, sample: &str) -> u64 {
    let text = server.get("/metrics").body;
    let line = text.lines().find(|line| line.starts_with(&format!("{sample} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Asks until a figure of `/metrics` is this.
pub(crate) fn until(server: &TestServer, sample: &str, value: u64) {
    while metric(server, sample) != value {
        std::thread::yield_now();
    }
}

#[test]
fn what_is_published_is_pushed_to_every_subscriber() {
    let server = TestServer::start();
    let mut first = Client::open(server.addr, "/stream/t");
    let mut second = Client::open(server.addr, "/stream/t?queue_max=1");
    let done = publish(&server, "critical", 7);
    assert_eq!(done, json!({ "subscribers": 2, "queued": 2, "evicted": 0, "refused": 0 }));
    let expected = json!({ "class": "critical", "seq": 1, "data": { "n": 7 } });
    assert_eq!((first.next(), second.next()), (expected.clone(), expected));
    let body = json!({ "class": "bulk", "data": {}, "subscriber": second.id() });
    let done = server.post("/stream/t/publish", body.to_string()).ok();
    assert_eq!(done["subscribers"], 1);
    assert_eq!(second.next()["seq"], 2);
    assert_ne!(first.id(), second.id());
    first.close();
    second.close();
    until(&server, "lanekeeper_stream_subscribers", 0);
    assert_eq!(metric(&server, "lanekeeper_socket_connections"), 0);
    assert_eq!(metric(&server, "lanekeeper_stream_ended_total{reason=\"finished\"}"), 2);
}

#[test]
fn five_hundred_publishers_at_once_are_all_answered_and_heard() {
    let server = TestServer::start();
    let topics = ["a", "b", "c", "d", "e"].map(|name| format!("/stream/{name}"));
    let mut clients = topics.clone().map(|topic| Client::open(server.addr, &topic));
    let mut publishers = Vec::new();
    for n in 0..500 {
        let (topic, body) = (&topics[n % 5], json!({ "class": "important", "data": { "n": n } }));
        let (body, mut stream) = (body.to_string(), server.connect());
        let head = format!("POST {topic}/publish HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        publishers.push(stream);
    }
    for stream in publishers {
        let answer = talk(stream, b"");
        assert!(answer.ends_with("{\"subscribers\":1,\"queued\":1,\"evicted\":0,\"refused\":0}"));
    }
    for (place, client) in clients.iter_mut().enumerate() {
        let frames: Vec<Value> = (0..100).map(|_| client.next()).collect();
        let in_order = frames.iter().zip(1..).all(|(frame, seq)| frame["seq"] == seq);
        assert!(in_order, "{frames:?}");
        let mut heard: Vec<u64> =
            frames.iter().map(|frame| frame["data"]["n"].as_u64().unwrap()).collect();
        heard.sort_unstable();
        assert_eq!(heard, (place as u64..500).step_by(5).collect::<Vec<_>>());
    }
}

#[test]
fn a_payload_is_sent_byte_for_byte_whatever_its_size() {
    let server = TestServer::start();
    let mut client = Client::open(server.addr, "/stream/t");
    for length in [1, 100, 126, 65_000, 65_536, 1_000_000] {
        let data = format!("{{ \"x\" : 1.0,\"y\":\"{}\" }}", "é".repeat(length / 2));
        server.post("/stream/t/publish", format!("{{\"class\":\"bulk\",\"data\":{data}}}")).ok();
        let text = client.socket.read().unwrap().into_text().unwrap();
        assert!(text.ends_with(&format!(",\"data\":{data}}}")), "{length}");
    }
}

#[test]
fn server_sent_events_carry_the_same_frames() {
    let server = TestServer::start();
    let mut stream = server.connect();
    let request = "GET /stream/t HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert_eq!(head[0], "HTTP/1.1 200 OK");
    assert!(head.contains(&"content-type: text/event-stream".to_owned()), "{head:?}");
    publish(&server, "control", 7);
    let mut field = |name: &str| lines.find(|line| line.starts_with(name)).unwrap();
    assert!(field("id:").ends_with("-1"), "its number, behind the epoch");
    assert_eq!(field("data:"), "data: {\"class\":\"control\",\"seq\":1,\"data\":{\"n\":7}}");
    server.handle.drain();
    assert_eq!(field("event:"), "event: end");
    assert_eq!(field("data:"), "data: {\"code\":\"shutting_down\"}");
}

#[test]
fn whoever_closes_its_events_is_forgotten_at_once() {
    let ping_interval = Duration::from_secs(3_600);
    let server = with(SocketOptions { ping_interval, ..SocketOptions::default() });
    let mut stream = server.connect();
    let request = "GET /stream/t HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    until(&server, "lanekeeper_stream_subscribers", 1);
    drop(stream);
    until(&server, "lanekeeper_stream_subscribers", 0);
    assert_eq!(metric(&server, "lanekeeper_socket_connections"), 0);
}

#[test]
fn a_drain_gives_what_waits_and_closes() {
    let server = TestServer::start();
    let mut client = Client::open(server.addr, "/stream/t");
    publish(&server, "bulk", 1);
    server.handle.drain();
    assert_eq!(client.next()["data"]["n"], 1);
    assert_eq!(client.closed(), (1001, "shutting_down".to_owned()));
    server.get("/stream/t").refused(503, "shutting_down");
    until(&server, "lanekeeper_socket_connections", 0);
}

#[test]
fn the_end_of_the_node_closes_too() {
    let server = TestServer::start();
    let mut client = Client::open(server.addr, "/stream/t");
    server.runtime.block_on(server.node.shutdown(Duration::from_secs(10))).unwrap();
    assert_eq!(client.closed(), (1001, "shutting_down".to_owned()));
}

#[test]
fn whoever_subscribes_without_an_upgrade_is_told_how() {
    let server = TestServer::start();
    let reply = server.get("/stream/t");
    reply.refused(426, "upgrade_required");
    assert_eq!(reply.header("upgrade"), Some("websocket"));
    let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
    let ask = |more: &[(&str, &str)]| {
        server.send_with("GET", "/stream/t", b"", &[&upgrade, more].concat())
    };
    let version = ("sec-websocket-version", "13");
    ask(&[]).refused(400, "invalid_request");
    ask(&[version]).refused(400, "invalid_request");
    ask(&[version, ("sec-websocket-key", "short")]).refused(400, "invalid_request");
    let reply = ask(&[("sec-websocket-version", "8")]);
    reply.refused(426, "upgrade_required");
    assert_eq!(reply.header("sec-websocket-version"), Some("13"));
    server.send("HEAD", "/stream/t", b"");
    assert_eq!(server.get("/stream/t/stats").ok()["subscribers"], 0);
    assert_eq!(metric(&server, "lanekeeper_socket_connections"), 0);
}

#[test]
fn pages_subscribe_only_where_they_are_listed() {
    let origins = vec!["https://example.org".to_owned()];
    let server = TestServer::with(ServerOptions { origins, ..options() }, |builder| builder);
    let from = |origin| {
        let headers = [("accept", "text/event-stream"), ("origin", origin)];
        server.send_with("GET", "/stream/t", b"", &headers)
    };
    for origin in ["https://example.com", "http://example.org", "https://example.org:8", "null"] {
        from(origin).refused(403, "forbidden_origin");
    }
    server.handle.drain();
    from("https://example.org").refused(503, "shutting_down");
    let server = with(SocketOptions::default());
    let headers = [("accept", "text/event-stream"), ("origin", "http://127.0.0.1")];
    let reply = server.send_with("GET", "/stream/t", b"", &headers);
    reply.refused(403, "forbidden_origin");
}

/// What a subscriber that goes on after an event is told, up to an answer with this text.
pub(crate) fn resumed(server: &TestServer, last: &str, end: &str) -> String {
    let mut stream = server.connect();
    let head = "GET /stream/t HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n";
    write!(stream, "{head}last-event-id: {last}\r\n\r\n").unwrap();
    let mut told = String::new();
    let mut reader = BufReader::new(stream);
    let began = Instant::now();
    while !told.contains(end) {
        // Lines that keep the connection alive come for ever.
        assert!(began.elapsed() < PATIENCE, "{told}");
        assert!(reader.read_line(&mut told).unwrap() > 0, "{told}");
    }
    told
}

#[test]
fn a_client_that_comes_back_goes_on_after_its_last_event() {
    let server = TestServer::start();
    server.put("/stream/t/config", r#"{"retain":3}"#).ok();
    (1..=5).for_each(|n| drop(publish(&server, "important", n)));
    // Without an event before, it gets what is retained, with ids.
    let told = resumed(&server, "", "-5\n");
    let epoch = told.split_once("id: ").and_then(|(_, rest)| rest.split_once("-3\n")).unwrap().0;
    let id = |seq: u64| format!("{epoch}-{seq}");
    let told = resumed(&server, &id(3), "-5\n");
    assert!(told.contains(&format!("id: {}\n", id(4))) && !told.contains("gap"), "{told}");
    let told = resumed(&server, &id(1), "-5\n");
    let gap = told.find("data: {\"gap\":{\"count\":1}}").expect("2 is not there any more");
    assert!(told.find(&format!("id: {}", id(3))).is_some_and(|first| gap < first), "{told}");
    // Of another count, or of one that nobody knows: the stream counts anew.
    for last in [&id(77), "3", "77", "0-3", "abc-4"] {
        let told = resumed(&server, last, "-5\n");
        let is_all = told.contains("{\"gap\":{\"count\":null}}") && told.contains(&id(3));
        assert!(is_all, "{last}: {told}");
    }
    for last in ["x", "-3", "3-", "1-2-3", "+1-3", "1-x", "99999999999999999999"] {
        let headers = [("accept", "text/event-stream"), ("last-event-id", last)];
        let reply = server.send_with("GET", "/stream/t", b"", &headers);
        assert!(reply.detail(400, "invalid_request").contains("Last-Event-ID"), "{last}");
    }
}

#[test]
fn subscribers_and_connections_are_bounded() {
    let limits = StreamLimits { subscribers_max: 2, ..StreamLimits::default() };
    let socket = SocketOptions { connections_max: 3, ..SocketOptions::default() };
    let options = ServerOptions { socket, ..options() };
    let server = TestServer::with(options, |builder| builder.stream_limits(limits));
    let events = [("accept", "text/event-stream")];
    let ask = |path: &str| server.send_with("GET", path, b"", &events);
    let _kept = [Client::open(server.addr, "/stream/t"), Client::open(server.addr, "/stream/t")];
    assert_eq!(ask("/stream/t").refused(429, "too_many_subscribers")["limit"], 2);
    let third = Client::open(server.addr, "/stream/u");
    assert_eq!(ask("/stream/u").refused(503, "too_many_connections")["limit"], 3);
    third.close();
    until(&server, "lanekeeper_socket_connections", 2);
    Client::open(server.addr, "/stream/u").close();
}

#[test]
fn what_is_asked_for_is_checked() {
    let server = TestServer::start();
    let detail = |path: &str| server.get(path).detail(400, "invalid_request");
    for count in ["0", "100001", "x"] {
        let detail = detail(&format!("/stream/t?queue_max={count}"));
        assert!(detail.starts_with("queue_max must be an integer from 1 to 100000"), "{detail}");
    }
    assert!(detail("/stream/t?depth=1").starts_with("depth: unknown parameter"));
    let detail = server.get("/stream/a..b").detail(400, "invalid_id");
    assert!(detail.starts_with("topic: "), "{detail}");
    let detail = |body: &str| server.post("/stream/t/publish", body).detail(400, "invalid_request");
    assert!(detail(r#"{"class":"urgent","data":{}}"#).starts_with("class: unknown variant"));
    assert!(detail(r#"{"data":{}}"#).contains("missing field `class`"));
    assert!(detail(r#"{"class":"bulk"}"#).starts_with("data is missing"));
    assert_eq!(
        detail(r#"{"class":"bulk","data":[]}"#),
        "data must be one JSON object, not an array"
    );
    assert!(detail(r#"{"class":"bulk","data":{},"item":1}"#).contains("unknown field `item`"));
    let large = format!(r#"{{"class":"bulk","data":{{"x":"{}"}}}}"#, "x".repeat(1 << 20));
    assert_eq!(server.post("/stream/t/publish", large).refused(413, "too_large")["limit"], 1 << 20);
    let body = r#"{"class":"bulk","data":{},"subscriber":7}"#;
    server.post("/stream/t/publish", body).refused(404, "subscriber_not_found");
    server.post("/stream/t", "").refused(405, "method_not_allowed");
    assert_eq!(server.get("/stream/t/stats").ok()["published"]["bulk"], 0);
}

#[test]
fn settings_are_kept_and_late_subscribers_get_what_was_retained() {
    let server = TestServer::start();
    let none = json!({ "retain": 0, "persist": false, "on_slow": "warn" });
    assert_eq!(server.get("/stream/t/config").ok(), none);
    let config = json!({ "retain": 2, "persist": true, "on_slow": "disconnect" });
    assert_eq!(server.put("/stream/t/config", config.to_string()).ok(), config);
    assert_eq!(server.get("/stream/t/config").ok(), config);
    for n in 0..3 {
        publish(&server, "important", n);
    }
    let mut client = Client::open(server.addr, "/stream/t");
    assert_eq!((client.next()["seq"].clone(), client.next()["seq"].clone()), (2.into(), 3.into()));
    let put = |body: &str| server.put("/stream/t/config", body).detail(400, "invalid_request");
    assert_eq!(put(r#"{"retain":1001}"#), "retain must be from 0 to 1000");
    assert!(put(r#"{"persist":true}"#).starts_with("persist keeps what is retained"));
    assert!(put(r#"{"on_slow":"nag"}"#).starts_with("on_slow: unknown variant"));
}

#[test]
fn figures_are_given_by_subscriber_and_together() {
    let server = TestServer::start();
    let zeros = server.get("/stream/t/stats").ok();
    assert_eq!((&zeros["subscribers"], &zeros["by_subscriber"]), (&0.into(), &json!([])));
    let mut client = Client::open(server.addr, "/stream/t?queue_max=50");
    for n in 0..3 {
        publish(&server, "important", n);
        client.next();
    }
    let stats = server.get("/stream/t/stats").ok();
    assert_eq!((&stats["published"]["important"], &stats["seq"]), (&3.into(), &3.into()));
    assert_eq!((&stats["sent"]["important"], &stats["bytes"]), (&3.into(), &21.into()));
    let own = &stats["by_subscriber"][0];
    assert_eq!((&own["id"], &own["queue_max"]), (&client.id().into(), &50.into()));
    assert_eq!((&own["status"], &own["fill"]), (&"healthy".into(), &0.0.into()));
    let waiting = json!({ "control": 0, "critical": 0, "important": 0, "bulk": 0 });
    assert_eq!((&own["waiting"], &own["sent"]["important"]), (&waiting, &3.into()));
    assert!(own["send_p99_micros"].as_u64().unwrap() > 0, "{own}");
    assert_eq!(metric(&server, "lanekeeper_stream_published_total{class=\"important\"}"), 3);
    until(&server, "lanekeeper_stream_delivered_total", 3);
}
