//! The load test finds out a server that breaks its promises, and believes one that keeps them.

use std::{collections::BTreeMap, path::Path, sync::mpsc::channel, thread, time::Duration};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    altered::{Alteration, Altered},
    process::{Ended, Serving, lanekeeper, run, signal},
};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn serve(data: &Path) -> Serving {
    let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--durability", "memory"]);
    command.arg("--data").arg(data);
    Serving::start(command)
}

fn loadtest(args: &[&str], json: &Path) -> std::process::Command {
    let mut command = lanekeeper(["loadtest"]);
    command.args(args).arg("--json").arg(json);
    command
}

fn read(json: &Path) -> Value {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(file["format"], 1);
    file["results"][0].clone()
}

/// Runs 10,000 prepopulated messages past an alteration of one of them.
fn altered(alteration: Alteration, target: usize) -> (Ended, Value) {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path());
    let server = serving.url.strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Altered::start(server, alteration, target);
    let json = dir.path().join("result.json");
    let args = ["s2c", "--duration", "1s", "--warmup", "0", "--server", &proxy.url];
    let ended = run(loadtest(&args, &json));
    assert!(proxy.is_done(), "nothing was altered");
    (ended, read(&json)["verification"].clone())
}

#[test]
fn one_message_in_ten_thousand_that_is_dropped_doubled_or_moved_is_caught_every_time() {
    let (rounds, seed) = (number("ROUNDS", 2), number("SEED", 4));
    println!("ROUNDS={rounds} SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let breaches = [
        (Alteration::Drop, "lost"),
        (Alteration::Double, "duplicated"),
        (Alteration::Swap, "misordered"),
        (Alteration::Delay, "misordered"),
    ];
    for round in 0..rounds {
        for (alteration, breach) in breaches {
            let target = random.usize(..9_000);
            let (ended, found) = altered(alteration, target);
            let name = format!("round {round}: {alteration:?} of {target}: {found}");
            assert_eq!(ended.code, Some(6), "{name}");
            assert!(found[breach].as_u64().unwrap() >= 1, "{name}");
            assert!(ended.stdout.contains("VERIFICATION FAILED"), "{}", ended.stdout);
        }
    }
}

#[test]
fn a_server_killed_under_load_is_verified_across_its_restart() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let ended = run(loadtest(&["s7d", "s7e", "--duration", "3s"], &json));
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let found = read(&json);
    let verification = &found["verification"];
    assert!(verification["pushed"].as_u64().unwrap() > 100, "{verification}");
    // Nobody answers while it is down.
    assert!(!found["failures"].as_array().unwrap().is_empty(), "{found}");
}

#[test]
fn a_server_that_stands_still_for_a_second_shows_a_maximum_of_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path());
    let json = dir.path().join("result.json");
    let args = ["s3a", "--duration", "4s", "--warmup", "0", "--server", &serving.url];
    let command = loadtest(&args, &json);
    let running = thread::spawn(move || run(command));
    wait_for_second(&json);
    serving.signal(Signal::STOP);
    let (_sender, nothing) = channel::<()>();
    assert!(nothing.recv_timeout(Duration::from_secs(1)).is_err(), "a second passes");
    serving.signal(Signal::CONT);
    let ended = running.join().unwrap();
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let figures: BTreeMap<String, Value> =
        serde_json::from_value(read(&json)["figures"].clone()).unwrap();
    for (name, figures) in figures {
        // A generator that waited for answers would have sent one request in that second.
        assert!(figures["max"].as_f64().unwrap() >= 900.0, "{name}: {figures}");
        assert!(figures["p95"].as_f64().unwrap() >= 300.0, "{name}: {figures}");
    }
}

/// Waits until a run has kept its first second.
fn wait_for_second(json: &Path) {
    let has_second = || {
        let text = std::fs::read_to_string(json).unwrap_or_default();
        let file: Value = serde_json::from_str(&text).unwrap_or_default();
        file["results"][0]["seconds"].as_array().is_some_and(|seconds| !seconds.is_empty())
    };
    while !has_second() {
        thread::yield_now();
    }
}

#[test]
fn ctrl_c_ends_a_run_shows_what_there_is_and_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let command = loadtest(&["s3a", "--duration", "1h"], &json);
    let ended = signal(command, Signal::INT, || wait_for_second(&json));
    assert_eq!(ended.code, Some(130), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("interrupted"), "{}", ended.stdout);
    assert!(ended.stdout.contains("verified"), "{}", ended.stdout);
    let result = read(&json);
    assert_eq!(result["is_complete"], false);
    assert_eq!(result["verification"]["lost"], 0);
}

#[test]
fn a_generator_that_is_killed_leaves_what_it_knew() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let command = loadtest(&["s3a", "--duration", "1h"], &json);
    let ended = signal(command, Signal::KILL, || wait_for_second(&json));
    assert_eq!(ended.code, None);
    let result = read(&json);
    assert_eq!(
        (result["is_complete"].as_bool(), &result["verification"]),
        (Some(false), &Value::Null)
    );
    assert!(result["figures"]["push"]["requests"].as_u64().unwrap() > 0, "{result}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    let unreached = run(loadtest(&["s1a", "--server", &nobody], &json));
    assert!(unreached.failed(3).contains(&nobody), "{}", unreached.stderr);
    let full = run(loadtest(&["s1a", "--duration", "1s"], Path::new("/dev/full")));
    assert_eq!(full.code, Some(1), "{}", full.stderr);
    assert!(full.stdout.contains("verified"), "the summary is shown: {}", full.stdout);
    assert!(full.stderr.contains("/dev/full: No space left"), "{}", full.stderr);
    let wrong = [
        (&["s9"][..], "there is no scenario \"s9\""),
        (&["s1a", "--scale", "0"], "--scale must be"),
        (&["s1a", "--duration", "0"], "--duration must be"),
        (&["s1a", "--users", "0"], "--users must be"),
        (&["s1a", "--users", "1", "--wait", "2s-1s"], "--wait must"),
        (&["s1a", "--server", "ftp://x"], "--server must be"),
    ];
    for (args, expected) in wrong {
        let ended = run(loadtest(args, &json));
        assert!(ended.stderr.contains(expected), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.code, Some(2), "{args:?}");
    }
    let listed = run(lanekeeper(["loadtest", "list"]));
    assert!(listed.ok().lines().count() >= 30, "{}", listed.stdout);
}
