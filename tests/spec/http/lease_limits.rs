//! What is refused about messages under work over HTTP: each bound, one step inside and outside.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::lease::{LeaseServer, Leasing, tokens};

/// Bodies of `verb` that are refused with `code`, each with a detail that begins with `field`.
fn refuses(server: &LeaseServer, verb: &str, bodies: &[Value], (code, field): (&str, &str)) {
    for body in bodies {
        let detail = server.settle(verb, body).detail(400, code);
        assert!(detail.starts_with(field), "{verb} {body}: {detail}");
    }
}

#[test]
fn a_lease_lasts_1_s_to_12_h() {
    let leasing = Leasing::start();
    let server = &leasing.server;
    server.push("q", &[1, 1, 1]);
    let out = [0_u64, 999, 43_200_001, u64::MAX].map(|ttl| json!({ "ttl_ms": ttl }));
    refuses(&leasing.server, "lease", &out, ("invalid_ttl", "ttl_ms: "));
    let wrong = [json!({"ttl_ms": "1s"}), json!({"ttl_ms": -1}), json!({"ttl_ms": null})];
    refuses(&leasing.server, "lease", &wrong, ("invalid_ttl", "ttl_ms: "));
    assert_eq!(server.get("/queue/q/stats").ok()["ready"], 3, "a refusal changes nothing");
    for ttl in [1_000, 43_200_000] {
        let leased = server.lease("q", &json!({ "ttl_ms": ttl })).ok();
        let end = leasing.clock.now_ms() + ttl;
        assert_eq!(leased["messages"][0]["lease_expires_at"], end);
        let lease = tokens(&leased);
        let out = [999_u64, 43_200_001].map(|ttl| json!({"leases": lease, "ttl_ms": ttl}));
        refuses(&leasing.server, "extend", &out, ("invalid_ttl", "ttl_ms: "));
        let extended = server.settle("extend", &json!({"leases": lease, "ttl_ms": ttl})).ok();
        assert_eq!(extended["extended"][0]["lease_expires_at"], end);
    }
}

#[test]
fn a_lease_takes_1_to_100_messages_and_waits_up_to_60_s() {
    let leasing = Leasing::start();
    let server = &leasing.server;
    server.push("q", &[1; 102]);
    let out = [json!({"depth": 0}), json!({"depth": 101}), json!({"depth": -1})];
    refuses(&leasing.server, "lease", &out, ("invalid_depth", "depth"));
    let wrong = [json!({"depth": 1.5}), json!({"depth": "1"}), json!({"depth": null})];
    refuses(&leasing.server, "lease", &wrong, ("invalid_depth", "depth: "));
    let out = [json!({"wait_ms": 60_001}), json!({"wait_ms": -1}), json!({"wait_ms": "1s"})];
    refuses(&leasing.server, "lease", &out, ("invalid_wait", "wait_ms: "));
    for (depth, wait) in [(1, 0), (100, 60_000)] {
        let leased = server.lease("q", &json!({"depth": depth, "wait_ms": wait})).ok();
        assert_eq!(leased["count"], depth);
    }
    assert_eq!(server.get("/queue/q/stats").ok()["ready"], 1);
}

#[test]
fn a_worker_is_an_id_and_a_reason_has_at_most_1024_bytes() {
    let server = LeaseServer::start();
    server.push("q", &[1, 1]);
    let long = "x".repeat(129);
    let out = ["", "a/b", "..", &long].map(|id| json!({ "worker": id }));
    refuses(&server, "lease", &out, ("invalid_id", "worker: "));
    refuses(&server, "lease", &[json!({"worker": 1})], ("invalid_request", "worker: "));
    let longest = json!({"depth": 2, "worker": "x".repeat(128)});
    let leases = tokens(&server.lease("q", &longest).ok());
    for (verb, lease) in ["nack", "dead-letter"].into_iter().zip(&leases) {
        let body = |bytes| json!({"leases": [lease], "reason": "r".repeat(bytes)});
        refuses(&server, verb, &[body(1_025)], ("invalid_request", "reason "));
        let wrong = json!({"leases": [lease], "reason": 1});
        refuses(&server, verb, &[wrong], ("invalid_request", "reason: "));
        server.settle(verb, &body(1_024)).ok();
    }
}

#[test]
fn leases_are_1_to_1000_texts() {
    let leasing = Leasing::start();
    for verb in ["ack", "nack", "extend", "dead-letter"] {
        let none = [json!({}), json!({"leases": []})];
        refuses(&leasing.server, verb, &none, ("invalid_leases", "leases must hold 1 to 1000"));
        let many = json!({"leases": vec!["x"; 1_001]});
        refuses(&leasing.server, verb, &[many], ("invalid_leases", "leases must hold 1 to 1000"));
        let wrong = [json!({"leases": "x"}), json!({"leases": null}), json!({"leases": {}})];
        refuses(&leasing.server, verb, &wrong, ("invalid_leases", "leases: "));
        let wrong = [json!({"leases": ["x", 1]}), json!({"leases": [null]})];
        refuses(&leasing.server, verb, &wrong, ("invalid_leases", "leases["));
        let unknown = json!({"leases": ["x"], "leaze": 1});
        refuses(&leasing.server, verb, &[unknown], ("invalid_request", "leaze: "));
        let most = json!({"leases": vec!["x"; 1_000]});
        leasing.server.settle(verb, &most).refused(404, "lease_not_found");
        let path = format!("/queue/q/{verb}?leases=x");
        leasing.server.post(&path, "{}").refused(400, "invalid_request");
    }
    let lease = json!(["x"]);
    let out = [json!({"leases": lease, "delay_ms": -1}), json!({"leases": lease, "delay_ms": "x"})];
    refuses(&leasing.server, "nack", &out, ("invalid_delay", "delay_ms: "));
    refuses(
        &leasing.server,
        "nack",
        &[json!({"leases": lease, "count": 1})],
        ("invalid_request", "count"),
    );
    leasing.server.push("q", &[1]);
    let good = leasing.server.token("q");
    let late = json!({"leases": [good], "delay_ms": 31_622_400_001_u64});
    refuses(&leasing.server, "nack", &[late], ("invalid_delay", "delay_ms: "));
    let latest = json!({"leases": [good], "delay_ms": 31_622_400_000_u64});
    assert_eq!(leasing.server.settle("nack", &latest).ok()["nacked"], 1);
}

#[test]
fn leases_that_are_none_hide_nothing_that_is_wrong_beside_them() {
    let Leasing { server, .. } = Leasing::start();
    server.push("q", &[1]);
    let none = |field: &str, value: Value| json!({"leases": ["x", "y"], field: value});
    for (verb, body, code, field) in [
        ("nack", none("delay_ms", json!(31_622_400_001_u64)), "invalid_delay", "delay_ms"),
        ("nack", none("reason", json!("r".repeat(1_025))), "invalid_request", "reason"),
        ("extend", none("ttl_ms", json!(999)), "invalid_ttl", "ttl_ms"),
        ("dead-letter", none("reason", json!("r".repeat(1_025))), "invalid_request", "reason"),
    ] {
        let detail = server.settle(verb, &body).detail(400, code);
        assert!(detail.contains(field), "{verb}: {detail}");
    }
    for verb in ["ack", "nack", "extend", "dead-letter"] {
        let body = json!({"leases": ["x", "y"]});
        let detail = server.settle(verb, &body).detail(404, "lease_not_found");
        assert!(detail.starts_with("none of the 2 leases"), "{detail}");
    }
}

#[test]
fn a_redrive_is_told_a_depth_or_ids() {
    let leasing = Leasing::start();
    let problem = leasing.server.settle("redrive", &json!({"depth": 0}));
    let problem = problem.refused(400, "invalid_depth");
    assert_eq!(problem["detail"], "depth must be 1 or more, not 0; leave it out for all");
    assert_eq!(problem["limit"], json!(null), "there is no upper bound to tell of");
    let wrong = [json!({"depth": -1}), json!({"depth": "all"})];
    refuses(&leasing.server, "redrive", &wrong, ("invalid_depth", "depth: "));
    let both = json!({"depth": 1, "ids": ["x"]});
    let many = json!({"ids": vec!["x"; 1_001]});
    let wrong = [both, many, json!({"ids": []}), json!({"ids": [1]}), json!({"ids": "x"})];
    refuses(&leasing.server, "redrive", &wrong, ("invalid_request", "ids"));
    let id = "q".repeat(128);
    let path = format!("/queue/{id}/redrive");
    leasing.server.post(&path, "").refused(400, "invalid_id");
}

#[test]
fn a_paused_queue_gives_no_leases_but_takes_them_back() {
    let Leasing { server, .. } = Leasing::start();
    server.push("q", &[1, 1]);
    let lease = server.token("q");
    server.post("/queue/q/pause", "").ok();
    server.lease("q", &json!({})).refused(503, "paused");
    assert_eq!(server.settle("ack", &json!({"leases": [lease]})).ok()["acked"], 1);
    server.post("/queue/q/resume", "").ok();
    server.token("q");
}

#[test]
fn what_is_leased_or_scheduled_fills_a_queue_too() {
    let Leasing { server, .. } = Leasing::start();
    server.put("/queue/q/config", r#"{"capacity":2}"#).ok();
    server.push("q", &[1]);
    let lease = server.token("q");
    let later = json!({"item": {}, "delay_ms": 1_000}).to_string();
    server.post("/queue/q/push", &later).ok();
    let full = server.post("/queue/q/push", r#"{"item":{}}"#).refused(429, "queue_full");
    assert_eq!((&full["limit"], &full["current"]), (&json!(2), &json!(2)));
    server.settle("ack", &json!({"leases": [lease]})).ok();
    server.post("/queue/q/push", r#"{"item":{}}"#).ok();
}

#[test]
fn an_exclusive_queue_is_locked_while_one_batch_is_under_work() {
    let Leasing { server, clock } = Leasing::start();
    server.put("/queue/q/config", r#"{"exclusive":true}"#).ok();
    server.push("q", &[1, 1, 1]);
    let leased = server.lease("q", &json!({"depth": 2, "ttl_ms": 10_000})).ok();
    let end = clock.now_ms() + 10_000;
    let locked = server.lease("q", &json!({})).refused(423, "locked");
    assert_eq!(locked["lease_expires_at"], end);
    let locked = server.post("/queue/q/pop", "").refused(423, "locked");
    assert_eq!(locked["lease_expires_at"], end);
    let [first, second] = &tokens(&leased)[..] else { panic!("{leased}") };
    server.settle("ack", &json!({"leases": [first]})).ok();
    server.lease("q", &json!({})).refused(423, "locked");
    server.settle("nack", &json!({"leases": [second]})).ok();
    let next = server.lease("q", &json!({"depth": 9})).ok();
    assert_eq!(next["messages"][0]["item"], json!({"n":1}), "back in front of what came after it");
    clock.advance(Duration::from_secs(30));
    server.settle_duties();
    assert_eq!(server.lease("q", &json!({"depth": 9})).ok()["count"], 2);
}

#[test]
fn a_limited_queue_says_truly_when_there_is_room() {
    let Leasing { server, clock } = Leasing::start();
    server.put("/queue/q/config", r#"{"pop_rate":{"per_second":2,"burst":1}}"#).ok();
    server.push("q", &[1, 1, 1]);
    server.token("q");
    clock.advance(Duration::from_millis(100));
    let limited = server.lease("q", &json!({})).refused(429, "rate_limited");
    let wait = limited["retry_after_ms"].as_u64().unwrap();
    assert_eq!(wait, 400);
    clock.advance(Duration::from_millis(wait - 1));
    server.lease("q", &json!({})).refused(429, "rate_limited");
    clock.advance(Duration::from_millis(1));
    server.token("q");
}

#[test]
fn the_options_of_a_push_are_bounded_and_named() {
    let Leasing { server, .. } = Leasing::start();
    let cases = [
        (json!({"delay_ms": 31_622_400_001_u64}), "invalid_delay", "delay_ms"),
        (json!({"delay_ms": "1s"}), "invalid_delay", "delay_ms"),
        (json!({"ttl_ms": 0}), "invalid_ttl", "ttl_ms"),
        (json!({"ttl_ms": 31_622_400_001_u64}), "invalid_ttl", "ttl_ms"),
        (json!({"ttl_ms": 5, "delay_ms": 5}), "invalid_ttl", "ttl_ms"),
        (json!({"key": ""}), "invalid_key", "key"),
        (json!({"key": "k".repeat(257)}), "invalid_key", "key"),
        (json!({"key": null}), "invalid_key", "key"),
    ];
    for (mut message, code, field) in cases {
        message["item"] = json!({});
        let detail = server.post("/queue/q/push", message.to_string()).detail(400, code);
        assert!(detail.starts_with(&format!("{field}: ")), "{detail}");
        let items: Vec<_> = [json!({"item": {}}), message].into_iter().collect();
        let batch = json!({ "items": items }).to_string();
        let detail = server.post("/queue/q/push", batch).detail(400, code);
        assert!(detail.starts_with(&format!("items[1].{field}: ")), "{detail}");
    }
    let beside = json!({"items": [{"item": {}}], "key": "k"}).to_string();
    let detail = server.post("/queue/q/push", beside).detail(400, "invalid_request");
    assert!(detail.starts_with("key: "), "{detail}");
    assert_eq!(server.get("/queue/q/stats").ok()["pushed"], 0);
    let most = 31_622_400_000_u64;
    let most = json!({"item": {}, "delay_ms": most - 1, "ttl_ms": most, "key": "k".repeat(256)});
    assert_eq!(server.post("/queue/q/push", most.to_string()).ok()["count"], 1);
}

#[test]
fn a_lease_without_a_permit_of_the_queues_gate_is_refused_or_waits() {
    let server = LeaseServer::start();
    server.put("/gate/g/policy", r#"{"max_concurrent":1}"#).ok();
    server.put("/queue/q/config", r#"{"gate":"g"}"#).ok();
    server.push("q", &[1, 1]);
    let leased = server.lease("q", &json!({"depth": 2})).ok();
    assert_eq!(leased["count"], 1, "as many as there are permits");
    let refused = server.lease("q", &json!({})).refused(429, "no_permit");
    assert_eq!(refused["blocked_by"], "concurrency");
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.lease("q", &json!({"wait_ms": 60_000})).ok());
        while server.get("/gate/g/stats").ok()["queue_length"] != 1 {
            std::thread::yield_now();
        }
        server.settle("ack", &json!({"leases": tokens(&leased)})).ok();
        waiting.join().unwrap()
    });
    assert_eq!(waiting["count"], 1);
}
