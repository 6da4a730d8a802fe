//! Governing a queue over HTTP: pause, resume, config, stats, and the list of queues.

use serde_json::{Value, json};

use crate::support::http::TestServer;

const ITEM: &str = r#"{"item":{}}"#;

#[test]
fn a_paused_verb_is_refused_until_it_is_resumed() {
    let server = TestServer::start();
    server.post("/queue/q/push", ITEM).ok();
    let paused = server.post("/queue/q/pause", r#"{"push":true}"#).ok();
    assert_eq!(paused, json!({"paused":{"push":true,"pop":false}}));
    server.post("/queue/q/push", ITEM).refused(503, "paused");
    let paused = server.post("/queue/q/pause", r#"{"pop":true}"#).ok();
    assert_eq!(paused, json!({"paused":{"push":true,"pop":true}}));
    server.post("/queue/q/pop", "").refused(503, "paused");
    assert_eq!(server.get("/queue/q/stats").ok()["paused"], json!({"push":true,"pop":true}));
    let paused = server.post("/queue/q/resume", r#"{"push":true,"pop":true}"#).ok();
    assert_eq!(paused, json!({"paused":{"push":false,"pop":false}}));
    assert_eq!(server.post("/queue/q/pop", "").ok()["count"], 1);
}

#[test]
fn a_pause_that_names_no_verb_is_for_both() {
    let server = TestServer::start();
    let both = json!({"paused":{"push":true,"pop":true}});
    assert_eq!(server.post("/queue/q/pause", "").ok(), both);
    let neither = json!({"paused":{"push":false,"pop":false}});
    assert_eq!(server.post("/queue/q/resume", "{}").ok(), neither);
    for body in [r#"{"push":1}"#, r#"{"push":null}"#, r#"{"peek":true}"#, "[]"] {
        server.post("/queue/q/pause", body).refused(400, "invalid_request");
    }
    assert_eq!(server.post("/queue/q/pause", r#"{"pop":false}"#).ok(), neither);
}

#[test]
fn settings_are_replaced_as_a_whole_and_take_effect_at_once() {
    let server = TestServer::start();
    let default = json!({
        "capacity": null, "on_full": "reject", "durability": null, "max_deliveries": null,
        "lease_ttl_ms": null, "message_ttl_ms": null, "on_expire": "drop",
        "dedup_window_ms": null, "exclusive": false, "push_rate": null, "pop_rate": null,
        "aging_ms": null, "gate": null,
    });
    assert_eq!(server.get("/queue/q/config").ok(), default);
    let config = json!({
        "capacity": 1, "on_full": "evict_lowest", "durability": "relaxed", "max_deliveries": 3,
        "lease_ttl_ms": 1000, "message_ttl_ms": 86400000, "on_expire": "dead_letter",
        "dedup_window_ms": 0, "exclusive": true, "push_rate": {"per_second": 100, "burst": 9},
        "pop_rate": {"per_second": 1, "burst": 1}, "aging_ms": 1,
        "gate": "builds.linux",
    });
    assert_eq!(server.put("/queue/q/config", config.to_string()).ok(), config);
    assert_eq!(server.get("/queue/q/config").ok(), config);
    server.post("/queue/q/push", r#"{"item":{"n":1},"priority":5}"#).ok();
    server.post("/queue/q/push", r#"{"item":{"n":2},"priority":4}"#).ok();
    server.post("/queue/q/push", r#"{"item":{"n":3},"priority":4}"#).refused(429, "queue_full");
    let stats = server.get("/queue/q/stats").ok();
    assert_eq!((&stats["evicted"], &stats["rejected"]), (&json!(1), &json!(1)));
    assert_eq!(stats["durability"], "relaxed");
    assert_eq!(server.put("/queue/q/config", "{}").ok(), default);
}

#[test]
fn a_setting_out_of_bounds_is_refused_and_changes_nothing() {
    let server = TestServer::start();
    server.put("/queue/q/config", r#"{"capacity":3}"#).ok();
    let bodies = [
        (r#"{"capacity":0}"#, "capacity"),
        (r#"{"capacity":-1}"#, "capacity"),
        (r#"{"capacity":"3"}"#, "capacity"),
        (r#"{"on_full":"drop"}"#, "on_full"),
        (r#"{"durability":"fast"}"#, "durability"),
        (r#"{"max_deliveries":0}"#, "max_deliveries"),
        (r#"{"lease_ttl_ms":999}"#, "lease_ttl_ms"),
        (r#"{"lease_ttl_ms":43200001}"#, "lease_ttl_ms"),
        (r#"{"message_ttl_ms":0}"#, "message_ttl_ms"),
        (r#"{"message_ttl_ms":31622400001}"#, "message_ttl_ms"),
        (r#"{"on_expire":"forget"}"#, "on_expire"),
        (r#"{"dedup_window_ms":31622400001}"#, "dedup_window_ms"),
        (r#"{"exclusive":1}"#, "exclusive"),
        (r#"{"push_rate":{"per_second":0,"burst":1}}"#, "push_rate"),
        (r#"{"pop_rate":{"per_second":1,"burst":0}}"#, "pop_rate"),
        (r#"{"pop_rate":{"per_second":1}}"#, "pop_rate"),
        (r#"{"aging_ms":0}"#, "aging_ms"),
        (r#"{"gate":""}"#, "gate"),
        (r#"{"gate":"a b"}"#, "gate"),
        (r#"{"gate":1}"#, "gate"),
        (r#"{"max_retries":3}"#, "max_retries"),
        ("", "the body"),
    ];
    for (body, field) in bodies {
        let detail = server.put("/queue/q/config", body).detail(400, "invalid_request");
        assert!(detail.contains(field), "{body}: {detail}");
    }
    assert_eq!(server.get("/queue/q/config").ok()["capacity"], 3);
    server.post("/queue/q/push", ITEM).ok();
    let body = r#"{"durability":"memory"}"#;
    assert_eq!(server.put("/queue/q/config", body).refused(409, "not_empty")["current"], 1);
}

#[test]
fn a_queue_never_used_answers_zeros() {
    let server = TestServer::start();
    let stats = server.get("/queue/never/stats").ok();
    let counts = [
        "ready",
        "scheduled",
        "leased",
        "dead",
        "bytes",
        "oldest_ready_age_ms",
        "oldest_leased_age_ms",
        "pushed",
        "popped",
        "acked",
        "nacked",
        "expired",
        "dead_lettered",
        "rejected",
        "evicted",
        "cancelled",
        "purged",
    ];
    for count in counts {
        assert_eq!(stats[count], 0, "{count}");
    }
    assert_eq!(stats["by_priority"], json!([]));
    assert_eq!(server.get("/queues").ok()["queues"], json!([]));
}

#[test]
fn statistics_say_what_is_there_and_what_was() {
    let server = TestServer::start();
    for priority in [7, 7, 2] {
        let body = json!({"item":{"p":priority},"priority":priority}).to_string();
        server.post("/queue/q/push", body).ok();
    }
    server.post("/queue/q/pop", "").ok();
    let stats = server.get("/queue/q/stats").ok();
    assert_eq!(stats["by_priority"], json!([{"priority":7,"ready":2}]));
    assert_eq!((&stats["pushed"], &stats["popped"]), (&json!(3), &json!(1)));
    assert_eq!((&stats["ready"], &stats["bytes"]), (&json!(2), &json!(14)));
}

#[test]
fn queues_are_listed_by_prefix_and_page_by_page() {
    let server = TestServer::start();
    for id in ["b.1", "a.2", "a.1", "a.3"] {
        server.post(&format!("/queue/{id}/push"), ITEM).ok();
    }
    let page = server.get("/queues?prefix=a.&limit=2").ok();
    assert_eq!(page, json!({"queues":["a.1","a.2"],"count":2,"next":"a.2"}));
    let page = server.get("/queues?prefix=a.&limit=2&after=a.2").ok();
    assert_eq!(page, json!({"queues":["a.3"],"count":1,"next":Value::Null}));
    assert_eq!(server.get("/queues").ok()["count"], 4);
    assert_eq!(server.get("/queues?prefix=a%2E").ok()["count"], 3);
}
