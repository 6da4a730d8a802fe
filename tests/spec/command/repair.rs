//! What can be done about a data directory that is not opened: it is told, exported, repaired.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    http::{agent, send},
    process::{Ended, Serving, lanekeeper, run},
};

fn on(dir: &Path, args: &[&str]) -> Command {
    let mut command = lanekeeper(args);
    command.arg("--data").arg(dir);
    command
}

fn push(dir: &Path, args: &[&str]) {
    let pushed = run(on(dir, &[&["push", "orders"], args].concat()));
    assert_eq!(pushed.ok(), "pushed 1\n");
}

/// A directory with two messages, one of them to come, and the folder it is in.
fn pushed() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    push(&dir, &[r#"{"n":1}"#, "--priority", "3", "--key", "one"]);
    push(&dir, &[r#"{"n":2}"#, "--delay", "1h"]);
    (folder, dir)
}

fn lines(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_a_server_refuses_is_told_exported_and_repaired() {
    let (folder, dir) = pushed();
    fs::remove_file(dir.join("MANIFEST")).unwrap();
    let refused = run(on(&dir, &["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(refused.code, Some(3), "{refused:?}");
    let told = run(on(&dir, &["peek", "orders"])).failed(3).to_owned();
    for word in ["MANIFEST: it is missing", "base-1", "check --repair", "nothing was changed"] {
        assert!(refused.stderr.contains(word) && told.contains(word), "{word}: {told}");
    }
    assert_eq!(run(lanekeeper(["check", dir.to_str().unwrap()])).code, Some(6));

    let exported = run(on(&dir, &["export", "--queue", "orders"]));
    exported.ok();
    let found = lines(&exported);
    let item = |n: u64| found.iter().find(|line| line["item"]["n"] == n).unwrap();
    assert_eq!((&item(1)["priority"], &item(1)["state"]), (&3.into(), &"ready".into()));
    assert_eq!((&item(1)["key"], &item(1)["queue"]), (&"one".into(), &"orders".into()));
    assert_eq!(item(2)["state"], "scheduled");
    assert!(item(2)["ready_at"].as_u64() > item(2)["pushed_at"].as_u64(), "{found:?}");
    assert_eq!(run(on(&dir, &["export", "--queue", "other"])).ok(), "");

    let repair = || run(lanekeeper(["check", "--repair", dir.to_str().unwrap()]));
    let repaired = folder.path().join("data.repaired");
    assert!(repair().ok().contains("2 messages among them"));
    assert!(repair().failed(1).contains("exists already"));
    assert!(run(lanekeeper(["check", repaired.to_str().unwrap()])).ok().ends_with("sound\n"));
    let id = found.iter().find(|line| line["item"]["n"] == 1).unwrap()["id"].as_str().unwrap();
    let peeked = run(on(&repaired, &["peek", "orders"])).ok().to_owned();
    assert_eq!(peeked, format!("{id}\t3\t{{\"n\":1}}\n"));
}

/// How long a store is left alone before it folds what its journal holds.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// A directory of a server that was killed before anything left its journal.
fn killed() -> (tempfile::TempDir, PathBuf) {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let server = Serving::start(on(&dir, &["serve", "--listen", "127.0.0.1:0"]));
        let (agent, url) = (agent(), format!("{}/queue/orders/push", server.url));
        let began = Instant::now();
        for n in 0..3 {
            let item = format!(r#"{{"item":{{"n":{n},"mark":"here-{n}"}}}}"#);
            send(&agent, &url, "POST", (item.as_bytes(), &[])).ok();
        }
        server.signal(Signal::KILL);
        server.wait();
        if began.elapsed() < IDLE_AFTER {
            return (folder, dir);
        }
    }
    panic!("three pushes and a kill took over {IDLE_AFTER:?}, twenty times");
}

#[test]
fn what_cannot_be_saved_is_told() {
    let (_folder, dir) = killed();
    let entries = fs::read_dir(dir.join("journal")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let segment = paths.filter(|path| path.extension().is_some_and(|it| it == "log")).max();
    let segment = segment.unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(6).position(|word| word == b"here-1").unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();

    let name = segment.to_str().unwrap();
    assert!(run(on(&dir, &["peek", "orders"])).failed(3).contains(name));
    let exported = run(on(&dir, &["export"]));
    assert_eq!((exported.code, lines(&exported).len()), (Some(6), 2), "{exported:?}");
    assert!(exported.stderr.contains("bytes cannot be read"), "{}", exported.stderr);
    let repaired = run(lanekeeper(["check", "--repair", "--json", dir.to_str().unwrap()]));
    assert_eq!(repaired.code, Some(6), "{repaired:?}");
    let report: Value = serde_json::from_str(&repaired.stdout).unwrap();
    assert_eq!((&report["messages"], &report["sound"]), (&2.into(), &true.into()), "{report}");
    assert!(
        repaired.stderr.contains("3 ready messages were recorded, 2 are there"),
        "{repaired:?}"
    );
}

#[test]
fn a_file_in_the_place_of_the_data_directory_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    fs::write(&file, "no directory").unwrap();
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["push", "orders", "{}"]] {
        let refused = run(on(&file, command));
        assert_eq!(refused.code, Some(3), "{refused:?}");
        let sentence =
            format!("{}: it is a file, and the data directory has to be", file.display());
        assert!(refused.stderr.contains(&sentence), "{refused:?}");
        assert!(refused.stderr.contains("name another one with --data"), "{refused:?}");
    }
}
