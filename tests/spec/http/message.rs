//! Looking at messages that wait, promoting one, changing its priority; rates below one a second.

use std::time::Duration;

use lanekeeper::{Clock, queue::QueueLimits};
use serde_json::{Value, json};

use crate::support::http::{TestServer, options};

fn push(server: &TestServer, message: &Value) -> String {
    let answer = server.post("/queue/q/push", message.to_string()).ok();
    answer["ids"][0].as_str().unwrap().to_owned()
}

#[test]
fn scheduled_and_leased_messages_are_peeked_at() {
    let server = TestServer::start();
    let late = push(&server, &json!({"item": {}, "delay_ms": 90_000}));
    let soon = push(&server, &json!({"item": {}, "delay_ms": 60_000}));
    push(&server, &json!({"item": {"n": 1}}));
    let page = server.get("/queue/q/peek?state=scheduled").ok();
    assert_eq!((&page["count"], &page["messages"][0]["id"]), (&json!(1), &json!(soon)));
    assert_eq!(page["messages"][0]["state"], "scheduled");
    assert!(page["messages"][0]["ready_at"].as_u64() > page["messages"][0]["pushed_at"].as_u64());
    let next = page["next"].as_str().unwrap();
    let page = server.get(&format!("/queue/q/peek?state=scheduled&depth=9&after={next}")).ok();
    assert_eq!((&page["messages"][0]["id"], &page["next"]), (&json!(late), &Value::Null));
    assert_eq!(server.get("/queue/q/peek?state=leased").ok()["count"], 0);
    let lease = r#"{"worker":"w","ttl_ms":60000}"#;
    let leased = server.post("/queue/q/lease", lease).ok()["messages"][0].clone();
    let page = server.get("/queue/q/peek?state=leased&depth=9").ok();
    let shown = &page["messages"][0];
    assert_eq!((&shown["id"], &shown["worker"]), (&leased["id"], &json!("w")));
    assert_eq!(shown["lease_expires_at"], leased["lease_expires_at"]);
    assert!(shown.get("lease").is_none(), "its token is nobody else's");
    let detail = server.get("/queue/q/peek?state=dead").detail(400, "invalid_request");
    assert!(detail.contains("ready, scheduled or leased"), "{detail}");
    server.get("/queue/q/peek?state=leased&priority=1").refused(400, "invalid_request");
    server.get("/queue/q/peek?state=leased&after=x").refused(400, "invalid_request");
}

#[test]
fn a_message_is_promoted_and_given_another_priority() {
    let server = TestServer::start();
    let scheduled = push(&server, &json!({"item": {"n": 0}, "delay_ms": 60_000}));
    push(&server, &json!({"item": {"n": 1}}));
    let path = format!("/queue/q/message/{scheduled}");
    let changed = server.send("PATCH", &path, br#"{"priority":0}"#).ok();
    assert_eq!((&changed["priority"], &changed["state"]), (&json!(0), &json!("scheduled")));
    assert_eq!(server.get(&path).ok()["priority"], 0, "it keeps its id");
    let promote = format!("{path}/promote");
    assert_eq!(server.post(&promote, "").ok(), json!({"promoted": true}));
    assert_eq!(server.post(&promote, "").ok(), json!({"promoted": false}));
    server.send("PATCH", &path, br#"{"priority":-1}"#).refused(400, "invalid_priority");
    server.send("PATCH", &path, b"{}").refused(400, "invalid_request");
    server.send("PATCH", &path, br#"{"delay_ms":1}"#).refused(400, "invalid_request");
    let leased = server.post("/queue/q/lease", "").ok()["messages"][0].clone();
    assert_eq!((&leased["id"], &leased["priority"]), (&json!(scheduled), &json!(0)));
    server.send("PATCH", &path, br#"{"priority":1}"#).refused(409, "leased");
    server.post(&promote, "").refused(409, "leased");
    let ack = json!({"leases": [leased["lease"]]}).to_string();
    assert_eq!(server.post("/queue/q/ack", ack).ok()["acked"], 1);
    server.send("PATCH", &path, br#"{"priority":1}"#).refused(404, "message_not_found");
    server.post(&promote, "").refused(404, "message_not_found");
}

#[test]
fn a_repetition_says_what_became_of_the_first() {
    let server = TestServer::start();
    let message = json!({"item": {}, "key": "k"});
    let first = push(&server, &message);
    let lease = server.post("/queue/q/lease", "").ok()["messages"][0]["lease"].clone();
    let body = json!({"leases": [lease], "reason": "no"}).to_string();
    server.post("/queue/q/dead-letter", body).ok();
    let again = server.post("/queue/q/push", message.to_string()).ok();
    let expected = json!([{"index": 0, "id": first, "state": "dead"}]);
    assert_eq!((&again["count"], &again["duplicates"]), (&json!(0), &expected));
}

#[test]
fn queues_are_listed_with_what_they_hold() {
    let server = TestServer::start();
    push(&server, &json!({"item": {}}));
    push(&server, &json!({"item": {}, "delay_ms": 60_000}));
    server.post("/queue/r/push", r#"{"item":{}}"#).ok();
    let page = server.get("/queues?detail=true&limit=1").ok();
    let row = json!({"id": "q", "ready": 1, "scheduled": 1, "leased": 0, "dead": 0});
    assert_eq!(page, json!({"queues": [row], "count": 1, "next": "q"}));
    assert_eq!(server.get("/queues").ok()["queues"], json!(["q", "r"]));
}

#[test]
fn a_rate_below_one_a_second_is_kept_as_it_was_given() {
    let clock = Clock::manual();
    let server = TestServer::with(options(), |builder| builder.clock(clock.clone()));
    let config = json!({"pop_rate": {"per_second": 0.1, "burst": 1}}).to_string();
    let kept = server.put("/queue/q/config", &config).ok();
    assert_eq!(kept["pop_rate"], json!({"per_second": 0.1, "burst": 1}));
    server.put("/queue/q/config", kept.to_string()).ok();
    for _ in 0..2 {
        push(&server, &json!({"item": {}}));
    }
    assert_eq!(server.post("/queue/q/pop", "").ok()["count"], 1);
    let refused = server.post("/queue/q/pop", "").refused(429, "rate_limited");
    assert_eq!(refused["retry_after_ms"], 10_000);
    clock.advance(Duration::from_secs(10));
    assert_eq!(server.post("/queue/q/pop", "").ok()["count"], 1);
    for wrong in ["0", "-1", "0.0000001", "0.1234567", "\"1\"", "1e30"] {
        let body = format!("{{\"pop_rate\":{{\"per_second\":{wrong},\"burst\":1}}}}");
        assert_eq!(server.put("/queue/q/config", body).status, 400, "{wrong}");
    }
    let policy = json!({"rate": {"per_second": 0.5, "burst": 1}}).to_string();
    let policy = server.put("/gate/g/policy", policy).ok();
    assert_eq!(policy["rate"], json!({"per_second": 0.5, "burst": 1}));
    server.post("/gate/g/acquire", r#"{"owner":"a"}"#).ok();
    let refused = server.post("/gate/g/acquire", r#"{"owner":"b"}"#).refused(429, "rate_limited");
    assert_eq!(refused["retry_after_ms"], 2_000);
}

#[test]
fn as_many_messages_are_pushed_together_as_the_setting_says() {
    let limits = QueueLimits { items_max: 10_000, ..QueueLimits::default() };
    let server = TestServer::with(options(), |builder| builder.queue_limits(limits));
    let items = |count| json!({"items": vec![json!({"item": {}}); count]}).to_string();
    assert_eq!(server.post("/queue/q/push", items(10_000)).ok()["count"], 10_000);
    let detail = server.post("/queue/q/push", items(10_001)).detail(400, "invalid_items");
    assert!(detail.contains("1 to 10000"), "{detail}");
    let usual = TestServer::start();
    usual.post("/queue/q/push", items(1_001)).refused(400, "invalid_items");
}
