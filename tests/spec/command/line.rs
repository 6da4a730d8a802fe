//! The commands: against a server, and on a data directory.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{
    http::TestServer,
    process::{Ended, Serving, lanekeeper, run, run_with},
};

/// A command that talks to a server.
fn to(server: &TestServer, args: &[&str]) -> Command {
    let mut command = lanekeeper(args);
    command.env("LANEKEEPER_SERVER", format!("http://{}", server.addr));
    command
}

fn ok(server: &TestServer, args: &[&str]) -> String {
    run(to(server, args)).ok().to_owned()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn items_are_pushed_from_arguments_and_popped_one_a_line() {
    let server = TestServer::start();
    let pushed = ok(&server, &["push", "orders", r#"{"n":1}"#, "{\"n\":\n2}", "--priority", "0"]);
    assert_eq!(pushed, "pushed 2\n");
    assert_eq!(ok(&server, &["pop", "orders"]), "{\"n\":1}\n");
    assert_eq!(ok(&server, &["pop", "orders", "--depth", "9"]), "{\"n\": 2}\n");
    assert_eq!(ok(&server, &["pop", "orders"]), "");
    assert_eq!(ok(&server, &["pop", "orders", "--wait", "10ms"]), "");
}

#[test]
fn items_are_read_from_stdin_one_a_line_in_batches() {
    let server = TestServer::start();
    let lines: String = (0..2_500).map(|n| format!("{{\"n\":{n}}}\n\n")).collect();
    let ended = run_with(to(&server, &["push", "q"]), &lines);
    assert_eq!(ended.ok(), "pushed 2500\n");
    let peeked = ok(&server, &["peek", "q", "--depth", "100", "--json"]);
    let page = json_of(&peeked);
    assert_eq!((&page["count"], &page["messages"][99]["item"]), (&json!(100), &json!({"n":99})));
    assert_eq!(server.get("/queue/q/stats").ok()["pushed"], 2_500);
}

#[test]
fn a_line_that_is_no_item_is_named_and_what_came_before_it_is_in() {
    let server = TestServer::start();
    let ended = run_with(to(&server, &["push", "q"]), "{}\n\n{}\n[1]\n{}\n");
    let message = ended.failed(1);
    assert!(message.contains("line 4: item must be one JSON object, not an array"), "{message}");
    assert!(message.contains("2 items before it were pushed"), "{message}");
    assert_eq!(server.get("/queue/q/stats").ok()["ready"], 2);
    let ended = run(to(&server, &["push", "q", "{}", "nope"]));
    assert!(ended.failed(1).contains("item 2"), "{ended:?}");
    assert_eq!(server.get("/queue/q/stats").ok()["ready"], 2);
}

#[test]
fn answers_are_printed_as_json_when_asked_for() {
    let server = TestServer::start();
    let pushed = json_of(&ok(&server, &["push", "q", "{}", "--json"]));
    assert_eq!((&pushed["success"], &pushed["count"]), (&json!(true), &json!(1)));
    let peeked = json_of(&ok(&server, &["peek", "q", "--json"]));
    assert_eq!(peeked["messages"][0]["id"], pushed["ids"][0]);
    let stats = json_of(&ok(&server, &["stats", "q", "--json"]));
    let expected = server.get("/queue/q/stats").ok();
    assert!(stats.as_object().unwrap().keys().eq(expected.as_object().unwrap().keys()));
    assert_eq!((&stats["ready"], &stats["pushed"]), (&json!(1), &json!(1)));
    let popped = json_of(&ok(&server, &["pop", "q", "--json"]));
    assert_eq!(popped, json!({"items":[{}],"count":1}));
    let listed = json_of(&ok(&server, &["queues", "--json"]));
    assert_eq!(listed, json!({"queues":["q"],"count":1,"next":null}));
    let purged = json_of(&ok(&server, &["purge", "q", "--json"]));
    assert_eq!(purged, json!({"purged":0}));
}

#[test]
fn peek_stats_purge_and_queues_speak_to_people() {
    let server = TestServer::start();
    ok(&server, &["push", "a.1", r#"{"n":1}"#, "--priority", "7"]);
    ok(&server, &["push", "a.2", "{}"]);
    let peeked = ok(&server, &["peek", "a.1"]);
    assert!(peeked.ends_with("\t7\t{\"n\":1}\n"), "{peeked}");
    let stats = ok(&server, &["stats", "a.1"]);
    assert!(stats.starts_with("ready                 1\n  priority 7          1\n"), "{stats}");
    assert_eq!(ok(&server, &["queues", "--prefix", "a."]), "a.1\na.2\n");
    assert_eq!(ok(&server, &["queues", "--limit", "1"]), "a.1\n");
    assert_eq!(ok(&server, &["purge", "a.1", "--priority", "6"]), "purged 0\n");
    assert_eq!(ok(&server, &["purge", "a.1", "--yes"]), "purged 1\n");
}

#[test]
fn a_refusal_is_told_on_stderr_with_its_code() {
    let server = TestServer::start();
    let failed = |args: &[&str]| run(to(&server, args)).failed(1).to_owned();
    assert!(failed(&["pop", "a..b"]).contains("(invalid_id)"));
    assert!(failed(&["pop", "a/b"]).contains("(invalid_id)"));
    assert!(failed(&["pop", "q", "--depth", "101"]).contains("from 1 to 100"));
    assert!(
        failed(&["push", "q", "{}", "--priority", "2147483648"]).contains("(invalid_priority)")
    );
    server.put("/queue/q/config", r#"{"capacity":1}"#).ok();
    assert!(failed(&["push", "q", "{}", "{}"]).contains("(queue_full)"));
}

#[test]
fn a_server_that_cannot_be_reached_is_a_failure_and_a_wrong_flag_a_usage() {
    let ended = run(lanekeeper(["stats", "q", "--server", "http://127.0.0.1:1"]));
    assert!(ended.failed(1).contains("http://127.0.0.1:1"), "{ended:?}");
    for args in [
        &["stats", "q", "--server", "ftp://x"][..],
        &["stats"],
        &["stats", "q", "--nope"],
        &["nope"],
        &["pop", "q", "--wait", "5"],
        &["push", "q", "{}", "--priority", "-1"],
        &[],
    ] {
        assert_eq!(run(lanekeeper(args)).code, Some(2), "{args:?}");
    }
}

#[test]
fn a_data_directory_is_opened_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let on = |args: &[&str]| -> Ended {
        let mut command = lanekeeper(args);
        command.arg("--data").arg(&data);
        run(command)
    };
    assert!(on(&["pop", "q"]).failed(3).contains("no data directory"));
    on(&["push", "q", r#"{"n":1}"#, r#"{"n":2}"#]).ok();
    assert_eq!(on(&["queues"]).ok(), "q\n");
    assert_eq!(json_of(on(&["stats", "q", "--json"]).ok())["ready"], 2);
    assert!(on(&["peek", "q"]).ok().ends_with("{\"n\":1}\n"));
    assert_eq!(on(&["pop", "q"]).ok(), "{\"n\":1}\n");
    assert_eq!(on(&["purge", "q"]).ok(), "purged 1\n");
    assert!(on(&["pop", "a..b"]).failed(1).contains("queue id"));
}

#[test]
fn a_data_directory_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let check = |args: &[&str]| run(lanekeeper(["check", data].iter().chain(args)));
    assert!(check(&[]).failed(3).contains(data));
    run(lanekeeper(["push", "q", "{}", r#"{"n":2}"#, "--data", data])).ok();
    let report = json_of(check(&["--json"]).ok());
    assert_eq!((&report["sound"], &report["problems"]), (&json!(true), &json!([])));
    assert_eq!((&report["queues"], &report["messages"]), (&json!(1), &json!(2)));
    assert!(check(&[]).ok().ends_with("sound\n"));
    let serving = Serving::start(lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data", data]));
    assert!(check(&[]).failed(3).contains("in use"));
    for _ in 0..3 {
        let push = ["push", "q", "{}", "--server", &serving.url];
        run(lanekeeper(push)).ok();
    }
    // Killed, so that what was pushed is in the journal still, the beginning of which is damaged.
    drop(serving);
    for entry in fs::read_dir(dir.path().join("journal")).unwrap() {
        let mut file = OpenOptions::new().write(true).open(entry.unwrap().path()).unwrap();
        file.write_all(&[0xff; 64]).unwrap();
    }
    let ended = check(&[]);
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.stdout.contains("problem: "), "{ended:?}");
    assert_eq!(json_of(&check(&["--json"]).stdout)["sound"], false);
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let server = TestServer::start();
    ok(&server, &["push", "q", "{}"]);
    for args in [&["queues"][..], &["stats", "q"], &["--help"], &["serve", "--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = to(&server, args);
        let ended = Ended::from(command.stdout(writer).output().unwrap());
        assert!(!ended.stderr.contains("panicked"), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn every_guide_is_listed_and_printed() {
    let list = run(lanekeeper(["docs"]));
    let names: Vec<_> = list.ok().lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let guide = run(lanekeeper(["docs", name]));
        assert!(guide.ok().starts_with("# "), "{name}: {}", guide.stdout);
    }
    let refused = run(lanekeeper(["docs", "nothing"]));
    assert!(refused.failed(2).contains("there are: model, queue"), "{refused:?}");
}

#[test]
fn a_closed_pipe_does_not_hide_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, millis: u32| {
        let path = dir.path().join(name);
        let columns = "Name,Request Count,Failure Count,Requests/s,50%,95%,99%";
        let figures = format!("{millis},{millis},{millis}");
        fs::write(&path, format!("{columns}\n/push,9000,0,50,{figures}\n")).unwrap();
        path
    };
    let mut compare = lanekeeper(["compare"]);
    compare.arg(file("base.csv", 1)).arg(file("new.csv", 100));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Ended::from(compare.stdout(writer).output().unwrap());
    assert_eq!(ended.code, Some(5), "a regression stays one: {}", ended.stderr);
}

#[test]
fn help_teaches() {
    let help = run(lanekeeper(["--help"]));
    for word in [
        "serve",
        "push",
        "pop",
        "peek",
        "purge",
        "stats",
        "queues",
        "check",
        "subscribe",
        "publish",
        "130",
    ] {
        assert!(help.ok().contains(word), "{word}");
    }
    let help = run(lanekeeper(["serve", "--help"]));
    for word in ["LANEKEEPER_LISTEN", "SIGTERM", "127.0.0.1:8000", "listening on"] {
        assert!(help.ok().contains(word), "{word}");
    }
}

#[test]
fn queues_made_by_different_processes_have_nothing_in_common() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let at = |args: &[&str]| {
        let mut command = lanekeeper(args);
        command.arg("--data").arg(&data);
        run(command).ok().to_owned()
    };
    for id in ["a", "b", "c"] {
        at(&["push", id, &format!("{{\"queue\":\"{id}\"}}")]);
    }
    for id in ["c", "a", "b"] {
        assert_eq!(at(&["pop", id, "--depth", "9"]), format!("{{\"queue\":\"{id}\"}}\n"));
    }
    let checked = run(lanekeeper(["check", data.to_str().unwrap()]));
    assert!(checked.ok().ends_with("sound\n"), "{checked:?}");
}
