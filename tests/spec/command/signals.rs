//! Signals that end commands in order, and those that do not end them.

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

/// A command whose hangups are as usual, even if the tests run under `nohup`.
fn usual(command: &Command) -> Command {
    let mut usual = Command::new("env");
    usual.arg("--default-signal=HUP").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => usual.env(name, value),
            None => usual.env_remove(name),
        };
    }
    usual
}

fn serve(dir: &Path) -> Serving {
    let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(dir);
    Serving::start(usual(&command))
}

fn ask(serving: &Serving, method: &str, path: &str, body: &[u8]) -> Reply {
    send(&agent(), &format!("{}{path}", serving.url), method, (body, &[]))
}

#[test]
fn signals_without_a_meaning_leave_the_server_running_and_are_logged() {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path());
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        serving.signal(signal);
        ask(&serving, "POST", "/queue/q/push", br#"{"item":{}}"#).ok();
    }
    serving.signal(Signal::TERM);
    let ended = serving.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for name in ["SIGHUP", "SIGUSR1", "SIGUSR2"] {
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
    }
    assert!(ended.stderr.contains("drained"), "{}", ended.stderr);
}

#[test]
fn a_quit_drains_as_a_termination_does() {
    let dir = tempfile::tempdir().unwrap();
    let serving = serve(dir.path());
    ask(&serving, "POST", "/queue/q/push", br#"{"item":{}}"#).ok();
    serving.signal(Signal::QUIT);
    let ended = serving.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("SIGQUIT") && ended.stderr.contains("drained"), "{ended:?}");
}

fn to(server: &TestServer, args: &[&str]) -> Command {
    let mut command = lanekeeper(args);
    command.env("LANEKEEPER_SERVER", format!("http://{}", server.addr));
    command
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread_yield();
    }
}

fn thread_yield() {
    std::thread::yield_now();
}

#[test]
fn a_worker_that_is_hung_up_or_quit_finishes_its_message() {
    for signal in [Signal::HUP, Signal::QUIT] {
        let server = TestServer::start();
        let dir = tempfile::tempdir().unwrap();
        server.post("/queue/q/push", r#"{"item":{}}"#).ok();
        let script = "mkfifo go; echo began; cat < go";
        let mut work = usual(&to(&server, &["work", "q", "--", "sh", "-c", script]));
        work.current_dir(dir.path());
        let mut working = Running::start(work);
        assert_eq!(working.line(), "began");
        // One that has no meaning before the one that has.
        working.signal(Signal::USR1);
        working.signal(signal);
        fs::write(dir.path().join("go"), "done\n").unwrap();
        assert_eq!(working.end(), (Some(0), "done\n".to_owned()));
        assert_eq!(server.get("/queue/q/stats").ok()["acked"], 1);
    }
}

#[test]
fn a_hangup_that_was_ignored_from_the_start_stays_ignored() {
    let server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    server.post("/queue/q/push", r#"{"items":[{"item":{}},{"item":{}}]}"#).ok();
    let script = "mkfifo $LANEKEEPER_MESSAGE_ID; echo $LANEKEEPER_MESSAGE_ID; \
                  cat < $LANEKEEPER_MESSAGE_ID";
    let work = to(&server, &["work", "q", "--until-empty", "--", "sh", "-c", script]);
    let mut ignoring = Command::new("env");
    ignoring.arg("--ignore-signal=HUP").arg(work.get_program()).args(work.get_args());
    ignoring.env("LANEKEEPER_SERVER", format!("http://{}", server.addr));
    ignoring.current_dir(dir.path());
    let mut working = Running::start(ignoring);
    for _ in 0..2 {
        let id = working.line();
        working.signal(Signal::HUP);
        fs::write(dir.path().join(&id), "").unwrap();
    }
    assert_eq!(working.end().0, Some(0));
    assert_eq!(server.get("/queue/q/stats").ok()["acked"], 2, "both were worked on");
}

#[test]
fn a_heartbeat_that_is_hung_up_says_goodbye() {
    let server = TestServer::start();
    let mut beating = Running::start(usual(&to(&server, &["heartbeat", "w1"])));
    assert_eq!(beating.line(), "w1 is online");
    beating.signal(Signal::HUP);
    assert_eq!(beating.end(), (Some(0), "w1 is offline\n".to_owned()));
}

#[test]
fn a_subscriber_ends_in_order() {
    let server = TestServer::start();
    for (signal, code) in [(Signal::TERM, 0), (Signal::HUP, 0), (Signal::INT, 130)] {
        let subscribing = Running::start(usual(&to(&server, &["subscribe", "t"])));
        until("subscribed", || server.get("/stream/t/stats").ok()["subscribers"] == 1);
        subscribing.signal(signal);
        assert_eq!(subscribing.end().0, Some(code), "{signal:?}");
        until("gone", || server.get("/stream/t/stats").ok()["subscribers"] == 0);
    }
}

/// A run that would take an hour, once it has written its first second.
fn measuring(dir: &Path) -> Running {
    let mut command = lanekeeper(["loadtest", "s3a", "--duration", "1h", "--warmup", "0s"]);
    command.args(["--durability", "memory", "--json", "r.json", "--html", "r.html"]);
    command.args(["--junit", "r.xml", "--csv", "r"]);
    let mut command = usual(&command);
    command.current_dir(dir);
    let running = Running::start(command);
    until("a second was written", || dir.join("r.json").exists());
    running
}

#[test]
fn a_load_test_that_is_terminated_writes_what_it_has() {
    for signal in [Signal::TERM, Signal::HUP] {
        let dir = tempfile::tempdir().unwrap();
        let running = measuring(dir.path());
        running.signal(signal);
        let (code, summary) = running.end();
        assert_eq!(code, Some(130), "{summary}");
        assert!(summary.contains("s3a"), "it is shown: {summary}");
        for name in ["r.json", "r.html", "r.xml", "r_stats.csv"] {
            assert!(dir.path().join(name).metadata().unwrap().len() > 0, "{name}");
        }
        let json = fs::read(dir.path().join("r.json")).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert!(json["results"][0]["verification"].is_object(), "it was judged");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_found_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no/such/r");
    for flag in ["--json", "--csv", "--html", "--junit"] {
        for path in [missing.as_path(), dir.path()] {
            if flag == "--csv" && path == dir.path() {
                continue;
            }
            let mut command = lanekeeper(["loadtest", "s3a", "--duration", "1h", flag]);
            let ended = run({
                command.arg(path);
                command
            });
            let told = ended.failed(2);
            assert!(told.contains(flag) && told.contains("cannot be written"), "{told}");
            assert!(told.contains(path.to_str().unwrap()), "{told}");
        }
    }
    let mut command = lanekeeper(["loadtest", "s3a", "--json", "x", "--html", "x"]);
    command.current_dir(dir.path());
    assert!(run(command).failed(2).contains("--json and --html must not both be x"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left of the attempt");
}
