//! `lanekeeper heartbeat` and `lanekeeper workers`.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{
    http::TestServer,
    process::{Serving, lanekeeper, run},
};

/// A `heartbeat` under way; killed when dropped.
struct Beating {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Beating {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn complaint(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    /// Sends a signal; answers with what was printed after it, and the exit code.
    fn end(mut self, signal: Signal) -> (String, Option<i32>) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (rest, self.child.wait().unwrap().code())
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn heartbeat(url: &str, args: &[&str]) -> Command {
    let mut command = lanekeeper(["heartbeat", "w1", "--server", url]);
    command.args(args);
    command
}

fn url(server: &TestServer) -> String {
    format!("http://{}", server.addr)
}

#[test]
fn a_worker_beats_until_ctrl_c_and_says_goodbye() {
    let server = TestServer::start();
    let args = ["--every", "20ms", "--meta", r#"{"slots":4}"#];
    let mut beating = Beating::start(heartbeat(&url(&server), &args));
    assert_eq!(beating.line(), "w1 is online\n");
    let worker = server.get("/worker/w1").ok();
    assert_eq!((&worker["status"], &worker["meta"]["slots"]), (&"online".into(), &4.into()));
    while server.node.liveness().stats().beats_total < 3 {
        std::thread::yield_now();
    }
    assert_eq!(beating.end(Signal::INT), ("w1 is offline\n".to_owned(), Some(130)));
    assert_eq!(server.get("/worker/w1").ok()["status"], "offline");
    let mut beating = Beating::start(heartbeat(&url(&server), &["--json"]));
    let beat: Value = serde_json::from_str(&beating.line()).unwrap();
    assert_eq!(beat["status"], "online");
    assert_eq!(beating.end(Signal::TERM), (String::new(), Some(0)));
    assert_eq!(server.get("/worker/w1").ok()["status"], "offline");
}

#[test]
fn a_worker_goes_on_trying_while_the_server_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let serve = |listen: &str| {
        let mut command = lanekeeper(["serve", "--listen", listen, "--data"]);
        command.arg(dir.path());
        command
    };
    let serving = Serving::start(serve("127.0.0.1:0"));
    let url = serving.url.clone();
    let mut beating = Beating::start(heartbeat(&url, &["--every", "30ms"]));
    assert_eq!(beating.line(), "w1 is online\n");
    serving.signal(Signal::TERM);
    assert_eq!(serving.wait().code, Some(0));
    let complaint = beating.complaint();
    assert!(complaint.ends_with("; trying again\n"), "{complaint}");
    let serving = Serving::start(serve(url.strip_prefix("http://").unwrap()));
    assert_eq!(beating.line(), "w1 is online\n");
    drop(beating);
    let listed = run(lanekeeper(["workers", "--server", &serving.url, "--json"]));
    let listed: Value = serde_json::from_str(listed.ok()).unwrap();
    let worker = &listed["workers"][0];
    assert_eq!((&worker["id"], &worker["status"]), (&"w1".into(), &"online".into()), "killed");
}

#[test]
fn what_will_not_pass_ends_it() {
    let server = TestServer::start();
    let refused = |args: &[&str], code: i32| {
        let mut command = lanekeeper(["heartbeat"]);
        command.args(args).args(["--server", &url(&server)]);
        run(command).failed(code).to_owned()
    };
    assert!(refused(&["a/b"], 1).contains("(invalid_id)"));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000));
    assert!(refused(&["w1", "--meta", &large], 1).contains("(too_large)"));
    assert!(refused(&["w1", "--every", "1ms"], 2).contains("--every must be from 10ms to 1h"));
    assert!(refused(&["w1", "--meta", "[]"], 2).contains("--meta must be one JSON object"));
}

#[test]
fn workers_are_listed_for_people_and_for_programs() {
    let server = TestServer::start();
    for id in ["a", "b", "c"] {
        server.post(&format!("/worker/{id}/heartbeat"), "").ok();
    }
    server.post("/worker/b/deregister", "").ok();
    let list = |args: &[&str]| {
        let mut command = lanekeeper(["workers", "--server", &url(&server)]);
        command.args(args);
        run(command).ok().to_owned()
    };
    let all = list(&[]);
    let lines: Vec<_> = all.lines().collect();
    assert_eq!(lines.len(), 3, "{all}");
    assert!(lines[1].starts_with("b ") && lines[1].contains(" offline "), "{all}");
    assert!(lines[2].contains(" online ") && lines[2].ends_with(" ago"), "{all}");
    assert_eq!(list(&["--status", "offline"]).lines().count(), 1);
    let page: Value = serde_json::from_str(&list(&["--limit", "2", "--json"])).unwrap();
    assert_eq!((&page["count"], &page["next"]), (&2.into(), &"b".into()));
}

#[test]
fn a_data_directory_has_its_workers_too() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut command = lanekeeper(["heartbeat", "w1", "--data"]);
    command.arg(&data);
    let mut beating = Beating::start(command);
    assert_eq!(beating.line(), "w1 is online\n");
    assert_eq!(beating.end(Signal::TERM).1, Some(0));
    let mut command = lanekeeper(["workers", "--data"]);
    command.arg(&data);
    assert!(run(command).ok().contains(" offline "));
}

#[test]
fn settings_that_break_the_sum_are_a_usage_with_the_arithmetic() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--stale-after", "100s"]);
    command.arg("--data").arg(dir.path()).env("LANEKEEPER_SWEEP_INTERVAL", "1m");
    let ended = run(command);
    let message = ended.failed(2);
    assert!(message.contains("60s + 15s + 60s = 135s, not 100s"), "{message}");
}

#[test]
fn what_is_leased_for_a_life_of_a_worker_ends_with_that_life() {
    let server = TestServer::start();
    let beat = || server.post("/worker/w1/heartbeat", "").ok()["life"].to_string();
    let (old, new) = (beat(), beat());
    for n in 0..2 {
        server.post("/queue/q/push", format!("{{\"item\":{{\"n\":{n}}}}}")).ok();
    }
    for life in [&old, &new] {
        let mut command = lanekeeper(["lease", "q", "--ttl", "1h", "--server", &url(&server)]);
        command.args(["--worker", "w1", "--life", life]);
        run(command).ok();
    }
    let farewell = format!("{{\"life\":{old}}}");
    server.post("/worker/w1/deregister", farewell).ok();
    let back = server.post("/queue/q/pop?wait_ms=20000", "").ok();
    assert_eq!(back["items"], serde_json::json!([{"n": 0}]));
    assert_eq!(server.get("/queue/q/stats").ok()["leased"], 1);
    let mut alone = lanekeeper(["lease", "q", "--life", "1", "--server", &url(&server)]);
    alone.env_remove("LANEKEEPER_WORKER");
    assert!(run(alone).failed(2).contains("--worker"), "a life is a worker's");
}
