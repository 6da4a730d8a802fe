//! `lanekeeper work` against a server: concurrency, leases that are prolonged, and its end.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use lanekeeper::Clock;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    http::{TestServer, options},
    process::{Ended, Running, lanekeeper, run},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Says which message it has, and ends once a line was written to the pipe of that name.
const HELD: &str = "mkfifo $LANEKEEPER_MESSAGE_ID; echo $LANEKEEPER_MESSAGE_ID; \
                    exit $(cat < $LANEKEEPER_MESSAGE_ID)";

fn work(server: &TestServer, args: &[&str], script: &str) -> Command {
    let mut command = lanekeeper(["work", "q"]);
    command.env("LANEKEEPER_SERVER", format!("http://{}", server.addr));
    command.args(args).args(["--", "sh", "-c", script]);
    command
}

fn done(server: &TestServer, args: &[&str], script: &str) -> Ended {
    run(work(server, args, script))
}

/// A `work` whose commands wait in a folder until they are told to end.
fn held(server: &TestServer, args: &[&str], dir: &TempDir) -> Running {
    let mut command = work(server, args, HELD);
    command.current_dir(dir.path());
    Running::start(command)
}

/// Has the command of a message end so.
fn finish(dir: &Path, id: &str, exit_code: u8) {
    fs::write(dir.join(id), format!("{exit_code}\n")).unwrap();
}

fn push(server: &TestServer, count: usize) {
    for n in 1..=count {
        server.post("/queue/q/push", json!({"item": {"n": n}}).to_string()).ok();
    }
}

/// Waits until figures of the queue are as wanted.
#[track_caller]
fn wait(server: &TestServer, wanted: &[(&str, u64)]) {
    let began = Instant::now();
    loop {
        let stats = server.get("/queue/q/stats").ok();
        if wanted.iter().all(|(name, count)| stats[*name] == *count) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{stats}");
        std::thread::yield_now();
    }
}

fn message(server: &TestServer, id: &str) -> Value {
    server.get(&format!("/queue/q/message/{id}")).ok()
}

/// How often leases were prolonged.
fn extended_count(server: &TestServer) -> u64 {
    let metrics = server.get("/metrics").body;
    let sample = "lanekeeper_http_requests_total{route=\"extend\",status=\"2xx\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(sample));
    count.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn as_many_commands_run_at_once_as_are_asked_for_and_each_acks_its_message() {
    let server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    push(&server, 5);
    let mut working = held(&server, &["--concurrency", "3", "--until-empty", "--json"], &dir);
    let mut under_way: Vec<_> = (0..3).map(|_| working.line()).collect();
    wait(&server, &[("leased", 3), ("ready", 2), ("acked", 0)]);
    for acked in 1..=2 {
        finish(dir.path(), &under_way.remove(0), 0);
        under_way.push(working.line());
        wait(&server, &[("leased", 3), ("ready", 2 - acked), ("acked", acked)]);
    }
    under_way.iter().for_each(|id| finish(dir.path(), id, 0));
    let summary = "{\"handled\":5,\"failed\":0,\"lost\":0,\"released\":0}\n";
    assert_eq!(working.end(), (Some(0), summary.to_owned()));
    wait(&server, &[("leased", 0), ("ready", 0), ("acked", 5)]);
}

#[test]
fn a_command_gets_its_message_and_what_is_known_of_it() {
    let server = TestServer::start();
    server.post("/queue/q/push", r#"{"item":{ "n" : 1.0 },"priority":7}"#).ok();
    let script = "cat; about=$LANEKEEPER_MESSAGE_QUEUE; \
                  echo \" $about $LANEKEEPER_MESSAGE_PRIORITY $LANEKEEPER_MESSAGE_DELIVERIES \
                  ${#LANEKEEPER_MESSAGE_ID} ${#LANEKEEPER_MESSAGE_PUSHED_AT}\"";
    let ended = done(&server, &["--once", "--worker", "w1"], script);
    assert_eq!(ended.ok(), "{ \"n\" : 1.0 } q 7 1 24 13\n");
}

#[test]
fn a_lease_is_prolonged_for_as_long_as_its_command_runs() {
    let clock = Clock::manual();
    let server =
        TestServer::with(options(), |builder| builder.clock(clock.clone()).without_duties());
    let dir = tempfile::tempdir().unwrap();
    push(&server, 1);
    let mut working = held(&server, &["--once", "--ttl", "1s"], &dir);
    let id = working.line();
    for _ in 0..2 {
        clock.advance(Duration::from_millis(900));
        // One of them may have been on its way before the clock moved.
        let (began, enough) = (Instant::now(), extended_count(&server) + 2);
        while extended_count(&server) < enough {
            assert!(began.elapsed() < PATIENCE, "{}", message(&server, &id));
            std::thread::yield_now();
        }
        server.runtime.block_on(server.node.settle_duties()).unwrap();
        assert_eq!(message(&server, &id)["state"], "leased");
    }
    finish(dir.path(), &id, 0);
    assert_eq!(working.end(), (Some(0), String::new()));
    wait(&server, &[("acked", 1), ("expired", 0)]);
}

#[test]
fn a_command_whose_lease_ended_under_it_finishes_and_counts_as_lost() {
    let clock = Clock::manual();
    let server =
        TestServer::with(options(), |builder| builder.clock(clock.clone()).without_duties());
    let dir = tempfile::tempdir().unwrap();
    push(&server, 1);
    let mut working = held(&server, &["--once", "--ttl", "1s", "--json"], &dir);
    let id = working.line();
    clock.advance(Duration::from_secs(2));
    server.runtime.block_on(server.node.settle_duties()).unwrap();
    wait(&server, &[("ready", 1), ("expired", 1)]);
    finish(dir.path(), &id, 0);
    let summary = "{\"handled\":0,\"failed\":0,\"lost\":1,\"released\":0}\n";
    assert_eq!(working.end(), (Some(0), summary.to_owned()));
    wait(&server, &[("ready", 1), ("acked", 0)]);
}

#[test]
fn a_command_that_fails_gives_back_with_a_reason_and_a_delay_or_gives_up() {
    let server = TestServer::start();
    push(&server, 1);
    let failing = "echo first >&2; echo no route >&2; exit 3";
    let ended = done(&server, &["--once", "--retry-base", "0ms", "--json"], failing);
    let summary = "{\"handled\":0,\"failed\":1,\"lost\":0,\"released\":0}\n";
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), summary), "{ended:?}");
    let peeked = server.get("/queue/q/peek").ok();
    let message = &peeked["messages"][0];
    assert_eq!(message["deliveries"], 1, "{message}");
    assert_eq!(message["reason"], "exit status: 3: no route", "{message}");
    // Full jitter may draw any delay up to the base.
    done(&server, &["--once", "--retry-base", "1h", "--retry-max", "1h"], failing);
    wait(&server, &[("nacked", 2), ("leased", 0)]);
    push(&server, 1);
    done(&server, &["--once", "--dead-letter-exit", "65"], "exit 65");
    wait(&server, &[("dead", 1), ("leased", 0)]);
    assert_eq!(server.get("/queue/q-deadletter/stats").ok()["ready"], 1);
}

#[test]
fn ctrl_c_leases_no_more_and_lets_commands_finish() {
    let server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    push(&server, 2);
    let mut working = held(&server, &["--json"], &dir);
    let id = working.line();
    working.signal(Signal::INT);
    finish(dir.path(), &id, 0);
    let (code, rest) = working.end();
    let summary = "{\"handled\":1,\"failed\":0,\"lost\":0,\"released\":0}\n";
    assert_eq!((code, rest.as_str()), (Some(130), summary));
    wait(&server, &[("acked", 1), ("ready", 1), ("leased", 0)]);
}

#[test]
fn a_second_signal_kills_and_gives_back_uncounted() {
    let server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    push(&server, 1);
    let mut working = held(&server, &[], &dir);
    let id = working.line();
    working.signal(Signal::TERM);
    assert_eq!(working.insist(Signal::TERM), "a second signal: commands are killed\n");
    assert_eq!(working.end().0, Some(0));
    wait(&server, &[("ready", 1), ("leased", 0)]);
    assert_eq!(message(&server, &id)["deliveries"], 0);
}

#[test]
fn what_a_server_refuses_for_good_ends_it() {
    let server = TestServer::start();
    let refused = done(&server, &["--ttl", "13h"], "true");
    assert!(refused.failed(1).contains("(invalid_ttl)"), "{refused:?}");
    let mut command = work(&server, &[], "true");
    command.env("LANEKEEPER_SERVER", "not a url");
    run(command).failed(2);
}

#[test]
fn a_locked_queue_is_not_empty_and_is_waited_for() {
    let server = TestServer::start();
    server.put("/queue/q/config", r#"{"exclusive":true}"#).ok();
    push(&server, 2);
    let leased = server.post("/queue/q/lease", "{}").ok();
    let working = work(&server, &["--until-empty", "--json"], "true");
    let working = Running::start(working);
    // It has asked, and was told that the queue is locked.
    let locked = "route=\"lease\",status=\"4xx\"} ";
    let began = Instant::now();
    while !server
        .get("/metrics")
        .body
        .lines()
        .any(|line| line.split_once(locked).is_some_and(|(_, count)| count != "0"))
    {
        assert!(began.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    let ack = json!({"leases": [leased["messages"][0]["lease"]]}).to_string();
    server.post("/queue/q/ack", ack).ok();
    let summary = "{\"handled\":1,\"failed\":0,\"lost\":0,\"released\":0}\n";
    assert_eq!(working.end(), (Some(0), summary.to_owned()));
}

#[test]
fn a_paused_queue_is_not_empty_and_is_waited_for() {
    let server = TestServer::start();
    push(&server, 1);
    server.post("/queue/q/pause", r#"{"pop":true}"#).ok();
    let mut working = Running::start(work(&server, &["--until-empty"], "true"));
    assert!(working.complaint().contains("(paused)"));
    server.post("/queue/q/resume", r#"{"pop":true}"#).ok();
    assert_eq!(working.end().0, Some(0));
    wait(&server, &[("acked", 1)]);
}

#[test]
fn work_of_an_earlier_life_of_a_worker_goes_to_somebody_else() {
    let server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    push(&server, 1);
    let beat = || server.post("/worker/w1/heartbeat", "").ok()["life"].to_string();
    let (old, _) = (beat(), beat());
    let args = ["--once", "--worker", "w1", "--life", &old, "--ttl", "1h"];
    let mut working = held(&server, &args, &dir);
    working.line();
    server.post("/worker/w1/deregister", format!("{{\"life\":{old}}}")).ok();
    wait(&server, &[("expired", 1)]);
}
