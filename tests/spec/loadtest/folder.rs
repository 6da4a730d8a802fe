//! A load test that is killed leaves its temporary folder; the next one removes it, and that alone.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;

use crate::support::{
    loadtest::wait_for_second,
    process::{Running, lanekeeper, run, signal},
};

/// A load test with its temporary folder in this one.
fn loadtest(parent: &Path, duration: &str, json: &Path) -> Command {
    let mut command = lanekeeper(["loadtest", "s3a", "--durability", "memory", "--warmup", "0"]);
    command.args(["--duration", duration]).arg("--dir").arg(parent).arg("--json").arg(json);
    command
}

fn entries(parent: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// What is there now and was not there before.
fn added(parent: &Path, before: &BTreeSet<PathBuf>) -> PathBuf {
    let after = entries(parent);
    let mut added = after.difference(before);
    let first = added.next().expect("there is a new folder").clone();
    assert_eq!(added.next(), None, "there is one");
    first
}

#[test]
fn what_a_killed_load_test_left_is_removed_by_the_next() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let json = elsewhere.path().join("result.json");
    let parent = dir.path();
    // Folders that look like one: somebody else's, and a link.
    let stranger = parent.join("lanekeeper-loadtest-mine");
    fs::create_dir(&stranger).unwrap();
    fs::write(elsewhere.path().join("server.log"), "precious").unwrap();
    let link = parent.join("lanekeeper-loadtest-link");
    symlink(elsewhere.path(), &link).unwrap();
    let mut kept = entries(parent);

    let killed = signal(loadtest(parent, "1h", &json), Signal::KILL, || wait_for_second(&json));
    assert_eq!(killed.code, None);
    let left = added(parent, &kept);
    // Its server ends when it finds itself alone.
    File::open(left.join("server.log")).unwrap().lock().unwrap();

    fs::remove_file(&json).unwrap();
    let in_use = Running::start(loadtest(parent, "1h", &json));
    wait_for_second(&json);
    assert!(!left.exists(), "the start of another has removed it");
    kept.insert(added(parent, &kept));

    let next = run(loadtest(parent, "1s", &elsewhere.path().join("next.json")));
    assert_eq!(next.code, Some(0), "{}{}", next.stdout, next.stderr);
    assert_eq!(entries(parent), kept);
    assert_eq!(fs::read_to_string(link.join("server.log")).unwrap(), "precious");
    drop(in_use);
}
