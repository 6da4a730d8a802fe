//! The real binary on a small disk that it fills: nothing acknowledged is lost, everything can be
//! popped although the disk is full, also after a kill, and then it takes messages again, without
//! help. Needs the right to mount.
//!
//! `SOAK=100 cargo test --test soak full_disk` for 200 filled disks.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::{
    rounds, seed,
    support::process::{Serving, lanekeeper, run},
};

/// How long something that has to happen by itself may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A disk of its own, in memory; gone when dropped.
struct Disk(TempDir);

impl Disk {
    fn mount(megabytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(dir.path());
        assert!(mount.status().unwrap().success(), "this test has to be able to mount");
        Self(dir)
    }

    fn data(&self) -> &Path {
        self.0.path()
    }

    /// Takes all space that is left.
    fn fill(&self) {
        let mut file = File::create(self.0.path().join("filling")).unwrap();
        let mut bytes = vec![7; 1 << 16];
        while !bytes.is_empty() {
            if file.write_all(&bytes).is_err() {
                bytes.truncate(bytes.len() / 2);
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

struct Server {
    serving: Serving,
    agent: Agent,
}

impl Server {
    fn start(disk: &Disk) -> Self {
        let data = disk.data().join("data");
        let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
        // Nobody reads what it says.
        command.arg(data).env("RUST_LOG", "off");
        let serving = Serving::start(command);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self { serving, agent }
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let answered = self.agent.post(format!("{}{path}", self.serving.url)).send(body);
        let mut answer = answered.unwrap_or_else(|error| panic!("unanswered: {path}: {error}"));
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap())
    }

    /// Pushes a few messages with these numbers; whether they were taken.
    fn push(&self, from: u64) -> bool {
        let item = |n| json!({ "item": { "n": n, "filling": "x".repeat(1_000) } });
        let items: Vec<Value> = (from..from + PUSHED).map(item).collect();
        let body = json!({ "items": items }).to_string();
        loop {
            match self.post("/queue/q/push", &body) {
                (200, _) => return true,
                (507, _) => return false,
                // The store has to catch up.
                (503, answer) if answer["code"] == "overloaded" => thread::yield_now(),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Pops everything, in its order: the numbers below `end` from `from` on.
    fn pop(&self, mut from: u64, end: u64) {
        let mut gave_at = Instant::now();
        while from < end {
            match self.post("/queue/q/pop?depth=100", "") {
                (200, answer) => {
                    let items = answer["items"].as_array().unwrap();
                    assert!(!items.is_empty(), "{from} to {end} are lost");
                    for item in items {
                        assert_eq!(item["n"], from);
                        from += 1;
                    }
                    gave_at = Instant::now();
                }
                (507, _) => {
                    assert!(gave_at.elapsed() < PATIENCE, "pops are refused at {from} of {end}");
                    thread::yield_now();
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

const PUSHED: u64 = 200;

/// Fills a disk, pops everything, and is then taken messages from again.
fn fill_and_drain(megabytes: u64, is_killed: bool) {
    let disk = Disk::mount(megabytes);
    let mut server = Server::start(&disk);
    let mut count = 0;
    while server.push(count) {
        count += PUSHED;
    }
    assert!(count > 0, "a disk of {megabytes} MB takes something");
    if is_killed {
        server.serving.signal(Signal::KILL);
        drop(server);
        server = Server::start(&disk);
    }
    server.pop(0, count);
    let began = Instant::now();
    while !server.push(count) {
        assert!(began.elapsed() < PATIENCE, "it takes nothing although it is empty");
        thread::yield_now();
    }
    server.pop(count, count + PUSHED);
    server.serving.signal(Signal::TERM);
    let ended = server.serving.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_full_disk_is_drained_and_filled_again() {
    let _machine = crate::machine();
    let seed = seed();
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..rounds(2) {
        let megabytes = if round < 2 { 64 } else { random.u64(48..220) };
        println!("round {round}: {megabytes} MB");
        fill_and_drain(megabytes, round % 2 == 1);
    }
}

#[test]
fn a_directory_that_cannot_be_opened_for_want_of_space_says_how_much_it_needs() {
    let _machine = crate::machine();
    for (megabytes, has_reserve) in [(2, true), (8, false), (16, true), (16, false), (64, false)] {
        let disk = Disk::mount(megabytes);
        let server = Server::start(&disk);
        assert!(server.push(0));
        server.serving.signal(Signal::TERM);
        assert_eq!(server.serving.wait().code, Some(0));
        for name in ["reserve", "reserve-to-open"] {
            if !has_reserve {
                fs::remove_file(disk.data().join("data").join(name)).unwrap();
            }
        }
        disk.fill();
        let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(disk.data().join("data")).env("RUST_LOG", "off");
        let ended = run(command);
        let complaint = ended.failed(3);
        assert!(complaint.contains(" of free space to be opened, and "), "{complaint}");
        fs::remove_file(disk.data().join("filling")).unwrap();
        Server::start(&disk).pop(0, PUSHED);
    }
}
