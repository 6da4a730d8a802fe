//! `POST /queue/{id}/push`.

use serde_json::{Value, json};

use crate::support::http::TestServer;

#[test]
fn a_message_is_accepted_with_an_id() {
    let server = TestServer::start();
    let answer = server.post("/queue/orders/push", r#"{"item":{"order":41},"priority":0}"#).ok();
    assert_eq!((&answer["success"], &answer["count"]), (&json!(true), &json!(1)));
    let id = answer["ids"][0].as_str().unwrap();
    let message = server.get(&format!("/queue/orders/message/{id}")).ok();
    assert_eq!((&message["item"], &message["priority"]), (&json!({"order":41}), &json!(0)));
}

#[test]
fn several_messages_get_their_ids_in_the_order_in_which_they_were_sent() {
    let server = TestServer::start();
    let body = r#"{"items":[{"item":{"n":0},"priority":9},{"item":{"n":1}},{"item":{"n":2}}]}"#;
    let answer = server.post("/queue/q/push", body).ok();
    assert_eq!(answer["count"], 3);
    for (n, id) in answer["ids"].as_array().unwrap().iter().enumerate() {
        let path = format!("/queue/q/message/{}", id.as_str().unwrap());
        assert_eq!(server.get(&path).ok()["item"]["n"], n);
    }
}

#[test]
fn a_priority_that_is_not_given_is_1() {
    let server = TestServer::start();
    server.post("/queue/q/push", r#"{"item":{}}"#).ok();
    server.post("/queue/q/push", r#"{"items":[{"item":{}}]}"#).ok();
    assert_eq!(server.get("/queue/q/stats").ok()["by_priority"], json!([{"priority":1,"ready":2}]));
}

#[test]
fn a_payload_comes_back_byte_for_byte() {
    let server = TestServer::start();
    let payloads = [
        r#"{ "b" : 1.0,  "a":[ ] }"#,
        r#"{"big":12345678901234567890123456789,"exp":1E400,"neg":-0.0}"#,
        r#"{"twice":1,"twice":2}"#,
        r#"{"text":"\u00e9 é \ud83d\ude00 \/ \t"}"#,
        "{\n\t\"lines\":\r\n true}",
        "{}",
    ];
    for payload in payloads {
        server.post("/queue/q/push", format!("{{\"item\": {payload} ,\"priority\":1}}")).ok();
    }
    let popped = server.post("/queue/q/pop?depth=100", "");
    assert_eq!(popped.body, format!("{{\"items\":[{}],\"count\":6}}", payloads.join(",")));
}

#[test]
fn the_type_of_the_body_need_not_be_declared() {
    let server = TestServer::start();
    for kind in ["application/x-www-form-urlencoded", "text/plain", "application/json"] {
        let body = br#"{"item":{}}"#;
        server.send_with("POST", "/queue/q/push", body, &[("content-type", kind)]).ok();
    }
}

#[test]
fn a_push_is_accepted_whole_or_not_at_all() {
    let server = TestServer::start();
    let body = r#"{"items":[{"item":{}},{"item":{}},{"item":{},"priority":-1}]}"#;
    let detail = server.post("/queue/q/push", body).detail(400, "invalid_priority");
    assert!(detail.starts_with("items[2].priority: "), "{detail}");
    server.put("/queue/q/config", r#"{"capacity":2}"#).ok();
    let three: Vec<Value> = vec![json!({"item":{}}); 3];
    let problem = server
        .post("/queue/q/push", json!({ "items": three }).to_string())
        .refused(429, "queue_full");
    assert_eq!((&problem["limit"], &problem["current"]), (&json!(2), &json!(0)));
    let stats = server.get("/queue/q/stats").ok();
    assert_eq!((&stats["ready"], &stats["pushed"]), (&json!(0), &json!(0)));
}
