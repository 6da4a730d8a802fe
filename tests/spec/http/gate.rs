//! Gates over HTTP.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use lanekeeper::{Clock, Event, Lanekeeper};
use serde_json::{Value, json};

use crate::support::http::{Reply, TestServer, options};

pub(crate) fn one_at_a_time(server: &TestServer, gate: &str) {
    server.put(&format!("/gate/{gate}/policy"), r#"{"max_concurrent":1}"#).ok();
}

pub(crate) fn acquire(server: &TestServer, gate: &str, body: &Value) -> Reply {
    server.post(&format!("/gate/{gate}/acquire"), body.to_string())
}

pub(crate) fn queued(reply: &Reply) -> Value {
    assert_eq!(reply.status, 202, "{}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

/// An acquire that is sent and not answered yet: waits until the gate knows of it.
fn waiting(server: &TestServer, gate: &str, owner: &str) -> TcpStream {
    let mut stream = server.connect();
    let body = json!({ "owner": owner }).to_string();
    let head = format!(
        "POST /gate/{gate}/acquire HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    until(|| server.get(&format!("/gate/{gate}/ticket/{owner}")).status == 200);
    stream
}

/// Asks until it is so; fails after a while.
fn until(mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "it did not come to pass");
        std::thread::yield_now();
    }
}

#[test]
fn a_permit_is_granted_released_and_handed_on() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    let granted = acquire(&server, "g", &json!({"owner": "exec-1"})).ok();
    assert_eq!(granted, json!({"state": "granted", "owner": "exec-1", "waited_ms": 0}));
    let place = queued(&acquire(&server, "g", &json!({"owner": "exec-2", "wait": false})));
    let expected = json!({
        "state": "queued", "owner": "exec-2", "position": 1, "blocked_by": "concurrency",
        "waited_ms": place["waited_ms"],
    });
    assert_eq!(place, expected);
    let released = server.post("/gate/g/release", r#"{"owner":"exec-1"}"#).ok();
    assert_eq!(released, json!({"released": true, "granted": ["exec-2"]}));
    let again = server.post("/gate/g/release", r#"{"owner":"exec-1"}"#).ok();
    assert_eq!(again, json!({"released": false, "granted": []}));
    let ticket = server.get("/gate/g/ticket/exec-2").ok();
    assert_eq!((&ticket["state"], &ticket["owner"]), (&json!("granted"), &json!("exec-2")));
    server.get("/gate/g/ticket/exec-1").refused(404, "ticket_not_found");
}

#[test]
fn an_acquire_waits_for_its_permit() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    acquire(&server, "g", &json!({"owner": "a"})).ok();
    let mut stream = waiting(&server, "g", "b");
    server.post("/gate/g/release", r#"{"owner":"a"}"#).ok();
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"granted\""), "{answer}");
}

#[test]
fn a_connection_that_is_closed_gives_up_its_place() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    acquire(&server, "g", &json!({"owner": "a"})).ok();
    let gone = waiting(&server, "g", "gone");
    let stays = waiting(&server, "g", "stays");
    drop(gone);
    until(|| server.get("/gate/g/ticket/gone").status == 404);
    let released = server.post("/gate/g/release", r#"{"owner":"a"}"#).ok();
    assert_eq!(released["granted"], json!(["stays"]));
    drop(stays);
}

#[test]
fn a_ticket_taken_without_waiting_outlives_its_connection() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    acquire(&server, "g", &json!({"owner": "a"})).ok();
    queued(&acquire(&server, "g", &json!({"owner": "b", "wait": false})));
    drop(waiting(&server, "g", "b"));
    queued(&acquire(&server, "g", &json!({"owner": "c", "wait": false})));
    assert_eq!(server.get("/gate/g/ticket/b").ok()["position"], 1);
}

#[test]
fn one_who_waits_too_long_is_answered_408() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    acquire(&server, "g", &json!({"owner": "a"})).ok();
    let late = acquire(&server, "g", &json!({"owner": "b", "timeout_ms": 30}));
    let problem = late.refused(408, "timed_out");
    assert!(problem["waited_ms"].as_u64().unwrap() >= 30, "{problem}");
    assert_eq!(problem["blocked_by"], "concurrency");
    acquire(&server, "g", &json!({"owner": "b", "timeout_ms": 0})).refused(408, "timed_out");
}

#[test]
fn one_who_is_cancelled_is_told_and_a_holder_is_left_alone() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    acquire(&server, "g", &json!({"owner": "a"})).ok();
    let mut stream = waiting(&server, "g", "b");
    let cancelled = server.post("/gate/g/cancel", r#"{"owner":"b"}"#).ok();
    assert_eq!(cancelled, json!({"cancelled": true}));
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.contains("409") && answer.contains("\"cancelled\""), "{answer}");
    server.post("/gate/g/cancel", r#"{"owner":"a"}"#).refused(409, "granted");
    server.post("/gate/g/cancel", r#"{"owner":"b"}"#).refused(404, "ticket_not_found");
    assert_eq!(server.get("/gate/g/stats").ok()["active_count"], 1);
}

#[test]
fn a_full_line_a_quota_and_a_rate_are_429_and_say_when_to_come_back() {
    let clock = Clock::manual();
    let server = TestServer::with(options(), |builder| builder.clock(clock.clone()));
    let policy = r#"{"max_concurrent":1,"queue_length_max":1}"#;
    server.put("/gate/full/policy", policy).ok();
    acquire(&server, "full", &json!({"owner": "a"})).ok();
    queued(&acquire(&server, "full", &json!({"owner": "b", "wait": false})));
    let problem = acquire(&server, "full", &json!({"owner": "c"})).refused(429, "queue_full");
    assert_eq!((&problem["blocked_by"], &problem["limit"]), (&json!("full"), &json!(1)));

    server.put("/gate/rate/policy", r#"{"rate":{"per_second":4,"burst":1}}"#).ok();
    acquire(&server, "rate", &json!({"owner": "a"})).ok();
    let problem = acquire(&server, "rate", &json!({"owner": "b"})).refused(429, "rate_limited");
    assert_eq!((&problem["blocked_by"], &problem["retry_after_ms"]), (&json!("rate"), &json!(250)));
    clock.advance(Duration::from_millis(250));
    acquire(&server, "rate", &json!({"owner": "b"})).ok();

    server.put("/gate/quota/policy", r#"{"quota":{"limit":1,"per":"hour"}}"#).ok();
    acquire(&server, "quota", &json!({"owner": "a"})).ok();
    let problem = acquire(&server, "quota", &json!({"owner": "b"})).refused(429, "quota_exceeded");
    assert_eq!(problem["blocked_by"], "quota");
    clock.advance(Duration::from_millis(problem["retry_after_ms"].as_u64().unwrap()));
    acquire(&server, "quota", &json!({"owner": "b"})).ok();
}

#[test]
fn a_paused_gate_is_503_and_lets_in_again_when_resumed() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    assert_eq!(server.post("/gate/g/pause", "").ok(), json!({"paused": true}));
    let problem = acquire(&server, "g", &json!({"owner": "a"})).refused(503, "paused");
    assert_eq!(problem["blocked_by"], "pause");
    assert_eq!(server.get("/gate/g/stats").ok()["paused"], true);
    assert_eq!(server.post("/gate/g/resume", "").ok(), json!({"paused": false}));
    acquire(&server, "g", &json!({"owner": "a"})).ok();
}

#[test]
fn a_node_that_drains_says_what_keeps_owners_out() {
    let server = TestServer::start();
    server.handle.drain();
    let problem = acquire(&server, "g", &json!({"owner": "a"})).refused(503, "shutting_down");
    assert_eq!(problem["blocked_by"], "drain");
}

#[test]
fn a_permit_with_a_ttl_is_extended() {
    let clock = Clock::manual();
    let server = TestServer::with(options(), |builder| builder.clock(clock.clone()));
    one_at_a_time(&server, "g");
    acquire(&server, "g", &json!({"owner": "a", "ttl_ms": 1_000})).ok();
    let extended = server.post("/gate/g/extend", r#"{"owner":"a","ttl_ms":5000}"#).ok();
    let ends = clock.now() + Duration::from_secs(5);
    let ends = ends.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    assert_eq!(extended["expires_at"], ends);
    assert_eq!(server.get("/gate/g/ticket/a").ok()["expires_at"], ends);
    clock.advance(Duration::from_secs(5));
    server
        .post("/gate/g/extend", r#"{"owner":"a","ttl_ms":5000}"#)
        .refused(404, "permit_not_found");
}

#[test]
fn a_policy_is_set_read_inherited_and_taken_away() {
    let server = TestServer::start();
    let unlimited = server.get("/gate/pack.action/policy").ok();
    assert_eq!(
        (&unlimited["source"], &unlimited["max_concurrent"]),
        (&json!("unlimited"), &Value::Null)
    );
    assert_eq!(
        (&unlimited["queue_length_max"], &unlimited["timeout_ms"]),
        (&json!(10_000), &json!(3_600_000))
    );
    let policy = json!({
        "max_concurrent": 5, "queue_length_max": 10, "timeout_ms": 1_000,
        "on_full": "cancel_oldest", "rate": {"per_second": 1, "burst": 2},
        "quota": {"limit": 3, "per": "day"}, "group": {"tenant": 1},
    });
    let mut expected = policy.clone();
    expected["source"] = json!("own");
    assert_eq!(server.put("/gate/pack/policy", policy.to_string()).ok(), expected);
    expected["source"] = json!("parent");
    expected["source_gate"] = json!("pack");
    assert_eq!(server.get("/gate/pack.action/policy").ok(), expected);
    let stats = server.get("/gate/pack.action/stats").ok();
    assert_eq!((&stats["policy"], &stats["policy_gate"]), (&json!("parent"), &json!("pack")));
    let own = server.put("/gate/pack.action/policy", "{}").ok();
    assert_eq!((&own["source"], &own["max_concurrent"]), (&json!("own"), &Value::Null));
    let dropped = server.send("DELETE", "/gate/pack.action/policy", b"").ok();
    assert_eq!(dropped["source"], "parent");
}

#[test]
fn the_stats_of_an_action_are_those_of_its_gate() {
    let server = TestServer::start();
    one_at_a_time(&server, "pack.action");
    acquire(&server, "pack.action", &json!({"owner": "a"})).ok();
    queued(&acquire(&server, "pack.action", &json!({"owner": "b", "wait": false})));
    let stats = server.get("/gate/pack.action/stats").ok();
    assert_eq!(server.get("/api/v1/actions/pack.action/queue-stats").ok(), json!({"data": stats}));
    let expected = json!({
        "queue_length": 1, "active_count": 1, "max_concurrent": 1, "total_enqueued": 2,
        "total_completed": 0,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&stats[name], value, "{name} in {stats}");
    }
    assert!(stats["oldest_enqueued_at"].is_u64() && stats["last_updated"].is_u64(), "{stats}");
    let ages = stats["ages"].as_array().unwrap();
    assert_eq!(ages.iter().filter_map(|age| age["count"].as_u64()).sum::<u64>(), 1);
    let unused = server.get("/api/v1/actions/never.used/queue-stats").ok();
    assert_eq!(
        (&unused["data"]["queue_length"], &unused["data"]["total_enqueued"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn bad_input_is_refused_by_name_and_changes_nothing() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    acquire(&server, "g", &json!({"owner": "holder"})).ok();
    let long = "x".repeat(129);
    let many: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("n{n}"), json!("v"))).collect();
    let refused = [
        (json!({"owner": ""}), "invalid_owner"),
        (json!({"owner": "a b"}), "invalid_owner"),
        (json!({"owner": long}), "invalid_owner"),
        (json!({"owner": 7}), "invalid_owner"),
        (json!({}), "invalid_request"),
        (json!({"owner": "a", "priority": -1}), "invalid_priority"),
        (json!({"owner": "a", "priority": 2_147_483_648_u64}), "invalid_priority"),
        (json!({"owner": "a", "ttl_ms": 999}), "invalid_ttl"),
        (json!({"owner": "a", "ttl_ms": 43_200_001}), "invalid_ttl"),
        (json!({"owner": "a", "ttl_ms": -1}), "invalid_ttl"),
        (json!({"owner": "a", "timeout_ms": 2_592_000_001_u64}), "invalid_timeout"),
        (json!({"owner": "a", "timeout_ms": -1}), "invalid_timeout"),
        (json!({"owner": "a", "group": many}), "invalid_group"),
        (json!({"owner": "a", "group": {"": "v"}}), "invalid_group"),
        (json!({"owner": "a", "group": {"n": ""}}), "invalid_group"),
        (json!({"owner": "a", "group": {"n": 1}}), "invalid_request"),
        (json!({"owner": "a", "worker": "a b"}), "invalid_owner"),
        (json!({"owner": "a", "stranger": 1}), "invalid_request"),
    ];
    for (body, code) in refused {
        acquire(&server, "g", &body).refused(400, code);
    }
    acquire(&server, &long, &json!({"owner": "a"})).refused(400, "invalid_id");
    server.get("/gate/g/ticket/a%20b").refused(400, "invalid_owner");
    server.post("/gate/g/release", "{}").refused(400, "invalid_request");
    server.post("/gate/g/pause", r#"{"x":1}"#).refused(400, "invalid_request");
    let stats = server.get("/gate/g/stats").ok();
    assert_eq!((&stats["queue_length"], &stats["active_count"]), (&json!(0), &json!(1)), "{stats}");
    assert_eq!((&stats["total_enqueued"], &stats["total_rejected"]), (&json!(1), &json!(0)));
    assert_eq!(server.get("/gate/g/policy").ok()["max_concurrent"], 1);
}

#[test]
fn who_gives_way_to_a_newcomer_is_told_that_the_line_was_full() {
    let server = TestServer::start();
    for (gate, on_full, gone) in [("o", "cancel_oldest", "first"), ("n", "cancel_newest", "last")] {
        let policy = json!({"max_concurrent": 1, "queue_length_max": 2, "on_full": on_full});
        server.put(&format!("/gate/{gate}/policy"), policy.to_string()).ok();
        acquire(&server, gate, &json!({"owner": "holder"})).ok();
        let mut first = waiting(&server, gate, "first");
        let mut last = waiting(&server, gate, "last");
        queued(&acquire(&server, gate, &json!({"owner": "newcomer", "wait": false})));
        let mut answer = [0; 1024];
        let told = if gone == "first" { &mut first } else { &mut last };
        let count = told.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        assert!(answer.contains("\"queue_full\"") && answer.contains("\"full\""), "{answer}");
        server.get(&format!("/gate/{gate}/ticket/{gone}")).refused(404, "ticket_not_found");
        let stats = server.get(&format!("/gate/{gate}/stats")).ok();
        assert_eq!((&stats["queue_length"], &stats["total_evicted"]), (&json!(2), &json!(1)));
    }
}

#[test]
fn a_waiting_client_is_told_when_the_node_shuts_down() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    acquire(&server, "g", &json!({"owner": "a"})).ok();
    let mut stream = waiting(&server, "g", "b");
    let node: Lanekeeper = server.node.clone();
    server.runtime.block_on(async {
        let mut events = node.events();
        node.shutdown(Duration::from_secs(5)).await.unwrap();
        events.until(|event| matches!(event, Event::Stopped { .. })).await.unwrap();
    });
    let mut answer = [0; 2048];
    let count = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"drain\""), "{answer}");
}
