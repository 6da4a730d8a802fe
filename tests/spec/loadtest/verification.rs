//! The load test finds out a server that breaks its promises, and believes one that keeps them.

use std::{collections::BTreeMap, path::Path, sync::mpsc::channel, thread, time::Duration};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    altered::{Alteration, Altered},
    loadtest::wait_for_second,
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
        let max = figures["max"].as_f64().unwrap();
        assert!((900.0..3_000.0).contains(&max), "{name}: {figures}");
        assert!(figures["p95"].as_f64().unwrap() >= 300.0, "{name}: {figures}");
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

#[test]
fn several_processes_count_and_verify_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let args = ["s3a", "--workers", "3", "--scale", "5", "--duration", "2s", "--warmup", "0"];
    let ended = run(loadtest(&args, &json));
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let result = read(&json);
    let requests = |name: &str| result["figures"][name]["requests"].as_u64().unwrap();
    let buckets = |name: &str| -> u64 {
        let buckets = result["requests"][name]["latencies"].as_array().unwrap();
        buckets.iter().map(|bucket| bucket[1].as_u64().unwrap()).sum()
    };
    // Together they keep the rate of one, each at its own moments.
    let all = requests("push") + requests("pop");
    assert!((990..=1_010).contains(&all), "{all}");
    assert_eq!(buckets("push") + buckets("pop"), all);
    let verification = &result["verification"];
    assert_eq!(verification["pushed"], requests("push"));
    assert_eq!(verification["popped"], verification["pushed"]);
    assert_eq!(result["environment"]["threads"], 3);
    let closed = ["s3a", "--workers", "2", "--users", "5", "--duration", "1s"];
    let ended = run(loadtest(&closed, &json));
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn ctrl_c_ends_all_processes() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let command = loadtest(&["s3a", "--workers", "2", "--duration", "1h"], &json);
    let ended = signal(command, Signal::INT, || wait_for_second(&json));
    assert_eq!(ended.code, Some(130), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(read(&json)["verification"]["lost"], 0);
}

#[test]
fn a_member_that_is_lost_ends_the_run_with_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let mut leader = loadtest(&["s3a", "--coordinator", "127.0.0.1:0", "--duration", "1h"], &json);
    leader.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let mut leader = leader.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stderr = std::io::BufReader::new(leader.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    let addr = line.trim_end().rsplit(' ').next().unwrap().to_owned();
    let member = lanekeeper(["loadtest", "--join", &addr]);
    let killed = signal(member, Signal::KILL, || wait_for_second(&json));
    assert_eq!(killed.code, None);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    assert_eq!(leader.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.contains("a member was lost"), "{rest}");
    assert!(read(&json)["figures"]["push"]["requests"].as_u64().unwrap() > 0);
}

#[test]
fn scenarios_of_a_file_are_run_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (json, file) = (dir.path().join("result.json"), dir.path().join("own.toml"));
    let text = r#"
        [[scenario]]
        id = "orders"
        title = "orders at noon"
        seconds = 1
        queues = 3
        priorities = 2
        depth = 5
        item_bytes = [100, 2000]
        prepopulated = 30
        shape = { kind = "spike", base = 50.0, peak = 100.0, at = 0.5 }
        mix = [{ action = "push", weight = 3 }, { action = "pop", weight = 1 }]
    "#;
    std::fs::write(&file, text).unwrap();
    let with_file = |args: &[&str]| {
        let mut command = loadtest(args, &json);
        command.arg("--file").arg(&file);
        run(command)
    };
    let ended = with_file(&["orders", "--warmup", "0"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let result = read(&json);
    assert_eq!(result["scenario"]["id"], "orders");
    assert!(result["verification"]["pushed"].as_u64().unwrap() > 60, "{result}");
    std::fs::write(&file, text.replace("depth = 5", "depth = 500")).unwrap();
    assert!(with_file(&[]).failed(2).contains("depth must be from 1 to 100, not 500"));
    std::fs::write(&file, text.replace("depth = 5", "deep = 5")).unwrap();
    assert!(with_file(&[]).failed(2).contains("deep"));
}

#[test]
fn a_queue_is_filled_goes_on_where_it_ended_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path());
    let fill = |count: &str| {
        let args = ["prepopulate", "q", "--count", count, "--priorities", "3"];
        let mut command = lanekeeper(args);
        command.args(["--server", &serving.url]);
        run(command)
    };
    assert_eq!(fill("1500").ok(), "1500 messages in q\n");
    assert_eq!(fill("3500").ok(), "3500 messages in q\n");
    assert_eq!(fill("3500").ok(), "3500 messages in q\n");
    let mut pop = lanekeeper(["pop", "q", "--depth", "2"]);
    pop.args(["--server", &serving.url]);
    let popped = run(pop);
    assert!(popped.ok().starts_with("{\"number\":0,") && popped.stdout.contains("\"number\":3,"));
    assert!(fill("4000").failed(1).contains("used by others"));
}

#[test]
fn subscribers_that_read_miss_nothing_beside_others_that_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("result.json");
    let args = ["s8b", "--duration", "2s", "--warmup", "0", "--durability", "memory"];
    let ended = run(loadtest(&args, &json));
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let result = read(&json);
    let published = result["requests"]["publish"]["messages"].as_u64().unwrap();
    let verification = &result["verification"];
    let count = |name: &str| verification[name].as_u64().unwrap();
    assert!(published > 300, "{result}");
    assert_eq!(count("received") + count("announced_missing"), published * 5, "{verification}");
}
