//! `lanekeeper work`: a command for each message.

use std::{path::Path, process::Command};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::process::{Ended, Running, lanekeeper, run};

fn on(dir: &Path, args: &[&str]) -> Command {
    let mut command = lanekeeper([args[0], "q", "--data"]);
    command.arg(dir).args(&args[1..]);
    command
}

/// A data directory with a queue of these items.
fn filled(items: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut push = on(dir.path(), &["push"]);
    push.args(items);
    run(push).ok();
    dir
}

fn work(dir: &Path, args: &[&str], script: &str) -> Ended {
    let mut command = on(dir, &["work"]);
    command.args(args).args(["--", "sh", "-c", script]);
    run(command)
}

fn stats(dir: &Path) -> Value {
    serde_json::from_str(run(on(dir, &["stats", "--json"])).ok()).unwrap()
}

fn messages(dir: &Path, id: &str) -> Value {
    let mut peek = lanekeeper(["peek", id, "--depth", "100", "--json", "--data"]);
    peek.arg(dir);
    serde_json::from_str::<Value>(run(peek).ok()).unwrap()["messages"].take()
}

#[test]
fn a_command_gets_each_message_and_acknowledges_it_by_its_exit_code() {
    let dir = filled(&[r#"{"n": 1}"#, r#"{"n": 2}"#]);
    let script = "cat; about=$LANEKEEPER_MESSAGE_QUEUE; \
                  echo \" $about $LANEKEEPER_MESSAGE_PRIORITY $LANEKEEPER_MESSAGE_DELIVERIES \
                  ${#LANEKEEPER_MESSAGE_ID} ${#LANEKEEPER_MESSAGE_PUSHED_AT}\"";
    let ended = work(dir.path(), &["--once"], script);
    assert_eq!(ended.ok(), "{\"n\": 1} q 1 1 24 13\n");
    let ended = work(dir.path(), &["--until-empty", "--json"], script);
    let summary = "{\"handled\":1,\"failed\":0,\"lost\":0,\"released\":0}\n";
    assert_eq!(ended.ok(), format!("{{\"n\": 2}} q 1 1 24 13\n{summary}"));
    let stats = stats(dir.path());
    assert_eq!(
        (&stats["ready"], &stats["leased"], &stats["acked"]),
        (&0.into(), &0.into(), &2.into())
    );
}

#[test]
fn a_command_that_fails_gives_back_with_its_exit_code_and_last_line_or_gives_up() {
    let dir = filled(&[r#"{"n":1}"#]);
    let again = ["--once", "--retry-base", "0ms"];
    let ended = work(dir.path(), &again, "echo first >&2; echo no route >&2; exit 3");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "first\nno route\n"));
    let message = &messages(dir.path(), "q")[0];
    assert_eq!(message["deliveries"], 1);
    let ended = work(dir.path(), &["--once", "--dead-letter-exit", "65"], "exit 65");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let stats = stats(dir.path());
    assert_eq!((&stats["nacked"], &stats["dead"]), (&1.into(), &1.into()));
    assert_eq!(messages(dir.path(), "q-deadletter")[0]["item"]["n"], 1);
}

#[test]
fn a_command_that_cannot_be_run_ends_it_and_counts_no_delivery() {
    let dir = filled(&[r#"{"n":1}"#]);
    let mut command = on(dir.path(), &["work"]);
    command.args(["--", "/no/such/command"]);
    let message = run(command).failed(1).to_owned();
    assert!(message.contains("/no/such/command cannot be run"), "{message}");
    assert_eq!(messages(dir.path(), "q")[0]["deliveries"], 0);
    let message = work(dir.path(), &["--concurrency", "0"], "true").failed(2).to_owned();
    assert!(message.contains("--concurrency must be from 1 to 1000, not 0"), "{message}");
}

/// A `work` under way, whose command has begun.
fn begun(dir: &Path, script: &str) -> Running {
    let mut command = on(dir, &["work"]);
    command.args(["--", "sh", "-c", script]);
    let mut running = Running::start(command);
    assert_eq!(running.line(), "begun");
    running
}

#[test]
fn a_signal_lets_commands_finish() {
    let dir = filled(&[r#"{"n":1}"#]);
    let go = dir.path().join("go");
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    let script = format!("echo begun; cat < {}", go.display());
    let working = begun(dir.path(), &script);
    working.signal(Signal::TERM);
    std::fs::write(go, "done\n").unwrap();
    assert_eq!(working.end(), (Some(0), "done\n".to_owned()));
    let stats = stats(dir.path());
    assert_eq!((&stats["ready"], &stats["acked"]), (&0.into(), &1.into()));
}

#[test]
fn a_second_signal_kills_and_gives_back_uncounted() {
    let dir = filled(&[r#"{"n":1}"#]);
    let mut working = begun(dir.path(), "echo begun; exec sleep 600");
    working.signal(Signal::INT);
    let complaint = working.insist(Signal::INT);
    assert_eq!(complaint, "a second signal: commands are killed\n");
    assert_eq!(working.end(), (Some(130), String::new()));
    let message = &messages(dir.path(), "q")[0];
    assert_eq!(message["deliveries"], 0);
}
