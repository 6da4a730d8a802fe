//! `lanekeeper serve`: its settings, its one line, its orderly end.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::Command,
    thread,
};

use rustix::process::Signal;

use crate::support::{
    http::{Reply, agent, connect, send},
    process::{Serving, lanekeeper, run},
};

const ITEM: &[u8] = br#"{"item":{}}"#;

/// `serve` on a free port with a data directory.
fn serve(data: &Path) -> Command {
    let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data);
    command
}

fn get(serving: &Serving, path: &str) -> Reply {
    send(&agent(), &format!("{}{path}", serving.url), "GET", (b"", &[]))
}

fn post(serving: &Serving, path: &str, body: &[u8]) -> Reply {
    send(&agent(), &format!("{}{path}", serving.url), "POST", (body, &[]))
}

#[test]
fn one_line_says_where_it_listens_and_the_logs_are_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(serve(dir.path()));
    assert!(serving.url.starts_with("http://127.0.0.1:"), "{}", serving.url);
    get(&serving, "/health/ready").ok();
    serving.signal(Signal::TERM);
    let ended = serving.wait();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert!(ended.stderr.contains("draining"), "{}", ended.stderr);
}

#[test]
fn ctrl_c_drains_and_says_that_it_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(serve(dir.path()));
    post(&serving, "/queue/q/push", ITEM).ok();
    serving.signal(Signal::INT);
    assert_eq!(serving.wait().code, Some(130));
}

#[test]
fn a_drain_answers_those_who_wait_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(serve(dir.path()));
    for _ in 0..20 {
        post(&serving, "/queue/q/push", ITEM).ok();
    }
    thread::scope(|scope| {
        let polling = scope.spawn(|| post(&serving, "/queue/empty/pop?wait_ms=60000", b""));
        // The poll is under way once it is counted.
        while !get(&serving, "/metrics").body.contains("requests_in_flight 2") {
            thread::yield_now();
        }
        serving.signal(Signal::TERM);
        polling.join().unwrap().refused(503, "shutting_down");
    });
    assert_eq!(serving.wait().code, Some(0));
    let serving = Serving::start(serve(dir.path()));
    assert_eq!(get(&serving, "/queue/q/stats").ok()["ready"], 20);
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    command.args(["--drain-timeout", "1h"]);
    let serving = Serving::start(command);
    let mut idle = connect(serving.url.strip_prefix("http://").unwrap().parse().unwrap());
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 1024];
    assert!(idle.read(&mut answer).unwrap() > 0);
    serving.signal(Signal::TERM);
    assert_eq!(idle.read(&mut answer).unwrap(), 0, "it is closed");
    assert_eq!(serving.wait().code, Some(0));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lanekeeper.toml");
    fs::write(&file, "token = \"file\"\nbody_bytes_max = \"2MiB\"\nitem_bytes_max = 10\n").unwrap();
    let with = |token_flag: bool| {
        let mut command = serve(&dir.path().join("data"));
        command.arg("--config").arg(&file).env("LANEKEEPER_TOKEN", "environment");
        if token_flag {
            command.args(["--token", "flag"]);
        }
        Serving::start(command)
    };
    let is_token = |serving: &Serving, token: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        let url = format!("{}/queue/q/push", serving.url);
        let body = br#"{"item":{"n":123456}}"#;
        let reply = send(&agent(), &url, "POST", (body, &headers));
        // What the file says of sizes holds in any case.
        if reply.status == 413 {
            assert_eq!(reply.refused(413, "too_large")["limit"], 10);
        }
        reply.status == 413
    };
    let serving = with(true);
    assert!(is_token(&serving, "flag") && !is_token(&serving, "environment"));
    drop(serving);
    let serving = with(false);
    assert!(is_token(&serving, "environment") && !is_token(&serving, "file"));
}

#[test]
fn a_wrong_setting_is_a_usage_and_names_the_setting() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lanekeeper.toml");
    let wrong = [
        ("lisen = \"127.0.0.1:0\"", "lisen"),
        ("idle_timeout = \"5 minutes\"", "idle_timeout"),
        ("workers = 0", "workers must be from 1 to 1024, not 0"),
        ("flush_interval = \"2m\"", "flush_interval must be from 1ms to 1m, not 2m"),
        ("durability = \"maybe\"", "durable, relaxed, memory"),
    ];
    for (text, expected) in wrong {
        fs::write(&file, text).unwrap();
        let mut command = serve(&dir.path().join("data"));
        command.arg("--config").arg(&file);
        let ended = run(command);
        assert!(ended.failed(2).contains(expected), "{expected}: {}", ended.stderr);
    }
    let mut command = serve(&dir.path().join("data"));
    command.arg("--config").arg(dir.path().join("missing.toml"));
    assert!(run(command).failed(2).contains("missing.toml"));
    let mut command = serve(&dir.path().join("data"));
    command.env("RUST_LOG", "lanekeeper=nonsense");
    assert!(run(command).failed(2).contains("RUST_LOG"));
}

#[test]
fn what_cannot_be_had_is_a_failure_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut exposed = lanekeeper(["serve", "--listen", "0.0.0.0:0", "--data"]);
    exposed.arg(&data);
    assert!(run(exposed).failed(3).contains("needs a token"));
    let serving = Serving::start(serve(&data));
    let listen = serving.url.strip_prefix("http://").unwrap();
    let mut taken = lanekeeper(["serve", "--listen", listen, "--data"]);
    taken.arg(dir.path().join("other"));
    assert!(run(taken).failed(3).contains(listen));
    let mut nowhere = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
    nowhere.arg("/dev/null/data");
    assert!(run(nowhere).failed(3).contains("/dev/null/data"));
}

#[test]
fn a_data_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(serve(dir.path()));
    assert!(run(serve(dir.path())).failed(3).contains("in use"));
    let mut client = lanekeeper(["stats", "q", "--data"]);
    client.arg(dir.path());
    assert!(run(client).failed(3).contains("in use"));
    get(&serving, "/health/ready").ok();
}

#[test]
fn logs_are_json_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    command.args(["--log-format", "json"]);
    let serving = Serving::start(command);
    serving.signal(Signal::TERM);
    let ended = serving.wait();
    for line in ended.stderr.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["level"].is_string() && event["message"].is_string(), "{line}");
    }
    assert!(!ended.stderr.is_empty());
}

#[test]
fn a_token_of_the_environment_serves_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(dir.path());
    command.env("LANEKEEPER_TOKEN", "s3cret");
    let serving = Serving::start(command);
    let mut push = lanekeeper(["push", "q", "{}", "--server", &serving.url]);
    assert!(run(push).failed(1).contains("(unauthorized)"));
    push = lanekeeper(["push", "q", "{}", "--server", &serving.url]);
    push.env("LANEKEEPER_TOKEN", "s3cret");
    assert_eq!(run(push).ok(), "pushed 1\n");
}
