//! The commands of streams, against a server.

use std::{process::Command, thread};

use rustix::process::Signal;

use crate::{
    http::stream::until,
    support::{
        http::TestServer,
        process::{Ended, Serving, lanekeeper, run, run_with},
        socket::Client,
    },
};

fn to(server: &TestServer, args: &[&str]) -> Command {
    let mut command = lanekeeper(args);
    command.env("LANEKEEPER_SERVER", format!("http://{}", server.addr));
    command
}

/// Subscribes, and has `meanwhile` run once that is so.
fn subscribed(server: &TestServer, args: &[&str], meanwhile: impl FnOnce()) -> Ended {
    thread::scope(|scope| {
        let subscribing = scope.spawn(|| run(to(server, args)));
        until(server, "lanekeeper_stream_subscribers", 1);
        meanwhile();
        subscribing.join().unwrap()
    })
}

#[test]
fn what_is_published_is_printed_one_a_line() {
    let server = TestServer::start();
    let ended = subscribed(&server, &["subscribe", "prices", "--count", "3"], || {
        let first = to(&server, &["publish", "prices", "{\"n\":\n1}", "--class", "critical"]);
        assert_eq!(run(first).ok(), "published 1: 1 queued, 0 evicted, 0 refused\n");
        let rest = run_with(to(&server, &["publish", "prices"]), "{\"n\":2}\n\n{\"n\":3}\n");
        assert_eq!(rest.ok(), "published 2: 2 queued, 0 evicted, 0 refused\n");
    });
    assert_eq!(ended.ok(), "{\"n\": 1}\n{\"n\":2}\n{\"n\":3}\n");
    until(&server, "lanekeeper_stream_subscribers", 0);
}

#[test]
fn with_json_frames_and_answers_are_printed_as_they_are() {
    let server = TestServer::start();
    let ended = subscribed(&server, &["subscribe", "t", "--count", "1", "--json"], || {
        let publish = to(&server, &["publish", "t", "{}", "--class", "bulk", "--json"]);
        let answer = "{\"subscribers\":1,\"queued\":1,\"evicted\":0,\"refused\":0}\n";
        assert_eq!(run(publish).ok(), answer);
    });
    assert_eq!(ended.ok(), "{\"class\":\"bulk\",\"seq\":1,\"data\":{}}\n");
}

#[test]
fn the_end_of_the_stream_is_told() {
    let server = TestServer::start();
    let ended = subscribed(&server, &["subscribe", "t"], || server.handle.drain());
    assert!(ended.failed(1).contains("the stream ended: shutting_down"), "{}", ended.stderr);
}

#[test]
fn a_signal_closes_subscriptions_and_the_drain_is_clean() {
    let args = ["serve", "--listen", "127.0.0.1:0", "--durability", "memory"];
    let serving = Serving::start(lanekeeper(args));
    let addr = serving.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut client = Client::open(addr, "/stream/t");
    run(lanekeeper(["publish", "t", "{}", "--server", &serving.url])).ok();
    serving.signal(Signal::TERM);
    assert_eq!(client.next()["seq"], 1);
    assert_eq!(client.closed(), (1001, "shutting_down".to_owned()));
    assert_eq!(serving.wait().code, Some(0));
}

#[test]
fn what_is_wrong_is_named() {
    let server = TestServer::start();
    let failed = |args: &[&str], code| run(to(&server, args)).failed(code).to_owned();
    let told = failed(&["publish", "t", "{}", "[1]"], 1);
    assert!(told.contains("message 2: data must be one JSON object, not an array"), "{told}");
    let told = failed(&["publish", "t", "{}", "--subscriber", "9"], 1);
    assert!(told.contains("no subscriber 9 (subscriber_not_found)"), "{told}");
    let told = failed(&["subscribe", "t", "--queue-max", "0"], 1);
    assert!(told.contains("queue_max must be an integer from 1 to 100000"), "{told}");
    assert!(failed(&["subscribe", "t", "--count", "0"], 2).contains("--count must be 1 or more"));
    assert!(failed(&["subscribe", "a..b"], 1).contains("(invalid_id)"));
    assert!(failed(&["publish", "t", "{}", "--class", "urgent"], 2).contains("control, critical"));
    assert_eq!(server.get("/stream/t/stats").ok()["published"]["important"], 0);
}
