//! The load test of what lies beyond pushes and pops: leases, dead letters, a disk that is full.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    altered::{Alteration, Altered},
    process::{Ended, Serving, lanekeeper, run},
};

/// Runs scenarios for so long; the first result.
fn measured(names: &[&str], seconds: u32, more: &[&str]) -> (Ended, Value) {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let mut command = lanekeeper(["loadtest"]);
    command.args(names).args(["--duration", &format!("{seconds}s"), "--warmup", "0"]).args(more);
    let ended = run(with_json(command, &json));
    let text = fs::read_to_string(json).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    (ended, file["results"][0].clone())
}

fn with_json(mut command: Command, json: &Path) -> Command {
    command.arg("--json").arg(json);
    command
}

#[test]
fn what_workers_abandon_comes_back_and_is_acked_once() {
    let (ended, result) = measured(&["s8a"], 3, &["--durability", "memory"]);
    let found = &result["verification"];
    assert_eq!(ended.code, Some(0), "{found}\n{}{}", ended.stdout, ended.stderr);
    let count = |name: &str| found[name].as_u64().unwrap();
    let work = |name: &str| found["work"][name].as_u64().unwrap();
    assert!(count("pushed") > 1_200 && count("popped") == count("pushed"), "{found}");
    assert!(work("abandoned") > 10, "{found}");
    // Some of what was abandoned was leased again before the end.
    assert!(work("leased") > work("acked") + work("nacked"), "{found}");
    assert!(work("acked") > 300 && work("nacked") == 0, "{found}");
    assert_eq!(result["requests"]["ack"]["failures"], 0, "{}", ended.stdout);
}

#[test]
fn a_storm_of_dead_letters_loses_none() {
    let (ended, result) = measured(&["s8d"], 3, &["--durability", "memory", "--users", "4"]);
    let found = &result["verification"];
    assert_eq!(ended.code, Some(0), "{found}\n{}{}", ended.stdout, ended.stderr);
    let work = |name: &str| found["work"][name].as_u64().unwrap();
    assert!(work("dead_lettered") > 100, "{found}");
    assert_eq!(work("dead_lettered"), work("redriven"), "{found}");
    assert_eq!(found["pushed"], found["popped"]);
}

/// Runs a scenario past an alteration of one of its requests.
fn altered(scenario: &str, alteration: Alteration, target: usize) -> (Ended, Value) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--durability", "memory"]);
    command.arg("--data").arg(dir.path());
    let serving = Serving::start(command);
    let server = serving.url.strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Altered::start(server, alteration, target);
    let (ended, result) = measured(&[scenario], 2, &["--server", &proxy.url]);
    assert!(proxy.is_done(), "nothing was altered");
    (ended, result["verification"].clone())
}

#[test]
fn an_ack_that_is_forgotten_is_caught() {
    let (ended, found) = altered("s8a", Alteration::ForgetAck, 10);
    assert_eq!(ended.code, Some(6), "{}{}", ended.stdout, ended.stderr);
    let count = |name: &str| found[name].as_u64().unwrap();
    assert!(count("shared") > 0 && count("duplicated") > 0 && count("lost") == 0, "{found}");
}

#[test]
fn a_dead_letter_that_is_lost_is_caught() {
    let (ended, found) = altered("s8d", Alteration::AckForNack, 10);
    assert_eq!(ended.code, Some(6), "{}{}", ended.stdout, ended.stderr);
    let count = |name: &str| found[name].as_u64().unwrap();
    assert!(count("lost") > 0 && count("duplicated") == 0, "{found}");
}

#[test]
fn a_full_disk_loses_nothing_and_passes() {
    let (ended, result) = measured(&["s8e"], 6, &["--targets", "baseline"]);
    if ended.code == Some(3) {
        println!("skipped: {}", ended.stderr);
        return;
    }
    assert!(matches!(ended.code, Some(0 | 4)), "{}{}", ended.stdout, ended.stderr);
    let turned_away = result["turned_away"].as_u64().unwrap();
    assert!(turned_away > 50, "{turned_away}: {}", ended.stdout);
    assert_eq!(result["failures"].as_array().unwrap().len(), 0, "{}", ended.stdout);
    let found = &result["verification"];
    assert_eq!((&found["lost"], &found["pushed"]), (&0.into(), &found["popped"]));
    // Space came back after four seconds, and pushes with it.
    let pushes = &result["requests"]["push"];
    let (all, kept) = (pushes["requests"].as_u64(), pushes["messages"].as_u64());
    assert_eq!(all.unwrap(), kept.unwrap() + turned_away);
    assert!(kept.unwrap() > 450, "{pushes}");
}

#[test]
fn what_cannot_be_run_here_is_skipped_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (json, junit) = (dir.path().join("result.json"), dir.path().join("junit.xml"));
    let with_names = |names: &[&str]| {
        let mut command = lanekeeper(["loadtest"]);
        command.args(names).args(["--duration", "1s", "--warmup", "0", "--durability", "memory"]);
        // Without the tool that makes name spaces there is no small disk.
        command.env("PATH", dir.path()).arg("--junit").arg(&junit);
        run(with_json(command, &json))
    };
    let alone = with_names(&["s8e"]);
    assert_eq!(alone.code, Some(3), "{}{}", alone.stdout, alone.stderr);
    assert!(alone.stderr.starts_with("s8e skipped: no small file system"), "{}", alone.stderr);
    let beside = with_names(&["s1b", "s8e"]);
    assert_eq!(beside.code, Some(0), "{}{}", beside.stdout, beside.stderr);
    let file: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(file["skipped"][0]["scenario"], "s8e");
    assert!(fs::read_to_string(&junit).unwrap().contains("<skipped message=\"no small file"));
}
