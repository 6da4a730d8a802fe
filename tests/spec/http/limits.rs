//! Names and limits: every row at its bound, one past it, and with the wrong type. A refusal
//! changes nothing.

use lanekeeper::queue::QueueLimits;
use serde_json::{Value, json};

use crate::support::http::{TestServer, options};

/// What tells whether anything changed: all but the time that passes.
fn stats(server: &TestServer) -> Value {
    let mut stats = server.get("/queue/q/stats").ok();
    stats["oldest_ready_age_ms"].take();
    stats
}

/// Checks that each body is refused, names the field and leaves everything as it was.
#[track_caller]
fn refuses(server: &TestServer, bodies: &[&str], (code, field): (&str, &str)) {
    let before = stats(server);
    for body in bodies {
        let detail = server.post("/queue/q/push", body).detail(400, code);
        assert!(detail.contains(field), "{body}: {detail}");
    }
    assert_eq!(stats(server), before);
}

/// An item of exactly so many bytes.
fn item_of(bytes: usize) -> String {
    format!("{{\"t\":\"{}\"}}", "x".repeat(bytes - r#"{"t":""}"#.len()))
}

#[test]
fn an_id_has_1_to_128_characters_of_its_alphabet() {
    let server = TestServer::start();
    let longest = "x".repeat(128);
    for id in ["a", "tenant-7.orders", "A:b_c-9", "a%2Db", "a%3Ab", longest.as_str()] {
        server.get(&format!("/queue/{id}/stats")).ok();
    }
    let too_long = "x".repeat(129);
    let refused = [
        "", ".", "..", ".a", "a.", "a..b", "a%2Fb", "a%00", "a%20b", "%C3%A9", "%FF", "%", "a%",
        "a%zz", "a~", "a*b", "a@b", "a,b", "%2e%2e", &too_long,
    ];
    for id in refused {
        let detail = server.get(&format!("/queue/{id}/stats")).detail(400, "invalid_id");
        assert!(detail.starts_with("queue id: "), "{id}: {detail}");
        server.post(&format!("/queue/{id}/push"), r#"{"item":{}}"#).refused(400, "invalid_id");
    }
    assert_eq!(server.get("/queues").ok()["count"], 0);
}

#[test]
fn an_item_is_one_json_object() {
    let server = TestServer::start();
    let bodies = [
        r#"{}"#,
        r#"{"priority":1}"#,
        r#"{"item":null}"#,
        r#"{"item":[]}"#,
        r#"{"item":"{}"}"#,
        r#"{"item":1}"#,
        r#"{"item":true}"#,
        r#"{"items":[{"item":{}},{"priority":1}]}"#,
        r#"{"items":[{"item":[]}]}"#,
    ];
    refuses(&server, &bodies, ("invalid_item", "item"));
    let detail = server.post("/queue/q/push", bodies[7]).detail(400, "invalid_item");
    assert!(detail.starts_with("items[1].item"), "{detail}");
}

#[test]
fn an_item_has_at_most_a_mebibyte() {
    let server = TestServer::start();
    server.post("/queue/q/push", format!("{{\"item\":{}}}", item_of(1 << 20))).ok();
    let before = stats(&server);
    let body = format!("{{\"item\":{}}}", item_of((1 << 20) + 1));
    let problem = server.post("/queue/q/push", body).refused(413, "too_large");
    assert_eq!(problem["limit"], 1 << 20);
    let body = format!("{{\"items\":[{{\"item\":{{}}}},{{\"item\":{}}}]}}", item_of((1 << 20) + 1));
    let detail = server.post("/queue/q/push", body).detail(413, "too_large");
    assert!(detail.starts_with("items[1].item "), "{detail}");
    assert_eq!(stats(&server), before);
}

#[test]
fn a_body_has_at_most_8_mebibytes() {
    let server = TestServer::start();
    let fill = |bytes: usize| {
        let body = r#"{"item":{}}"#;
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    server.post("/queue/q/push", fill(8 << 20)).ok();
    let before = stats(&server);
    let problem = server.post("/queue/q/push", fill((8 << 20) + 1)).refused(413, "too_large");
    assert_eq!(problem["limit"], 8 << 20);
    assert_eq!(stats(&server), before);
}

#[test]
fn the_sizes_of_items_and_bodies_are_settings() {
    let options = lanekeeper::server::ServerOptions { body_bytes_max: 100, ..options() };
    let limits = QueueLimits { item_bytes_max: 20, ..QueueLimits::default() };
    let server = TestServer::with(options, |builder| builder.queue_limits(limits));
    let push = |bytes| server.post("/queue/q/push", format!("{{\"item\":{}}}", item_of(bytes)));
    push(20).ok();
    assert_eq!(push(21).refused(413, "too_large")["limit"], 20);
    assert_eq!(push(100).refused(413, "too_large")["limit"], 100);
}

#[test]
fn a_priority_is_an_integer_from_0_to_2147483647() {
    let server = TestServer::start();
    for priority in [0, 1, 2_147_483_647_u32] {
        server.post("/queue/q/push", json!({"item":{},"priority":priority}).to_string()).ok();
    }
    let wrong = ["-1", "2147483648", "1.5", "1.0", "\"1\"", "null", "true", "[]", "1e3", "1e99"];
    for priority in wrong {
        let one = format!("{{\"item\":{{}},\"priority\":{priority}}}");
        let several = format!("{{\"items\":[{one}]}}");
        refuses(&server, &[&one, &several], ("invalid_priority", "2147483647"));
        let purge = format!("{{\"priority\":{priority}}}");
        server.post("/queue/q/purge", purge).refused(400, "invalid_priority");
    }
    for priority in ["-1", "2147483648", "1.5", "x", ""] {
        let path = format!("/queue/q/peek?priority={priority}");
        server.get(&path).refused(400, "invalid_priority");
    }
    assert_eq!(stats(&server)["ready"], 3);
}

#[test]
fn a_push_has_1_to_1000_items() {
    let server = TestServer::start();
    let of = |count: usize| json!({ "items": vec![json!({"item":{}}); count] }).to_string();
    server.post("/queue/q/push", of(1)).ok();
    assert_eq!(server.post("/queue/q/push", of(1000)).ok()["count"], 1000);
    refuses(&server, &[&of(0), &of(1001), &of(20_000)], ("invalid_items", "1 to 1000"));
    let bodies = [
        r#"{"items":null}"#,
        r#"{"items":{}}"#,
        r#"{"items":"[]"}"#,
        r#"{"items":[1]}"#,
        r#"{"items":[[{}]]}"#,
        r#"{"item":{},"items":[{"item":{}}]}"#,
    ];
    refuses(&server, &bodies, ("invalid_items", "items"));
}

#[test]
fn a_depth_is_from_1_to_100() {
    let server = TestServer::start();
    server.post("/queue/q/push", r#"{"item":{}}"#).ok();
    let before = stats(&server);
    for depth in ["0", "101", "-1", "1.5", "abc", "", "%20", "99999999999999999999"] {
        let path = format!("/queue/q/pop?depth={depth}");
        let detail = server.post(&path, "").detail(400, "invalid_depth");
        assert!(detail.contains("depth") && detail.contains("1 to 100"), "{detail}");
        server.get(&format!("/queue/q/peek?depth={depth}")).refused(400, "invalid_depth");
    }
    assert_eq!(stats(&server)["ready"], before["ready"]);
    for depth in [1, 100] {
        server.get(&format!("/queue/q/peek?depth={depth}")).ok();
        server.post(&format!("/queue/q/pop?depth={depth}"), "").ok();
    }
}

#[test]
fn a_wait_is_from_0_to_60_seconds() {
    let server = TestServer::start();
    server.post("/queue/q/push", json!({ "items": vec![json!({"item":{}}); 2] }).to_string()).ok();
    for wait in ["60001", "-1", "1.5", "abc", "", "5s"] {
        let path = format!("/queue/q/pop?wait_ms={wait}");
        let detail = server.post(&path, "").detail(400, "invalid_wait");
        assert!(detail.contains("wait_ms") && detail.contains("0 to 60000"), "{detail}");
    }
    assert_eq!(stats(&server)["ready"], 2);
    for wait in [0, 60_000] {
        let path = format!("/queue/q/pop?wait_ms={wait}");
        assert_eq!(server.post(&path, "").ok()["count"], 1);
    }
}

#[test]
fn what_has_no_row_of_its_own_is_an_invalid_request_that_names_the_field() {
    let server = TestServer::start();
    let bodies = ["", "{", "nope", "[]", "5", "{\"item\":{}", "{\"item\":{}}}", "\u{feff}{}"];
    refuses(&server, &bodies, ("invalid_request", "the body"));
    let unknown = [r#"{"item":{},"prio":1}"#, r#"{"items":[{"item":{},"prio":1}]}"#];
    refuses(&server, &unknown, ("invalid_request", "prio"));
    let twice = r#"{"item":{},"item":{}}"#;
    assert!(server.post("/queue/q/push", twice).detail(400, "invalid_request").contains("`item`"));
    for query in ["deep=1", "depth=1&depth=1", "detail=yes", "detail="] {
        let path = format!("/queue/q/pop?{query}");
        let detail = server.post(&path, "").detail(400, "invalid_request");
        assert!(detail.contains(query.split('=').next().unwrap()), "{detail}");
    }
    server.get("/queue/q/peek?after=nope").refused(400, "invalid_request");
    for limit in ["0", "1001", "x"] {
        server.get(&format!("/queues?limit={limit}")).refused(400, "invalid_request");
    }
    assert_eq!(stats(&server)["ready"], 0);
}

#[test]
fn a_body_that_is_not_utf_8_is_refused() {
    let server = TestServer::start();
    let body = b"{\"item\":{\"a\":\"\xff\xfe\"}}";
    server.post("/queue/q/push", body).refused(400, "invalid_request");
    assert_eq!(stats(&server)["pushed"], 0);
}
