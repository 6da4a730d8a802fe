//! Taking messages and looking at them: pop, peek, message, cancel, purge.

use std::thread;

use serde_json::{Value, json};

use crate::support::http::TestServer;

/// Pushes numbered messages, each at its priority.
fn push(server: &TestServer, priorities: &[u32]) -> Vec<String> {
    let messages: Vec<Value> = priorities
        .iter()
        .enumerate()
        .map(|(n, priority)| json!({"item":{"n":n},"priority":priority}))
        .collect();
    let answer = server.post("/queue/q/push", json!({ "items": messages }).to_string()).ok();
    let ids = answer["ids"].as_array().unwrap().iter();
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn numbers(messages: &Value) -> Vec<u64> {
    let items = messages.as_array().unwrap().iter();
    items.map(|message| message["item"]["n"].as_u64().unwrap()).collect()
}

#[test]
fn a_pop_gives_the_payloads_alone_in_order() {
    let server = TestServer::start();
    push(&server, &[5, 0, 1, 0]);
    let popped = server.post("/queue/q/pop", "").ok();
    assert_eq!(popped, json!({"items":[{"n":1}],"count":1}));
    let popped = server.post("/queue/q/pop?depth=100", "").ok();
    assert_eq!(popped, json!({"items":[{"n":3},{"n":2},{"n":0}],"count":3}));
    let popped = server.post("/queue/q/pop?depth=100", "").ok();
    assert_eq!(popped, json!({"items":[],"count":0}));
}

#[test]
fn a_pop_with_detail_gives_messages() {
    let server = TestServer::start();
    let ids = push(&server, &[5]);
    let popped = server.post("/queue/q/pop?detail=true&depth=2", "").ok();
    let message = &popped["messages"][0];
    assert_eq!(
        (popped["count"].as_u64(), message["id"].as_str()),
        (Some(1), Some(ids[0].as_str()))
    );
    assert_eq!((&message["priority"], &message["deliveries"]), (&json!(5), &json!(0)));
    assert!(message["pushed_at"].as_u64().unwrap() > 1_600_000_000_000);
}

#[test]
fn a_pop_waits_for_a_message() {
    let server = TestServer::start();
    thread::scope(|scope| {
        let popping = scope.spawn(|| server.post("/queue/q/pop?wait_ms=60000", ""));
        // The push goes to whoever waits, or is there when the pop comes.
        push(&server, &[1]);
        assert_eq!(popping.join().unwrap().ok(), json!({"items":[{"n":0}],"count":1}));
    });
    let popped = server.post("/queue/q/pop?wait_ms=20", "").ok();
    assert_eq!(popped, json!({"items":[],"count":0}));
}

#[test]
fn a_pop_takes_no_body_but_an_empty_one() {
    let server = TestServer::start();
    push(&server, &[1, 1]);
    server.post("/queue/q/pop", "{ }").ok();
    let detail = server.post("/queue/q/pop", r#"{"depth":5}"#).detail(400, "invalid_request");
    assert!(detail.contains("query"), "{detail}");
    assert_eq!(server.get("/queue/q/stats").ok()["ready"], 1);
}

#[test]
fn a_peek_pages_through_in_pop_order_and_takes_nothing() {
    let server = TestServer::start();
    push(&server, &[5, 0, 1, 0, 1]);
    let page = server.get("/queue/q/peek?depth=2").ok();
    assert_eq!((numbers(&page["messages"]), &page["count"]), (vec![1, 3], &json!(2)));
    let next = page["next"].as_str().unwrap();
    let page = server.get(&format!("/queue/q/peek?depth=3&after={next}")).ok();
    assert_eq!(numbers(&page["messages"]), [2, 4, 0]);
    let page = server.get("/queue/q/peek?priority=1&depth=9").ok();
    assert_eq!((numbers(&page["messages"]), &page["next"]), (vec![2, 4], &Value::Null));
    assert_eq!(server.get("/queue/q/stats").ok()["ready"], 5);
}

#[test]
fn a_message_is_looked_up_and_cancelled_by_its_id() {
    let server = TestServer::start();
    let ids = push(&server, &[1, 2]);
    let path = format!("/queue/q/message/{}", ids[0]);
    let message = server.get(&path).ok();
    assert_eq!((&message["state"], &message["item"]), (&json!("ready"), &json!({"n":0})));
    assert_eq!(server.send("DELETE", &path, b"").ok(), json!({"cancelled":true}));
    server.get(&path).refused(404, "message_not_found");
    server.send("DELETE", &path, b"").refused(404, "message_not_found");
    assert_eq!(server.post("/queue/q/pop?depth=9", "").ok()["items"], json!([{"n":1}]));
}

#[test]
fn an_id_that_was_never_given_out_is_not_found() {
    let server = TestServer::start();
    let made_up = "0000000000000abc00000001";
    for id in ["nope", made_up, "0000000000000ABC00000001", "a%2Fb", "%00", "..", "%FF"] {
        server.get(&format!("/queue/q/message/{id}")).refused(404, "message_not_found");
    }
}

#[test]
fn a_purge_removes_all_or_one_priority() {
    let server = TestServer::start();
    push(&server, &[1, 2, 2, 3]);
    let purged = server.post("/queue/q/purge", r#"{"priority":2}"#).ok();
    assert_eq!(purged, json!({"purged":2}));
    assert_eq!(server.post("/queue/q/purge", "{}").ok(), json!({"purged":2}));
    assert_eq!(server.post("/queue/q/purge", "").ok(), json!({"purged":0}));
    assert_eq!(server.get("/queue/q/stats").ok()["purged"], 4);
}
