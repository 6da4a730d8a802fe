//! What the load test finds out by itself, repeats, and does when it cannot go on as it should.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::process::{lanekeeper, run};

fn loadtest(args: &[&str]) -> Command {
    let mut command = lanekeeper(["loadtest"]);
    command.args(args).args(["--warmup", "0", "--durability", "memory"]);
    command
}

fn results(json: &Path) -> Value {
    let file: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    file["results"].clone()
}

#[test]
fn the_highest_rate_is_found_between_met_and_missed() {
    // A threshold that a rate of 150 misses by itself, however fast the server is.
    let args = ["s3a", "--max", "--duration", "1s", "--threshold", "rate<150"];
    let ended = run(loadtest(&args));
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let (_, rest) = ended.stdout.split_once("s3a: the thresholds are met up to ").unwrap();
    let rate: f64 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!((136.0..150.0).contains(&rate), "{rate}");
    let never = run(loadtest(&["s3a", "--max", "--duration", "1s", "--threshold", "rate<1"]));
    assert_eq!(never.code, Some(4), "{}{}", never.stdout, never.stderr);
}

#[test]
fn a_seed_repeats_the_choices_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let counts = |seed: &str| {
        let mut command = loadtest(&["s1c", "--duration", "1s", "--scale", "4", "--seed", seed]);
        let ended = run({
            command.arg("s3a").arg("--json").arg(&json);
            command
        });
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        results(&json)[1]["figures"]["push"]["requests"].as_u64().unwrap()
    };
    let (one, again, other) = (counts("7"), counts("7"), counts("8"));
    assert_eq!(one, again);
    assert_ne!(one, other, "four hundred choices came out alike");
}

#[test]
fn what_cannot_be_written_keeps_nothing_else_from_being() {
    let dir = tempfile::tempdir().unwrap();
    let (html, junit) = (dir.path().join("page.html"), dir.path().join("junit.xml"));
    let prefix = dir.path().join("run");
    let mut command = loadtest(&["s1b", "--duration", "1s", "--json", "/dev/full"]);
    command.arg("--html").arg(&html).arg("--junit").arg(&junit).arg("--csv").arg(&prefix);
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("error: /dev/full: No space left"), "{}", ended.stderr);
    assert!(fs::read_to_string(html).unwrap().contains("verified"));
    assert!(fs::read_to_string(junit).unwrap().contains("failures=\"0\""));
    let stats = fs::read_to_string(dir.path().join("run_stats.csv")).unwrap();
    assert!(stats.contains("Aggregated"), "{stats}");
}

#[test]
fn a_leader_whom_nobody_joins_is_ended_by_ctrl_c() {
    let mut command = loadtest(&["s3a", "--coordinator", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut leader = command.spawn().unwrap();
    let mut stderr = BufReader::new(leader.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("members join with: "), "{line}");
    kill_process(Pid::from_child(&leader), Signal::INT).unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(leader.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("error: not all members joined"), "{rest}");
}
