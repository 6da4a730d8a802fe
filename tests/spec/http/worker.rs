//! Workers over HTTP: signs of life, farewells, who is there, and what is refused.

use std::time::Duration;

use lanekeeper::{Clock, worker::LivenessOptions};
use serde_json::{Value, json};

use crate::support::http::{TestServer, options};

fn millis(clock: &Clock) -> u64 {
    let since = clock.now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    since.as_millis() as u64
}

fn server(liveness: LivenessOptions) -> (TestServer, Clock) {
    let clock = Clock::manual();
    let build_clock = clock.clone();
    let server = TestServer::with(options(), |builder| {
        builder.clock(build_clock).without_duties().liveness(liveness).unwrap()
    });
    (server, clock)
}

#[test]
fn a_heartbeat_makes_a_worker_known_and_says_what_it_said() {
    let (server, clock) = server(LivenessOptions::default());
    server.get("/worker/w1").refused(404, "worker_not_found");
    let beat = server.post("/worker/w1/heartbeat", r#"{"meta":{"slots":4}}"#).ok();
    let life = beat["life"].as_u64().unwrap();
    assert_eq!(beat, json!({"status":"online","drain":false,"life":life}));
    let first = millis(&clock);
    clock.advance(Duration::from_secs(3));
    let goes_on = json!({ "life": life }).to_string();
    assert_eq!(server.post("/worker/w1/heartbeat", goes_on).ok()["life"], life);
    for body in ["", "{}"] {
        let beat = server.post("/worker/w1/heartbeat", body).ok();
        assert_eq!((&beat["status"], &beat["drain"]), (&"online".into(), &false.into()));
        assert!(beat["life"].as_u64() > Some(life), "a process that has just started");
    }
    let expected = json!({
        "id": "w1", "status": "online", "first_seen_at": first, "last_seen_at": first + 3_000,
        "offline_since": Value::Null, "meta": {"slots":4},
    });
    assert_eq!(server.get("/worker/w1").ok(), expected);
}

#[test]
fn a_farewell_of_an_earlier_life_leaves_the_worker_online() {
    let server = TestServer::start();
    let old = server.post("/worker/w1/heartbeat", "").ok();
    server.post("/worker/w1/heartbeat", "").ok();
    server.post("/queue/q/push", r#"{"item":{}}"#).ok();
    let lease = json!({ "worker": "w1", "life": old["life"] }).to_string();
    assert_eq!(server.post("/queue/q/lease", lease).ok()["count"], 1);
    let farewell = json!({ "life": old["life"] }).to_string();
    assert_eq!(server.post("/worker/w1/deregister", farewell).ok(), json!({"status":"offline"}));
    assert_eq!(server.get("/worker/w1").ok()["status"], "online");
    assert_eq!(server.post("/queue/q/lease", r#"{"wait_ms":20000}"#).ok()["count"], 1);
}

#[test]
fn a_farewell_takes_a_worker_offline_until_it_beats_again() {
    let (server, clock) = server(LivenessOptions::default());
    server.post("/worker/w1/deregister", "").refused(404, "worker_not_found");
    server.post("/worker/w1/heartbeat", "").ok();
    let offline = json!({"status":"offline"});
    assert_eq!(server.post("/worker/w1/deregister", "").ok(), offline);
    assert_eq!(server.post("/worker/w1/deregister", "{}").ok(), offline);
    let worker = server.get("/worker/w1").ok();
    assert_eq!(
        (&worker["status"], &worker["offline_since"]),
        (&json!("offline"), &json!(millis(&clock)))
    );
    assert_eq!(worker["meta"], Value::Null);
    server.post("/worker/w1/heartbeat", "").ok();
    assert_eq!(server.get("/worker/w1").ok()["status"], "online");
}

#[test]
fn a_silent_worker_is_offline_after_the_sweep() {
    let (server, clock) = server(LivenessOptions::default());
    server.post("/worker/w1/heartbeat", "").ok();
    clock.advance(Duration::from_secs(151));
    assert_eq!(server.get("/worker/w1").ok()["status"], "online");
    server.runtime.block_on(server.node.run_duties()).unwrap();
    assert_eq!(server.get("/worker/w1").ok()["status"], "offline");
}

#[test]
fn workers_are_listed_by_status_and_page_by_page() {
    let server = TestServer::start();
    assert_eq!(server.get("/workers").ok(), json!({"workers":[],"count":0,"next":Value::Null}));
    for id in ["c", "a", "b", "d"] {
        server.post(&format!("/worker/{id}/heartbeat"), "").ok();
    }
    server.post("/worker/b/deregister", "").ok();
    let ids = |path: &str| {
        let page = server.get(path).ok();
        let ids: Vec<_> =
            page["workers"].as_array().unwrap().iter().map(|w| w["id"].clone()).collect();
        (json!(ids), page["count"].clone(), page["next"].clone())
    };
    assert_eq!(ids("/workers"), (json!(["a", "b", "c", "d"]), json!(4), Value::Null));
    assert_eq!(ids("/workers?limit=2"), (json!(["a", "b"]), json!(2), json!("b")));
    assert_eq!(ids("/workers?limit=2&after=b"), (json!(["c", "d"]), json!(2), Value::Null));
    let page = ids("/workers?status=online&limit=2");
    assert_eq!(page, (json!(["a", "c"]), json!(2), json!("c")));
    assert_eq!(ids("/workers?status=offline"), (json!(["b"]), json!(1), Value::Null));
    let refused = |path: &str| server.get(path).detail(400, "invalid_request");
    assert!(refused("/workers?status=gone").contains("status: \"gone\" is not one of online"));
    assert!(refused("/workers?limit=0").contains("limit must be an integer from 1 to 1000"));
    assert!(refused("/workers?state=online").contains("unknown parameter"));
}

#[test]
fn bad_input_is_refused_by_name_and_changes_nothing() {
    let (server, _) = server(LivenessOptions {
        meta_bytes_max: 20,
        workers_max: 2,
        ..LivenessOptions::default()
    });
    let beat = |id: &str, body: &str| server.post(&format!("/worker/{id}/heartbeat"), body);
    let long = "x".repeat(129);
    for id in ["a%2Fb", "..", &long] {
        assert!(beat(id, "").detail(400, "invalid_id").starts_with("worker id: "));
    }
    for (body, told) in [
        ("[]", "the body"),
        ("nope", "not valid JSON"),
        (r#"{"mata":{}}"#, "unknown field `mata`"),
        (r#"{"meta":null}"#, "meta: must be one JSON object, not null"),
        (r#"{"meta":[1]}"#, "meta: must be one JSON object, not an array"),
    ] {
        let detail = beat("w1", body).detail(400, "invalid_request");
        assert!(detail.contains(told), "{body}: {detail}");
    }
    let refused = beat("w1", r#"{"meta":{"a":"0123456789abc"}}"#).refused(413, "too_large");
    assert_eq!((&refused["limit"], &refused["current"]), (&json!(20), &json!(21)));
    assert_eq!(server.get("/workers").ok()["count"], 0);
    beat("w1", "").ok();
    beat("w2", "").ok();
    assert_eq!(beat("w3", "").refused(429, "fleet_full")["limit"], 2);
    server.get("/worker/w1/heartbeat").refused(405, "method_not_allowed");
    server.get("/worker/w1/nope").refused(404, "not_found");
    server.post("/worker/w1/deregister", r#"{"x":1}"#).refused(400, "invalid_request");
}

#[test]
fn a_draining_server_still_takes_signs_of_life_and_asks_for_no_more_work() {
    let server = TestServer::start();
    server.post("/worker/w1/heartbeat", "").ok();
    server.handle.drain();
    let beat = server.post("/worker/w1/heartbeat", "").ok();
    assert_eq!((&beat["status"], &beat["drain"]), (&"online".into(), &true.into()));
    assert_eq!(server.post("/worker/w1/deregister", "").ok(), json!({"status":"offline"}));
    server.get("/worker/w1").refused(503, "shutting_down");
    server.runtime.block_on(server.node.shutdown(Duration::from_secs(10))).unwrap();
    server.post("/worker/w1/heartbeat", "").refused(503, "shutting_down");
}

#[test]
fn metrics_count_workers_and_name_none() {
    let (server, clock) = server(LivenessOptions::default());
    for id in ["alice", "bob", "carol"] {
        server.post(&format!("/worker/{id}/heartbeat"), "").ok();
    }
    server.post("/worker/alice/heartbeat", "").ok();
    server.post("/worker/bob/deregister", "").ok();
    clock.advance(Duration::from_secs(151));
    server.post("/worker/carol/heartbeat", "").ok();
    let metrics = server.get("/metrics").body;
    for sample in [
        "lanekeeper_workers{status=\"online\"} 2\n",
        "lanekeeper_workers{status=\"offline\"} 1\n",
        "lanekeeper_worker_beats_pending 2\n",
        "lanekeeper_worker_beats_total 5\n",
        "lanekeeper_worker_arrived_total 3\n",
        "lanekeeper_worker_departed_total{cause=\"deregistered\"} 1\n",
    ] {
        assert!(metrics.contains(sample), "{sample} in {metrics}");
    }
    server.runtime.block_on(server.node.run_duties()).unwrap();
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("lanekeeper_worker_flushes_total 1\n"), "{metrics}");
    let named = server.get("/metrics?workers=b").body;
    assert!(named.contains("lanekeeper_worker_by_id_online{worker=\"bob\"} 0\n"), "{named}");
    assert!(!named.contains("alice") && !named.contains("carol"), "{named}");
    let named = server.get("/metrics?workers=").body;
    let seen = clock.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let sample = format!("_by_id_last_seen_seconds{{worker=\"carol\"}} {seen}\n");
    assert!(named.contains(&sample), "{sample} in {named}");
    assert!(metrics.contains("lanekeeper_worker_written_total{by=\"flush\"} 2\n"), "{metrics}");
    assert!(!metrics.contains("alice") && !metrics.contains("bob"), "{metrics}");
}
