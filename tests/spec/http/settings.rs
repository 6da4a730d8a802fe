//! Settings over HTTP: what is read can be put back, and one of them changed alone.

use lanekeeper::server::ServerOptions;
use serde_json::{Value, json};

use crate::{
    support::http::{TestServer, options},
    webhook::delivery::local,
};

/// Every resource with settings, and settings of which none is what it is by default.
fn resources() -> [(&'static str, Value); 4] {
    let rate = json!({"per_second": 7, "burst": 9});
    [
        (
            "/queue/q/config",
            json!({
                "capacity": 7, "on_full": "evict_lowest", "durability": "relaxed",
                "max_deliveries": 3, "lease_ttl_ms": 2000, "message_ttl_ms": 5000,
                "on_expire": "dead_letter", "dedup_window_ms": 1, "exclusive": true,
                "push_rate": rate, "pop_rate": rate, "aging_ms": 10, "gate": "g",
            }),
        ),
        (
            "/gate/a.b/policy",
            json!({
                "max_concurrent": 2, "queue_length_max": 3, "timeout_ms": 4,
                "on_full": "cancel_oldest", "rate": rate, "quota": {"limit": 5, "per": "hour"},
                "group": {"tenant": 1, "region": 2},
            }),
        ),
        ("/stream/t/config", json!({"retain": 2, "persist": true, "on_slow": "throttle"})),
        (
            "/queue/s/sink",
            json!({"url": "http://127.0.0.1:9/x", "max_concurrency": 2, "lease_ttl_ms": 1000}),
        ),
    ]
}

fn server() -> TestServer {
    TestServer::with(ServerOptions { sink: local(), ..options() }, |builder| builder)
}

fn get(server: &TestServer, path: &str) -> Value {
    server.get(path).ok()
}

fn put(server: &TestServer, path: &str, body: &Value) -> Value {
    server.put(path, body.to_string()).ok()
}

fn patch(server: &TestServer, path: &str, body: &Value) -> Value {
    server.send("PATCH", path, body.to_string().as_bytes()).ok()
}

/// The paths of the description that have a call of this method.
fn paths_with(document: &Value, method: &str) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.filter(|(_, calls)| calls.get(method).is_some()).map(|(path, _)| path.clone()).collect()
}

#[test]
fn whatever_can_be_put_is_among_the_resources_here_and_can_be_patched() {
    let document = server().get("/openapi.json").ok();
    let of_template = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        let variable = if parts[1] == "stream" { "{topic}" } else { "{id}" };
        format!("/{}/{variable}/{}", parts[1], parts[3])
    };
    let mut known: Vec<String> = resources().iter().map(|(path, _)| of_template(path)).collect();
    known.sort();
    for method in ["put", "patch"] {
        let mut found = paths_with(&document, method);
        // A message has no settings.
        found.retain(|path| !path.contains("/message/"));
        assert_eq!(found, known, "{method}");
    }
}

#[test]
fn what_is_read_can_be_put_back() {
    let server = server();
    for (path, all) in resources() {
        let is_there_by_default = server.get(path).status == 200;
        if is_there_by_default {
            let default = get(&server, path);
            put(&server, path, &default);
            let mut after = get(&server, path);
            // Whose it is has changed: it was put.
            if let Some(source) = default.get("source") {
                after["source"] = source.clone();
            }
            assert_eq!(after, default, "{path}");
        }
        put(&server, path, &all);
        let read = get(&server, path);
        for (name, value) in all.as_object().unwrap() {
            assert_eq!(&read[name], value, "{path}: {name}");
        }
        put(&server, path, &read);
        assert_eq!(get(&server, path), read, "{path}");
    }
}

#[test]
fn a_policy_of_a_parent_can_be_put_as_ones_own() {
    let server = server();
    put(&server, "/gate/a/policy", &json!({"max_concurrent": 4}));
    let inherited = get(&server, "/gate/a.b/policy");
    assert_eq!((&inherited["source"], &inherited["source_gate"]), (&json!("parent"), &json!("a")));
    let own = put(&server, "/gate/a.b/policy", &inherited);
    assert_eq!((&own["source"], &own["max_concurrent"]), (&json!("own"), &json!(4)));
}

#[test]
fn a_patch_changes_the_field_it_names_and_null_stands_for_the_default() {
    let server = server();
    for (path, all) in resources() {
        put(&server, path, &all);
        for (name, value) in all.as_object().unwrap() {
            let before = get(&server, path);
            // Without it the others are not valid: a patch is checked with all that it leaves.
            if ["url", "retain"].contains(&name.as_str()) {
                let body = json!({name: null}).to_string();
                let refused = server.send("PATCH", path, body.as_bytes());
                assert!(refused.detail(400, "invalid_request").contains(name.as_str()), "{path}");
                continue;
            }
            let reset = patch(&server, path, &json!({name: null}));
            assert_ne!(&reset[name], value, "{path}: {name}");
            let mut expected = before.clone();
            expected[name] = reset[name].clone();
            assert_eq!(get(&server, path), expected, "{path}: {name}");
            patch(&server, path, &json!({name: value}));
            // An object is merged into the one that is there.
            assert_eq!(get(&server, path), before, "{path}: {name}");
        }
    }
    let burst = patch(&server, "/queue/q/config", &json!({"push_rate": {"burst": 1}}));
    assert_eq!(burst["push_rate"], json!({"per_second": 7, "burst": 1}));
    let group = patch(&server, "/gate/a.b/policy", &json!({"group": {"tenant": null, "x": 3}}));
    assert_eq!(group["group"], json!({"region": 2, "x": 3}));
}

#[test]
fn a_patch_that_is_refused_changes_nothing_and_names_the_field() {
    let server = server();
    for (path, all) in resources() {
        put(&server, path, &all);
        let before = get(&server, path);
        let name = all.as_object().unwrap().keys().next_back().unwrap().clone();
        for body in [
            json!({"nothing": null}),
            json!({"nothing": 1}),
            json!({&name: [1]}),
            json!({&name: null, "nothing": null}),
        ] {
            let refused = server.send("PATCH", path, body.to_string().as_bytes());
            assert_eq!(refused.status, 400, "{path}: {body}");
            let problem: Value = serde_json::from_str(&refused.body).unwrap();
            let detail = problem["detail"].as_str().unwrap();
            let field = if body.get("nothing").is_some() { "nothing" } else { &name };
            assert!(detail.contains(field), "{path}: {body}: {detail}");
            assert_eq!(get(&server, path), before, "{path}: {body}");
        }
        for body in ["", "[]", "null", "{"] {
            assert_eq!(server.send("PATCH", path, body.as_bytes()).status, 400, "{path}: {body}");
        }
    }
    // Validated as a whole: a dead-letter queue of this one would have too long a name.
    let path = format!("/queue/{}/config", "q".repeat(128));
    let refused = server.send("PATCH", &path, br#"{"capacity":5,"max_deliveries":2}"#);
    assert_eq!(refused.status, 400);
    assert_eq!(get(&server, &path)["capacity"], json!(null));
}

#[test]
fn a_patch_of_nothing_changes_nothing() {
    let server = server();
    put(&server, "/gate/a/policy", &json!({"max_concurrent": 4}));
    let inherited = get(&server, "/gate/a.b/policy");
    assert_eq!(patch(&server, "/gate/a.b/policy", &json!({})), inherited);
    assert_eq!(get(&server, "/gate/a.b/policy")["source"], "parent");
    let missing = server.send("PATCH", "/queue/none/sink", br#"{"max_concurrency":2}"#);
    missing.refused(404, "sink_not_found");
}

#[test]
fn patches_of_different_fields_at_once_are_all_made() {
    const ROUNDS: u64 = 10;
    let server = server();
    for (path, fields) in [
        ("/queue/q/config", ["capacity", "aging_ms", "lease_ttl_ms"]),
        ("/gate/g/policy", ["max_concurrent", "timeout_ms", "queue_length_max"]),
    ] {
        std::thread::scope(|scope| {
            for field in fields {
                let server = &server;
                scope.spawn(move || {
                    for round in 1..=ROUNDS {
                        patch(server, path, &json!({field: 2000 + round}));
                    }
                });
            }
        });
        let after = get(&server, path);
        for field in fields {
            assert_eq!(after[field], 2000 + ROUNDS, "{path}: {field}");
        }
    }
}
