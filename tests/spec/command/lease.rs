//! The commands of messages under work: at a server, and on a data directory.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    http::TestServer,
    process::{Ended, lanekeeper, run},
};

/// Where commands go.
enum Place<'a> {
    Server(&'a TestServer),
    Data(&'a Path),
}

impl Place<'_> {
    fn run(&self, args: &[&str]) -> Ended {
        run(self.command(args))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = lanekeeper(args);
        match self {
            Self::Server(server) => {
                command.env("LANEKEEPER_SERVER", format!("http://{}", server.addr))
            }
            Self::Data(dir) => command.env("LANEKEEPER_CLIENT_DATA", dir),
        };
        command
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let args: Vec<_> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(self.run(&args).ok()).unwrap()
    }

    /// Leases one message; answers its token.
    #[track_caller]
    fn lease(&self) -> String {
        let line = self.run(&["lease", "q"]).ok().to_owned();
        let fields: Vec<_> = line.trim_end().split('\t').collect();
        assert_eq!(fields.len(), 4, "{line}");
        fields[0].to_owned()
    }
}

/// Does the same at a server and on a data directory.
fn everywhere(test: impl Fn(&Place<'_>)) {
    let dir = tempfile::tempdir().unwrap();
    test(&Place::Data(&dir.path().join("data")));
    test(&Place::Server(&TestServer::start()));
}

#[test]
fn messages_are_leased_and_settled() {
    everywhere(|at| {
        at.run(&["push", "q", r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]).ok();
        let leased = at.json(&["lease", "q", "--ttl", "1h", "--worker", "w1"]);
        let message = &leased["messages"][0];
        assert_eq!((&leased["count"], &message["item"]), (&json!(1), &json!({"n":1})));
        let first = message["lease"].as_str().unwrap();
        assert_eq!(at.run(&["ack", "q", first]).ok(), "acked 1\n");
        let second = at.lease();
        assert_eq!(at.run(&["extend", "q", &second, "--ttl", "2h"]).ok(), "extended 1\n");
        let nack = ["nack", "q", &second, "--reason", "busy", "--no-count"];
        assert_eq!(at.run(&nack).ok(), "nacked 1\n");
        let peeked = at.json(&["peek", "q"]);
        let message = &peeked["messages"][0];
        assert_eq!((&message["reason"], &message["deliveries"]), (&json!("busy"), &json!(0)));
        let third = at.lease();
        let nack = ["nack", "q", &third, "--delay", "1h"];
        assert_eq!(at.json(&nack), json!({"nacked": 1, "failed": []}));
        let stats = at.json(&["stats", "q"]);
        let counts = ["ready", "scheduled", "leased", "acked", "nacked"].map(|name| &stats[name]);
        assert_eq!(counts, [&json!(1), &json!(1), &json!(0), &json!(1), &json!(2)]);
    });
}

#[test]
fn dead_letters_are_moved_and_brought_back() {
    everywhere(|at| {
        at.run(&["push", "q", r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]).ok();
        let leased = at.json(&["lease", "q", "--depth", "3"]);
        let lease = |n: usize| leased["messages"][n]["lease"].as_str().unwrap().to_owned();
        let (first, second, third) = (lease(0), lease(1), lease(2));
        let moved = at.run(&["dead-letter", "q", &first, &second, "--reason", "broken"]);
        assert_eq!(moved.ok(), "moved 2 to q-deadletter\n");
        let moved = at.json(&["dead-letter", "q", &third]);
        assert_eq!(moved, json!({"moved": 1, "queue": "q-deadletter", "failed": []}));
        let dead = at.json(&["peek", "q-deadletter", "--depth", "9"]);
        assert_eq!(dead["messages"][0]["dead_letter"]["reason"], "broken");
        let id = |n: usize| dead["messages"][n]["id"].as_str().unwrap().to_owned();
        assert_eq!(at.run(&["redrive", "q", "--id", &id(2), "nope"]).ok(), "moved 1\n");
        assert_eq!(at.run(&["redrive", "q", "--depth", "1"]).ok(), "moved 1\n");
        assert_eq!(at.json(&["redrive", "q"]), json!({"moved": 1}));
        assert_eq!(at.run(&["redrive", "q"]).ok(), "moved 0\n");
        assert_eq!(at.json(&["stats", "q"])["ready"], 3);
        let both = ["redrive", "q", "--depth", "1", "--id", "x"];
        assert_eq!(at.run(&both).code, Some(2));
    });
}

#[test]
fn a_lease_that_failed_is_named_and_the_others_are_settled() {
    everywhere(|at| {
        at.run(&["push", "q", "{}", "{}"]).ok();
        let (first, second) = (at.lease(), at.lease());
        at.run(&["ack", "q", &first]).ok();
        for verb in ["ack", "nack", "extend", "dead-letter"] {
            let alone = at.run(&[verb, "q", &first]);
            let message = alone.failed(1);
            assert!(message.contains(&first), "{verb}: {message}");
            assert!(message.contains("lease_not_found"), "{verb}: {message}");
        }
        let ended = at.run(&["extend", "q", "no-token", &second, &first]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "extended 1\n"));
        let expected =
            format!("error: no-token: lease_not_found\nerror: {first}: lease_not_found\n");
        assert_eq!(ended.stderr, expected);
        assert_eq!(at.run(&["ack", "q", &second]).ok(), "acked 1\n");
        assert_eq!(at.run(&["ack", "q"]).code, Some(2), "a lease is missing");
        let refused = at.run(&["lease", "q", "--ttl", "999ms"]);
        assert!(refused.failed(1).contains("from 1000 ms"), "{refused:?}");
        assert_eq!(at.run(&["lease", "q"]).ok(), "");
    });
}

#[test]
fn a_push_is_delayed_ends_and_is_recognised() {
    everywhere(|at| {
        let push = ["push", "q", "{}", "--key", "order \"1\"", "--delay", "1h", "--ttl", "2h"];
        let first = at.json(&push);
        assert_eq!(first["count"], 1);
        let again = at.json(&push);
        let duplicate = &again["duplicates"][0];
        assert_eq!((&again["count"], &duplicate["id"]), (&json!(0), &first["ids"][0]));
        assert_eq!(duplicate["state"], "scheduled");
        assert_eq!(at.run(&push).ok(), "pushed 0\n");
        assert_eq!(at.json(&["stats", "q"])["scheduled"], 1);
        let refused = at.run(&["push", "q", "{}", "--delay", "1h", "--ttl", "1h"]);
        assert!(refused.failed(1).contains("longer than the delay"), "{refused:?}");
        let usage = at.run(&["push", "q", "{}", "{}", "--key", "k"]);
        assert!(usage.failed(2).contains("--key"), "{usage:?}");
    });
}

#[test]
fn help_teaches_what_becomes_of_messages() {
    for (verb, word) in [
        ("lease", "--ttl 5m"),
        ("ack", "leave the queue"),
        ("nack", "--no-count"),
        ("extend", "--ttl 10m"),
        ("dead-letter", "QUEUE-deadletter"),
        ("redrive", "--id 0"),
        ("push", "--key order-42"),
    ] {
        let help = run(lanekeeper([verb, "--help"]));
        assert!(help.ok().contains(word), "{verb}: {word}");
    }
}
