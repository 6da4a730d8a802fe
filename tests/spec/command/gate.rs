//! `lanekeeper gate`: permits from the command line.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{
    http::TestServer,
    process::{lanekeeper, run},
};

/// A command about gates that talks to a server.
fn gate(server: &TestServer, args: &[&str]) -> Command {
    let mut command = lanekeeper([&["gate"], args].concat());
    command.env("LANEKEEPER_SERVER", format!("http://{}", server.addr));
    command
}

fn ok(server: &TestServer, args: &[&str]) -> String {
    run(gate(server, args)).ok().to_owned()
}

fn one_at_a_time(server: &TestServer) {
    ok(server, &["policy", "g", "--set", r#"{"max_concurrent":1}"#]);
}

#[test]
fn a_permit_is_acquired_released_and_handed_on() {
    let server = TestServer::start();
    one_at_a_time(&server);
    assert_eq!(ok(&server, &["acquire", "g", "a"]), "granted a after 0 ms\n");
    assert_eq!(ok(&server, &["acquire", "g", "b", "--no-wait"]), "queued b at position 1\n");
    assert!(ok(&server, &["ticket", "g", "b"]).starts_with("queued b at position 1"));
    assert_eq!(ok(&server, &["release", "g", "a"]), "released\ngranted b\n");
    assert_eq!(ok(&server, &["release", "g", "a"]), "not held\n");
    let refused = run(gate(&server, &["cancel", "g", "b"]));
    assert!(refused.failed(1).contains("(granted)"), "{refused:?}");
    ok(&server, &["acquire", "g", "c", "--no-wait"]);
    assert_eq!(ok(&server, &["cancel", "g", "c"]), "cancelled\n");
    let late = run(gate(&server, &["acquire", "g", "d", "--timeout", "10ms"]));
    assert!(late.failed(1).contains("(timed_out)"), "{late:?}");
}

#[test]
fn a_permit_is_extended_and_ends_with_its_worker() {
    let server = TestServer::start();
    one_at_a_time(&server);
    server.post("/worker/w1/heartbeat", "").ok();
    ok(&server, &["acquire", "g", "a", "--worker", "w1"]);
    let extended = ok(&server, &["extend", "g", "a", "--ttl", "1h"]);
    let until = server.get("/gate/g/ticket/a").ok()["expires_at"].as_u64().unwrap();
    assert_eq!(extended, format!("until {until}\n"));
    let refused = run(gate(&server, &["extend", "g", "b"]));
    assert!(refused.failed(1).contains("(permit_not_found)"), "{refused:?}");
    let refused = run(gate(&server, &["extend", "g", "a", "--ttl", "13h"]));
    assert!(refused.failed(1).contains("(invalid_ttl)"), "{refused:?}");
    server.post("/worker/w1/deregister", "").ok();
    assert_eq!(
        ok(&server, &["acquire", "g", "b", "--timeout", "20s"]).split(' ').next(),
        Some("granted")
    );
}

#[test]
fn a_gate_is_paused_and_resumed() {
    let server = TestServer::start();
    one_at_a_time(&server);
    assert_eq!(ok(&server, &["pause", "g"]), "paused\n");
    let refused = run(gate(&server, &["acquire", "g", "a"]));
    assert!(refused.failed(1).contains("(paused)"), "{refused:?}");
    assert_eq!(ok(&server, &["resume", "g", "--json"]), "{\"paused\":false}\n");
    ok(&server, &["acquire", "g", "a"]);
}

#[test]
fn stats_and_policies_are_shown_and_set() {
    let server = TestServer::start();
    one_at_a_time(&server);
    ok(&server, &["acquire", "g", "a", "--ttl", "1m", "--group", "tenant=acme"]);
    let stats = ok(&server, &["stats", "g"]);
    assert!(stats.contains("active_count          1\n"), "{stats}");
    let stats: Value = serde_json::from_str(&ok(&server, &["stats", "g", "--json"])).unwrap();
    assert_eq!((&stats["active_count"], &stats["policy"]), (&json!(1), &json!("own")));
    let shown = ok(&server, &["policy", "g"]);
    assert!(shown.contains("max_concurrent        1\n"), "{shown}");
    let dropped = ok(&server, &["policy", "g", "--unset"]);
    assert!(dropped.contains("source                unlimited\n"), "{dropped}");
    let refused = run(gate(&server, &["policy", "g", "--set", r#"{"max_concurrent":0}"#]));
    assert!(refused.failed(1).contains("max_concurrent"), "{refused:?}");
    run(gate(&server, &["policy", "g", "--set", "nonsense"])).failed(2);
    run(gate(&server, &["acquire", "g", "a", "--group", "nonsense"])).failed(2);
}

#[test]
fn a_command_runs_while_a_permit_is_held() {
    let server = TestServer::start();
    one_at_a_time(&server);
    let ended = run(gate(&server, &["run", "g", "--", "sh", "-c", "echo done; exit 7"]));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(7), "done\n"), "{ended:?}");
    let stats = server.get("/gate/g/stats").ok();
    assert_eq!((&stats["total_completed"], &stats["active_count"]), (&json!(1), &json!(0)));
    let missing = run(gate(&server, &["run", "g", "--", "/no/such/command"]));
    missing.failed(3);
    assert_eq!(server.get("/gate/g/stats").ok()["active_count"], 0);
    ok(&server, &["acquire", "g", "a"]);
    let late = run(gate(&server, &["run", "g", "--timeout", "10ms", "--", "true"]));
    assert!(late.failed(1).contains("(timed_out)"), "{late:?}");
}

#[test]
fn a_command_that_is_terminated_gives_its_permit_back() {
    let server = TestServer::start();
    one_at_a_time(&server);
    let mut command = gate(&server, &["run", "g", "--owner", "o", "--", "sh", "-c"]);
    // Says that it runs, and then waits until it is told to end.
    command.arg("echo running; exec tail -f /dev/null").stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = [0; 8];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(server.get("/gate/g/ticket/o").ok()["state"], "granted");
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    server.get("/gate/g/ticket/o").refused(404, "ticket_not_found");
}

#[test]
fn gates_of_a_data_directory_survive_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let on_data = |args: &[&str]| {
        let command = lanekeeper([&["gate"], args, &["--data", data]].concat());
        run(command).ok().to_owned()
    };
    on_data(&["policy", "g", "--set", r#"{"max_concurrent":1}"#]);
    assert_eq!(on_data(&["acquire", "g", "a"]), "granted a after 0 ms\n");
    assert_eq!(on_data(&["acquire", "g", "b", "--no-wait"]), "queued b at position 1\n");
    assert!(on_data(&["extend", "g", "a"]).starts_with("until "));
    assert_eq!(on_data(&["pause", "g"]), "paused\n");
    assert_eq!(on_data(&["resume", "g"]), "resumed\n");
    assert_eq!(on_data(&["release", "g", "a"]), "released\ngranted b\n");
    let checked = run(lanekeeper(["check", data]));
    assert!(checked.ok().contains("gates: 1, with 1 permits held\n"), "{checked:?}");
}
