//! `lanekeeper gate` while its server goes and comes back, and when a permit is lost.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    http::{Reply, TestServer, agent, send},
    process::{Running, Serving, lanekeeper, run},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that can go and come back where it was.
struct Place {
    dir: tempfile::TempDir,
    serving: Option<Serving>,
    url: String,
}

impl Place {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let serving = serve("127.0.0.1:0", dir.path());
        let url = serving.url.clone();
        Self { dir, serving: Some(serving), url }
    }

    fn kill(&mut self) {
        self.serving = None;
    }

    fn come_back(&mut self) {
        self.serving = Some(serve(self.url.strip_prefix("http://").unwrap(), self.dir.path()));
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        send(&agent(), &format!("{}{path}", self.url), method, (body.as_bytes(), &[]))
    }

    fn stats(&self) -> Value {
        self.ask("GET", "/gate/g/stats", "").ok()
    }

    fn gate(&self, args: &[&str]) -> Command {
        let mut command = lanekeeper([&["gate"], args].concat());
        command.env("LANEKEEPER_SERVER", &self.url);
        command
    }

    /// Waits until a figure of the gate is as wanted.
    #[track_caller]
    fn until(&self, name: &str, count: u64) {
        let began = Instant::now();
        while self.stats()[name] != count {
            assert!(began.elapsed() < PATIENCE, "{}", self.stats());
            std::thread::yield_now();
        }
    }
}

fn serve(listen: &str, data: &Path) -> Serving {
    let mut command = lanekeeper(["serve", "--listen", listen, "--data"]);
    command.arg(data);
    Serving::start(command)
}

#[test]
fn those_who_wait_keep_their_places_over_a_restart_of_the_server() {
    let mut place = Place::start();
    run(place.gate(&["policy", "g", "--set", r#"{"max_concurrent":1}"#])).ok();
    run(place.gate(&["acquire", "g", "first"])).ok();
    let mut running = Running::start(place.gate(&["run", "g", "--", "echo", "in"]));
    place.until("queue_length", 1);
    let acquiring = place.gate(&["acquire", "g", "last", "--timeout", "1m"]);
    let mut acquiring = Running::start(acquiring);
    place.until("queue_length", 2);
    place.kill();
    place.come_back();
    run(place.gate(&["release", "g", "first"])).ok();
    assert_eq!(running.line(), "in");
    assert_eq!(running.end().0, Some(0));
    assert!(acquiring.line().starts_with("granted last"), "in its turn");
    assert_eq!(acquiring.end().0, Some(0));
}

#[test]
fn a_command_keeps_its_permit_over_a_restart_and_gives_it_back() {
    let mut place = Place::start();
    let mut run = place.gate(&["run", "g", "--owner", "o", "--"]);
    run.args(["sh", "-c", "mkfifo go; echo in; cat < go; exit 7"]).current_dir(place.dir.path());
    let mut running = Running::start(run);
    assert_eq!(running.line(), "in");
    place.kill();
    fs::write(place.dir.path().join("go"), "done\n").unwrap();
    assert_eq!(running.line(), "done");
    place.come_back();
    assert_eq!(running.end().0, Some(7), "the exit code is the command's");
    let stats = place.stats();
    assert_eq!((&stats["active_count"], &stats["total_completed"]), (&0.into(), &1.into()));
}

#[test]
fn a_server_that_is_away_is_waited_for_as_long_as_the_timeout_says() {
    let mut place = Place::start();
    place.kill();
    let mut acquiring = Running::start(place.gate(&["acquire", "g", "o", "--timeout", "1m"]));
    let told = acquiring.complaint();
    assert!(told.contains("cannot reach") && told.ends_with("trying again\n"), "{told}");
    place.come_back();
    assert!(acquiring.line().starts_with("granted o"));
    place.kill();
    let late = run(place.gate(&["acquire", "g", "o", "--timeout", "150ms"]));
    assert!(late.stderr.contains("error: cannot reach"), "{late:?}");
    assert_eq!(late.code, Some(1));
}

/// A command under a permit that ignores SIGTERM or not, and has begun.
fn begun(url: &str, script: &str) -> Running {
    let mut command = lanekeeper(["gate", "run", "g", "--owner", "o", "--ttl", "1s"]);
    command.env("LANEKEEPER_SERVER", url).args(["--grace", "50ms", "--", "sh", "-c", script]);
    let mut running = Running::start(command);
    assert_eq!(running.line(), "in");
    running
}

#[test]
fn a_command_whose_permit_is_lost_is_stopped() {
    let server = TestServer::start();
    let url = format!("http://{}", server.addr);
    for script in [
        "trap 'exit 0' TERM; echo in; tail -f /dev/null & wait",
        "trap '' TERM; echo in; exec tail -f /dev/null",
    ] {
        let mut running = begun(&url, script);
        server.post("/gate/g/release", r#"{"owner":"o"}"#).ok();
        let told = running.complaint();
        assert!(told.contains("the permit of o at g is lost"), "{told}");
        assert_eq!(running.end().0, Some(1));
    }
}

#[test]
fn a_permit_that_cannot_be_extended_in_time_is_lost() {
    let server = TestServer::start();
    let mut running = begun(&format!("http://{}", server.addr), "echo in; exec tail -f /dev/null");
    drop(server);
    assert!(running.complaint().ends_with("trying again\n"));
    let told = running.complaint();
    assert!(told.contains("could not be extended before it ended"), "{told}");
    assert_eq!(running.end().0, Some(1));
}

#[test]
fn what_a_command_has_started_is_told_to_end_with_it() {
    let server = TestServer::start();
    let script = "echo in; tail -f /dev/null & wait; echo survived";
    let running = begun(&format!("http://{}", server.addr), script);
    running.signal(Signal::TERM);
    // Its output is at an end only when nobody has it open.
    assert_eq!(running.end(), (Some(128 + 15), String::new()));
}
