//! Every example runs, and prints what its reader is told to expect.

use std::{env, path::PathBuf, process::Command};

/// Where cargo builds examples: beside the folder of the test's own binary.
fn example(name: &str) -> PathBuf {
    let binary = env::current_exe().unwrap();
    let path = binary.parent().unwrap().parent().unwrap().join("examples").join(name);
    if !path.exists() {
        // `cargo test --test spec` alone builds none.
        let built = Command::new(env!("CARGO")).args(["build", "--example", name]).status();
        assert!(built.unwrap().success(), "{name} does not build");
    }
    path
}

fn printed(name: &str, args: &[&str]) -> String {
    let output = Command::new(example(name)).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn hello_actor() {
    assert_eq!(
        printed("hello_actor", &[]),
        "alice says hello to bob, its guest no. 1\n\
         alice says hello to carol, its guest no. 2\n\
         dave says hello to bob, its guest no. 1\n"
    );
}

#[test]
fn durable_counter() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    assert_eq!(printed("durable_counter", &[dir]), "visits: 1\nvisits: 2\n");
    assert_eq!(printed("durable_counter", &[dir]), "visits: 3\nvisits: 4\n");
}

#[test]
fn reminders() {
    assert_eq!(
        printed("reminders", &[]),
        "after 5 minutes: 1 item, refreshed 5 times\n\
         alice: still want tea?\n\
         after a day: given up: true, refreshed 0 times since\n"
    );
}

#[test]
fn priority_queue() {
    assert_eq!(
        printed("priority_queue", &[]),
        "waiting: 5\n\
         0 {\"express\":true,\"order\":43}\n\
         1 {\"order\":41}\n\
         1 {\"order\":42}\n\
         1 {\"order\":45}\n\
         2 {\"order\":44}\n\
         waited for {\"order\":46}\n"
    );
}

#[test]
fn gate() {
    assert_eq!(
        printed("gate", &[]),
        "exec-3 is no. 1 in line\n\
         exec-1 made room for [\"exec-4\"]\n\
         exec-4 runs\n\
         exec-2 made room for [\"exec-3\"]\n\
         report-2 is kept out: Some(\"concurrency\")\n\
         2 reports run\n"
    );
}

#[test]
fn embedded_server() {
    assert_eq!(
        printed("embedded_server", &[]),
        "{\"items\":[{\"to\":\"ada@example.org\"}],\"count\":1}\nstopped\n"
    );
}

#[test]
fn actix_interop() {
    assert_eq!(
        printed("actix_interop", &[]),
        "order 1 is no. 1 of ada\n\
         order 2 is no. 1 of grace\n\
         order 3 is no. 2 of ada\n\
         queued {\"customer\":\"ada\",\"order\":1}\n\
         queued {\"customer\":\"grace\",\"order\":2}\n\
         queued {\"customer\":\"ada\",\"order\":3}\n"
    );
}

#[test]
fn fan_out() {
    assert_eq!(
        printed("fan_out", &[]),
        "waits for 2 of 2\n\
         ada: control 3 {\"hello\":\"ada\"}\n\
         ada: critical 2 {\"eur\":1.08}\n\
         ada: bulk 1 {\"eur\":1.07}\n\
         grace: critical 2 {\"eur\":1.08}\n\
         grace: bulk 1 {\"eur\":1.07}\n\
         late: important 4 {\"eur\":1.09}\n"
    );
}

#[test]
fn slow_reader() {
    assert_eq!(
        printed("slow_reader", &[]),
        "the quick one read 100\n\
         and misses 5 critical\n\
         the slow one reads {\"n\":59}\n\
         the slow one reads {\"n\":69}\n\
         the slow one reads {\"n\":79}\n\
         the slow one reads {\"n\":89}\n\
         the slow one reads {\"n\":99}\n\
         and misses 90 bulk\n\
         105 delivered + 95 told as gaps = 2 x 100 published\n"
    );
}

#[test]
fn heartbeat() {
    assert_eq!(
        printed("heartbeat", &[]),
        "online: ada, grace\n\
         ada is offline: Silent\n\
         release-42 runs\n\
         online: grace\n\
         grace is offline: Deregistered\n"
    );
}

#[test]
fn worker() {
    assert_eq!(
        printed("worker", &[]),
        "handled 2, failed 2, cut off 0\n\
         dead: {\"amount\":-1,\"order\":43} for a negative amount\n"
    );
}

#[test]
fn dead_letters() {
    assert_eq!(
        printed("dead_letters", &[]),
        "delivery 1: no route\n\
         delivery 2: mailbox full\n\
         dead: {\"to\":\"ada@example.org\"} of mails, priority 3\n      \
         2 deliveries, max_deliveries: mailbox full\n\
         redriven: 1\n\
         delivery 1: accepted\n\
         ready 0, dead 0, acked 1\n"
    );
}

#[test]
fn scheduled() {
    assert_eq!(
        printed("scheduled", &[]),
        "scheduled: 1\n\
         {\"say\":\"now\"}\n\
         {\"say\":\"later\"}\n\
         the same: true, ready: 1\n\
         left: 0\n"
    );
}
