//! What commands take from the environment, and what they do not.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    http::TestServer,
    process::{lanekeeper, run},
};

fn to(server: &TestServer, args: &[&str]) -> Command {
    let mut command = lanekeeper(args);
    command.env("LANEKEEPER_SERVER", format!("http://{}", server.addr));
    command
}

/// A shell in which `lanekeeper` is the binary under test.
fn shell(script: &str) -> [String; 3] {
    let binary = env!("CARGO_BIN_EXE_lanekeeper");
    ["sh".to_owned(), "-c".to_owned(), format!("lanekeeper() {{ '{binary}' \"$@\"; }}; {script}")]
}

fn stats(server: &TestServer, id: &str) -> Value {
    server.get(&format!("/queue/{id}/stats")).ok()
}

#[test]
fn what_a_job_is_told_of_its_message_changes_no_command_in_it() {
    let server = TestServer::start();
    server.post("/queue/old/push", r#"{"items":[{"item":{}},{"item":{}}]}"#).ok();
    server.post("/queue/q/push", r#"{"item":{"n":1},"priority":7}"#).ok();
    let mut work = lanekeeper(["work", "q", "--once", "--server"]);
    work.arg(format!("http://{}", server.addr)).arg("--").args(shell(
        "lanekeeper purge old --yes; lanekeeper push other '{}'; lanekeeper peek other",
    ));
    let ended = run(work);
    let mut lines = ended.ok().lines();
    assert_eq!(lines.next(), Some("purged 2"), "all of them, not those of priority 7");
    assert_eq!(lines.next(), Some("pushed 1"), "at the server of `work`");
    assert!(lines.next().unwrap().ends_with("\t1\t{}"), "with the priority of a push");
    assert_eq!(
        (&stats(&server, "old")["ready"], &stats(&server, "q")["acked"]),
        (&0.into(), &1.into())
    );
}

#[test]
fn a_job_can_settle_its_own_lease() {
    let server = TestServer::start();
    server.post("/queue/q/push", r#"{"item":{}}"#).ok();
    let mut work = to(&server, &["work", "q", "--once", "--"]);
    work.args(shell(
        "lanekeeper extend $LANEKEEPER_MESSAGE_QUEUE $LANEKEEPER_MESSAGE_LEASE --ttl 1m",
    ));
    assert_eq!(run(work).ok(), "extended 1\n");
}

#[test]
fn a_command_that_holds_a_permit_is_told_the_server() {
    let server = TestServer::start();
    let mut gate = lanekeeper(["gate", "run", "g", "--server"]);
    gate.arg(format!("http://{}", server.addr)).arg("--").args(shell("lanekeeper push q '{}'"));
    assert_eq!(run(gate).ok(), "pushed 1\n");
    assert_eq!(stats(&server, "q")["ready"], 1);
}

#[test]
fn a_token_is_passed_on_from_the_environment_and_not_from_a_flag() {
    let server = TestServer::start();
    server.post("/queue/q/push", r#"{"items":[{"item":{}},{"item":{}}]}"#).ok();
    let told = |work: &mut Command| {
        work.args(["--", "sh", "-c", "echo [$LANEKEEPER_TOKEN]"]);
        run(std::mem::replace(work, Command::new("true"))).ok().to_owned()
    };
    let mut work = to(&server, &["work", "q", "--once"]);
    assert_eq!(told(work.env("LANEKEEPER_TOKEN", "s3cret")), "[s3cret]\n");
    assert_eq!(told(&mut to(&server, &["work", "q", "--once", "--token", "s3cret"])), "[]\n");
}

#[test]
fn variables_of_one_command_do_not_choose_what_another_destroys() {
    let server = TestServer::start();
    server.post("/queue/q/push", r#"{"items":[{"item":{"n":1}},{"item":{"n":2}}]}"#).ok();
    let with = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = to(&server, args);
        command.envs(variables.iter().copied());
        run(command)
    };
    let ended = with(&["pop", "q"], &[("LANEKEEPER_DEPTH", "2"), ("LANEKEEPER_WAIT", "nonsense")]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "{\"n\":1}\n"));
    let ended = with(&["purge", "q"], &[("LANEKEEPER_PRIORITY", "9")]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "purged 1\n"));
    let warning = "warning: LANEKEEPER_PRIORITY is not a variable of any command; give the flag \
                   --priority\n";
    assert_eq!(ended.stderr, warning);
}

#[test]
fn an_unknown_variable_is_warned_about_once_with_a_suggestion() {
    let server = TestServer::start();
    let mut queues = to(&server, &["queues"]);
    queues.env("LANEKEEPER_SERVR", "http://127.0.0.1:1").env("LANEKEEPER_MESSAGE_COLOUR", "red");
    queues.env("LANEKEEPER_LISTEN", "").env("LANEKEEPER_PORT_8000_TCP_ADDR", "10.0.0.7");
    let ended = run(queues);
    let warning = "warning: LANEKEEPER_SERVR is not a variable of any command; did you mean \
                   LANEKEEPER_SERVER?\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), warning));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let server = TestServer::start();
    let empty = |mut command: Command, names: &[&str]| {
        command.envs(names.iter().map(|name| (name, "")));
        run(command)
    };
    let names = ["LANEKEEPER_CLIENT_DATA", "LANEKEEPER_TOKEN", "LANEKEEPER_JSON", "LANEKEEPER_X"];
    assert_eq!(empty(to(&server, &["push", "q", "{}"]), &names).ok(), "pushed 1\n");
    let mut work = to(&server, &["work", "q", "--until-empty"]);
    work.args(["--", "true"]);
    let names = ["LANEKEEPER_CONCURRENCY", "LANEKEEPER_WORKER", "LANEKEEPER_DEAD_LETTER_EXIT"];
    empty(work, &names).ok();
    // Of the server: an address in use is found after all settings were read.
    let mut serve = lanekeeper(["serve", "--listen", &server.addr.to_string()]);
    let dir = tempfile::tempdir().unwrap();
    serve.current_dir(dir.path());
    let names = [
        "LANEKEEPER_CONFIG",
        "LANEKEEPER_DATA",
        "LANEKEEPER_DURABILITY",
        "LANEKEEPER_TOKEN",
        "LANEKEEPER_WORKERS",
        "LANEKEEPER_SINK_CA",
        "LANEKEEPER_SOCKET_ORIGINS",
        "LANEKEEPER_IDLE_TIMEOUT",
        "LANEKEEPER_HEARTBEAT_PASSTHROUGH",
        "RUST_LOG",
    ];
    empty(serve, &names).failed(3);
    let help = empty(lanekeeper(["push", "--help"]), &["LANEKEEPER_TOKEN"]);
    assert!(help.ok().contains("[env: LANEKEEPER_TOKEN]"), "help names it nevertheless: {help:?}");
}

#[test]
fn a_flag_wins_over_another_variable_and_contradicts_another_flag() {
    let server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    let mut push = lanekeeper(["push", "q", "{}", "--server"]);
    push.arg(format!("http://{}", server.addr)).env("LANEKEEPER_CLIENT_DATA", dir.path());
    assert_eq!(run(push).ok(), "pushed 1\n");
    assert_eq!(stats(&server, "q")["ready"], json!(1), "at the server that was named");
    let mut both = to(&server, &["stats", "q", "--server", "http://127.0.0.1:1", "--data"]);
    both.arg(dir.path());
    assert!(run(both).failed(2).contains("--server and --data"));
}
