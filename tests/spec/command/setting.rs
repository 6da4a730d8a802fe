//! `lanekeeper config|pause|resume|sink|delete` and queues with what is in them.

use std::{path::PathBuf, process::Command};

use lanekeeper::server::ServerOptions;
use serde_json::{Value, json};

use crate::{
    support::{
        http::{TestServer, options},
        process::{Ended, lanekeeper, run},
    },
    webhook::delivery::local,
};

/// Where the queues are: at a server, or in a directory.
enum At {
    Server(TestServer),
    Data(tempfile::TempDir),
}

impl At {
    fn both() -> [Self; 2] {
        [Self::Server(TestServer::start()), Self::Data(tempfile::tempdir().unwrap())]
    }

    fn run(&self, args: &[&str]) -> Ended {
        let mut command: Command = lanekeeper(args);
        match self {
            Self::Server(server) => command.arg("--server").arg(format!("http://{}", server.addr)),
            Self::Data(dir) => command.arg("--data").arg(PathBuf::from(dir.path())),
        };
        run(command)
    }

    fn ok(&self, args: &[&str]) -> String {
        self.run(args).ok().to_owned()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--json"]].concat())).unwrap()
    }
}

#[test]
fn settings_are_shown_replaced_and_changed_in_part() {
    for at in At::both() {
        at.ok(&["config", "set", "q", "capacity=5", "on_full=reject", "max_deliveries=3"]);
        let patched = at.json(&["config", "patch", "q", "capacity=7", "max_deliveries=null"]);
        assert_eq!((&patched["capacity"], &patched["on_full"]), (&json!(7), &json!("reject")));
        assert!(patched.get("max_deliveries").is_none_or(Value::is_null), "{patched}");
        assert_eq!(at.json(&["config", "get", "q"]), patched);
        let shown = at.ok(&["config", "get", "q"]);
        assert!(shown.contains("capacity              7\n"), "{shown}");
        // What is read can be put back.
        assert_eq!(at.json(&["config", "set", "q", &patched.to_string()]), patched);
        let refused = at.run(&["config", "patch", "q", "capasity=7"]);
        assert!(refused.failed(1).contains("capasity"), "the field is named: {refused:?}");
        assert_eq!(at.run(&["config", "patch", "q", "nonsense"]).code, Some(2));
        assert_eq!(at.json(&["config", "get", "q"]), patched, "a refusal changes nothing");
    }
}

#[test]
fn a_queue_is_paused_for_some_verbs_and_resumed() {
    for at in At::both() {
        at.ok(&["push", "q", "{}"]);
        assert_eq!(at.ok(&["pause", "q", "--pop"]), "paused: pop\n");
        assert!(at.run(&["pop", "q"]).failed(1).contains("paused"));
        at.ok(&["push", "q", "{}"]);
        assert_eq!(at.ok(&["pause", "q"]), "paused: push, pop\n");
        assert_eq!(at.ok(&["resume", "q", "--push"]), "paused: pop\n");
        let now = at.json(&["resume", "q"]);
        assert_eq!(now, json!({"paused": {"push": false, "pop": false}}));
        assert_eq!(at.ok(&["pop", "q", "--depth", "9"]), "{}\n{}\n");
    }
}

#[test]
fn one_message_is_deleted() {
    for at in At::both() {
        let pushed = at.json(&["push", "q", "{\"n\":1}", "{\"n\":2}"]);
        let id = pushed["ids"][0].as_str().unwrap();
        assert_eq!(at.ok(&["delete", "message", "q", id]), "deleted\n");
        assert!(at.run(&["delete", "message", "q", id]).code == Some(1), "it is gone");
        assert_eq!(at.ok(&["pop", "q", "--depth", "9"]), "{\"n\":2}\n");
    }
}

#[test]
fn a_queue_and_a_gate_are_deleted_and_by_force_alone_while_they_are_in_use() {
    for at in At::both() {
        at.ok(&["push", "q", "{}"]);
        at.ok(&["gate", "policy", "g", "--set", "{\"max_concurrent\":1}"]);
        at.ok(&["gate", "acquire", "g", "a", "--no-wait"]);
        for (kind, id) in [("queue", "q"), ("gate", "g")] {
            let delete = ["delete", kind, id];
            let refused = at.run(&delete);
            assert_eq!(refused.code, Some(1), "{kind} is in use: {refused:?}");
            assert_eq!(at.ok(&[&delete[..], &["--force"]].concat()), "deleted\n");
            assert_eq!(at.ok(&delete), format!("there is no {kind} {id}\n"));
            assert_eq!(at.json(&[&delete[..], &["--yes"]].concat()), json!({"deleted": false}));
        }
        assert_eq!(at.ok(&["queues"]), "");
        at.ok(&["push", "q", "{\"n\":2}"]);
        assert_eq!(at.ok(&["pop", "q"]), "{\"n\":2}\n");
        assert_eq!(at.json(&["delete", "queue", "q"]), json!({"deleted": true}));
    }
}

#[test]
fn a_stream_and_a_worker_are_deleted() {
    let server = TestServer::start();
    server.put("/stream/t/config", r#"{"retain":3}"#).ok();
    server.post("/worker/w/heartbeat", "{}").ok();
    let at = At::Server(server);
    assert_eq!(at.ok(&["delete", "stream", "t"]), "deleted\n");
    assert_eq!(at.ok(&["delete", "stream", "t", "--force"]), "there is no stream t\n");
    assert_eq!(at.json(&["delete", "worker", "w", "--yes"]), json!({"deleted": true}));
    assert_eq!(at.json(&["workers"])["workers"], json!([]));
    let data = At::Data(tempfile::tempdir().unwrap());
    data.ok(&["push", "q", "{}"]);
    assert_eq!(data.ok(&["delete", "stream", "t"]), "there is no stream t\n");

    assert_eq!(data.run(&["delete", "queue"]).code, Some(2));
}

#[test]
fn queues_are_listed_with_what_is_in_them() {
    for at in At::both() {
        at.ok(&["push", "a", "{}", "{}"]);
        at.ok(&["push", "b", "{}", "--delay", "1h"]);
        let listed = at.json(&["queues", "--detail"]);
        let depths = |place: usize| {
            let queue = &listed["queues"][place];
            (queue["id"].clone(), queue["ready"].clone(), queue["scheduled"].clone())
        };
        assert_eq!(depths(0), (json!("a"), json!(2), json!(0)), "{listed}");
        assert_eq!(depths(1), (json!("b"), json!(0), json!(1)), "{listed}");
        let shown = at.ok(&["queues", "--detail", "--prefix", "a"]);
        assert!(shown.starts_with("a ") && shown.contains(" ready 2 "), "{shown}");
    }
}

#[test]
fn a_sink_is_set_shown_and_removed() {
    let options = ServerOptions { sink: local(), ..options() };
    let server = TestServer::with(options, |builder| builder);
    let at = At::Server(server);
    let missing = at.run(&["sink", "get", "q"]);
    assert!(missing.failed(1).contains("(sink_not_found)"), "{missing:?}");
    let set = ["sink", "set", "q", "http://127.0.0.1:9/x", "max_concurrency=7"];
    assert_eq!(at.json(&set)["max_concurrency"], 7);
    let shown = at.ok(&["sink", "get", "q"]);
    assert!(shown.contains("url                   http://127.0.0.1:9/x\n"), "{shown}");
    assert_eq!(at.ok(&["sink", "remove", "q"]), "removed\n");
    assert_eq!(at.run(&["sink", "remove", "q"]).code, Some(1));
    let refused = at.run(&["sink", "set", "q", "ftp://x"]);
    assert!(refused.failed(1).contains("(invalid_sink)"), "{refused:?}");
}
