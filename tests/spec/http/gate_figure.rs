//! What gates show and refuse over HTTP: figures, and policies out of bounds.

use serde_json::{Value, json};

use crate::{
    http::gate::{acquire, one_at_a_time, queued},
    support::http::TestServer,
};

/// How the refusal of a rate ends.
const RATE_BOUND: &str = "must be from 0.000001 to 1000000";

/// A field of a policy, a policy with a number there, and how its refusal ends.
type Field = (&'static str, fn(i64) -> Value, &'static str);

#[test]
fn a_policy_out_of_bounds_is_refused_by_field_and_bound_and_changes_nothing() {
    let server = TestServer::start();
    one_at_a_time(&server, "g");
    let million = "must be from 1 to 1000000";
    let fields: [Field; 7] = [
        ("max_concurrent", |n| json!({ "max_concurrent": n }), million),
        ("queue_length_max", |n| json!({ "queue_length_max": n }), million),
        ("timeout_ms", |n| json!({ "timeout_ms": n }), "must be from 1 to 2592000000"),
        ("rate.per_second", |n| json!({"rate": {"per_second": n, "burst": 1}}), RATE_BOUND),
        ("rate.burst", |n| json!({"rate": {"per_second": 1, "burst": n}}), million),
        ("quota.limit", |n| json!({"quota": {"limit": n, "per": "day"}}), "from 1 to 1000000000"),
        ("group", |n| json!({"group": {"tenant": n}}), "limits must be from 1 to 1000000"),
    ];
    for (field, policy, bound) in fields {
        for number in [0, -1, i64::MIN, i64::MAX] {
            let refused = server.put("/gate/g/policy", policy(number).to_string());
            let detail = refused.detail(400, "invalid_policy");
            assert!(detail.starts_with(&format!("{field}: ")), "{detail}");
            assert!(detail.ends_with(bound), "{detail}");
        }
    }
    for policy in [json!({"max_concurrent": 1.5}), json!({"quota": {"limit": 1, "per": "week"}})] {
        server.put("/gate/g/policy", policy.to_string()).refused(400, "invalid_request");
    }
    assert_eq!(server.get("/gate/g/policy").ok()["max_concurrent"], 1);
}

#[test]
fn metrics_tell_all_gates_together() {
    let server = TestServer::start();
    for gate in ["one", "two"] {
        one_at_a_time(&server, gate);
        acquire(&server, gate, &json!({"owner": "a"})).ok();
        queued(&acquire(&server, gate, &json!({"owner": "b", "wait": false})));
    }
    acquire(&server, "one", &json!({"owner": "c", "timeout_ms": 0})).refused(408, "timed_out");
    server.post("/gate/one/release", r#"{"owner":"a"}"#).ok();
    let metrics = server.get("/metrics").body;
    for line in [
        "lanekeeper_gate_waiting 1\n",
        "lanekeeper_gate_permits 2\n",
        "lanekeeper_gate_granted_total 3\n",
        "lanekeeper_gate_released_total 1\n",
        "lanekeeper_gate_refused_total{blocked_by=\"concurrency\"} 1\n",
        "lanekeeper_http_requests_total{route=\"gate_acquire\",status=\"2xx\"} 4\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("\"one\""), "no label per gate");
}

#[test]
fn metrics_name_the_gates_that_are_asked_for_and_no_others() {
    let server = TestServer::start();
    for gate in ["pack.one", "pack.two", "other"] {
        one_at_a_time(&server, gate);
        acquire(&server, gate, &json!({"owner": "a"})).ok();
        queued(&acquire(&server, gate, &json!({"owner": "b", "wait": false})));
    }
    server.post("/gate/pack.two/release", r#"{"owner":"a"}"#).ok();
    let metrics = server.get("/metrics?gates=pack.").body;
    for line in [
        "lanekeeper_gate_by_id_waiting{gate=\"pack.one\"} 1\n",
        "lanekeeper_gate_by_id_waiting{gate=\"pack.two\"} 0\n",
        "lanekeeper_gate_by_id_permits{gate=\"pack.two\"} 1\n",
        "lanekeeper_gate_by_id_granted_total{gate=\"pack.two\"} 2\n",
        "lanekeeper_gate_by_id_released_total{gate=\"pack.two\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("\"other\""), "{metrics}");
    assert!(server.get("/metrics?gates=").body.contains("{gate=\"other\"}"));
    server.get("/metrics?gate=x").refused(400, "invalid_request");
}
