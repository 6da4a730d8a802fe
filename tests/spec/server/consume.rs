//! Consuming a queue over a WebSocket: as many leased messages as there is credit for, settled on
//! the same connection, given back when it closes.

use lanekeeper::{Clock, Lanekeeper};
use serde_json::{Value, json};
use std::time::Duration;

use crate::{
    http::stream::until,
    support::{
        http::{TestServer, options},
        socket::Client,
    },
};

const TTL: Duration = Duration::from_secs(30);

fn send(client: &mut Client, command: &Value) {
    client.socket.send(tungstenite::Message::text(command.to_string())).unwrap();
}

fn push(server: &TestServer, count: u64) {
    for n in 0..count {
        server.post("/queue/q/push", json!({ "item": { "n": n } }).to_string()).ok();
    }
}

/// Leases come and go without the client being told: asks until the counts are these.
fn until_stats(server: &TestServer, expected: &[(&str, u64)]) {
    let is_so = |stats: &Value| expected.iter().all(|(name, count)| stats[name] == *count);
    loop {
        let stats = server.runtime.block_on(server.node.queue("q").stats()).unwrap();
        let (ready, leased, acked) = (stats.ready, stats.leased, stats.totals.acked);
        if is_so(&json!({ "ready": ready, "leased": leased, "acked": acked })) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Sends something that is answered, so that what was sent before it has been done.
fn settle_nothing(client: &mut Client) -> Value {
    send(client, &json!({ "ack": [] }));
    client.next()
}

#[test]
fn no_more_is_sent_than_there_is_credit_for() {
    let server = TestServer::start();
    push(&server, 5);
    let mut client = Client::open(server.addr, "/queue/q/consume?ttl_ms=60000&worker=w1");
    assert_eq!(settle_nothing(&mut client), json!({ "acked": 0, "failed": [] }));
    until_stats(&server, &[("ready", 5), ("leased", 0)]);
    send(&mut client, &json!({ "credit": 2 }));
    let first = client.next();
    assert_eq!((&first["item"], &first["deliveries"]), (&json!({ "n": 0 }), &1.into()));
    assert!(first["lease_expires_at"].as_u64().unwrap() > first["pushed_at"].as_u64().unwrap());
    assert_eq!(client.next()["item"]["n"], 1);
    assert_eq!(settle_nothing(&mut client)["acked"], 0, "and nothing came in between");
    until_stats(&server, &[("ready", 3), ("leased", 2)]);
    send(&mut client, &json!({ "credit": 1 }));
    assert_eq!(client.next()["item"]["n"], 2);
}

#[test]
fn a_message_that_comes_later_is_sent_at_once() {
    let server = TestServer::start();
    let mut client = Client::open(server.addr, "/queue/q/consume");
    send(&mut client, &json!({ "credit": 3 }));
    push(&server, 2);
    assert_eq!(client.next()["item"]["n"], 0);
    assert_eq!(client.next()["item"]["n"], 1);
}

#[test]
fn leases_are_settled_on_the_same_connection() {
    let server = TestServer::start();
    push(&server, 3);
    let mut client = Client::open(server.addr, "/queue/q/consume");
    send(&mut client, &json!({ "credit": 3 }));
    let leased: Vec<Value> = (0..3).map(|_| client.next()).collect();
    let lease = |n: usize| leased[n]["lease"].clone();
    send(&mut client, &json!({ "ack": [lease(0), "stranger"] }));
    let failed = json!([{ "lease": "stranger", "code": "lease_not_found" }]);
    assert_eq!(client.next(), json!({ "acked": 1, "failed": failed }));
    send(&mut client, &json!({ "extend": [lease(1)], "ttl_ms": 3_600_000 }));
    let answer = client.next();
    assert_eq!((&answer["extended"][0]["lease"], &answer["failed"]), (&lease(1), &json!([])));
    let until = |value: &Value| value["lease_expires_at"].as_u64().unwrap();
    assert!(until(&answer["extended"][0]) > until(&leased[1]) + 3_000_000);
    send(&mut client, &json!({ "nack": [lease(2)], "delay_ms": 0, "reason": "not now" }));
    assert_eq!(client.next(), json!({ "nacked": 1, "failed": [] }));
    send(&mut client, &json!({ "ack": [lease(2)] }));
    assert_eq!(client.next()["failed"][0]["lease"], lease(2));
    send(&mut client, &json!({ "credit": 1 }));
    let again = client.next();
    assert_eq!((&again["item"]["n"], &again["deliveries"]), (&2.into(), &2.into()));
    assert_eq!(again["reason"], "not now");
    until_stats(&server, &[("acked", 1), ("leased", 2)]);
}

#[test]
fn what_was_sent_goes_back_when_the_connection_closes_and_counts_as_delivered() {
    let server = TestServer::start();
    push(&server, 3);
    for (is_polite, deliveries) in [(true, 1), (false, 2)] {
        let mut client = Client::open(server.addr, "/queue/q/consume");
        send(&mut client, &json!({ "credit": 9 }));
        for n in 0..3 {
            let message = client.next();
            let delivered = (&message["item"]["n"], &message["deliveries"]);
            assert_eq!(delivered, (&n.into(), &deliveries.into()));
        }
        if is_polite {
            client.close();
        } else {
            drop(client);
        }
        until_stats(&server, &[("ready", 3), ("leased", 0)]);
    }
    until(&server, "lanekeeper_socket_connections", 0);
}

#[test]
fn a_message_that_ends_its_consumer_every_time_becomes_a_dead_letter() {
    let server = TestServer::start();
    server.put("/queue/q/config", r#"{"max_deliveries":3}"#).ok();
    push(&server, 1);
    for _ in 0..3 {
        let mut client = Client::open(server.addr, "/queue/q/consume");
        send(&mut client, &json!({ "credit": 1 }));
        assert_eq!(client.next()["item"]["n"], 0);
        drop(client);
        until_stats(&server, &[("leased", 0)]);
    }
    until_stats(&server, &[("ready", 0)]);
    let queue = server.node.queue("q-deadletter");
    let dead = server.runtime.block_on(async { queue.pop(1).wait(TTL).await }).unwrap();
    assert_eq!(dead[0].dead_letter.as_ref().unwrap().deliveries, 3);
}

#[test]
fn what_a_consumer_gives_back_can_be_uncounted() {
    let server = TestServer::start();
    push(&server, 1);
    let mut client = Client::open(server.addr, "/queue/q/consume");
    for _ in 0..2 {
        send(&mut client, &json!({ "credit": 1 }));
        let message = client.next();
        assert_eq!(message["deliveries"], 1);
        send(&mut client, &json!({ "nack": [message["lease"]], "count": false }));
        assert_eq!(client.next()["nacked"], 1);
    }
}

#[test]
fn a_drain_gives_leases_back_uncounted_and_closes() {
    let server = TestServer::start();
    push(&server, 1);
    let mut client = Client::open(server.addr, "/queue/q/consume");
    send(&mut client, &json!({ "credit": 1 }));
    client.next();
    server.handle.drain();
    assert_eq!(client.closed(), (1001, "shutting_down".to_owned()));
    until_stats(&server, &[("ready", 1), ("leased", 0)]);
    let message = server.runtime.block_on(async { server.node.queue("q").peek(1).await }).unwrap();
    assert_eq!(message.messages[0].deliveries, 0);
}

#[test]
fn what_is_wrong_is_told_and_changes_nothing() {
    let server = TestServer::start();
    let events = [("accept", "text/event-stream")];
    server.send_with("GET", "/queue/q/consume", b"", &events).refused(426, "upgrade_required");
    server.get("/queue/q/consume?ttl_ms=999").refused(400, "invalid_ttl");
    server.get("/queue/q/consume?worker=a..b").refused(400, "invalid_id");
    let mut client = Client::open(server.addr, "/queue/q/consume");
    let mut told = |command: Value| {
        send(&mut client, &command);
        let problem = client.next()["problem"].clone();
        (problem["code"].as_str().unwrap().to_owned(), problem["detail"].to_string())
    };
    let (code, detail) = told(json!({ "credit": 1_001 }));
    assert_eq!(
        (code.as_str(), detail.as_str()),
        ("invalid_request", "\"credit must be from 1 to 1000\"")
    );
    assert_eq!(told(json!({ "credit": 1, "ack": [] })).0, "invalid_request");
    assert_eq!(told(json!("pop")).0, "invalid_request");
    let token = format!("{:0>72}", 1);
    assert_eq!(told(json!({ "extend": [token], "ttl_ms": 1 })).0, "invalid_ttl");
    assert_eq!(told(json!({ "extend": ["x"], "ttl_ms": 1 })).0, "invalid_ttl");
    assert_eq!(told(json!({ "nack": ["x"], "delay_ms": 31_622_400_001_u64 })).0, "invalid_delay");
    assert_eq!(told(json!({ "ack": vec![token; 1_001] })).0, "invalid_leases");
    send(&mut client, &json!({ "ack": ["x", "y"] }));
    let failed = ["x", "y"].map(|text| json!({ "lease": text, "code": "lease_not_found" }));
    assert_eq!(client.next(), json!({ "acked": 0, "failed": failed }));
}

#[test]
fn a_lease_that_ended_is_told_as_such() {
    let clock = Clock::manual();
    let server = TestServer::on(options(), |runtime| {
        let builder = Lanekeeper::builder().clock(clock.clone());
        runtime.block_on(builder.open()).unwrap()
    });
    push(&server, 1);
    let mut client = Client::open(server.addr, "/queue/q/consume?ttl_ms=1000");
    send(&mut client, &json!({ "credit": 1 }));
    let lease = client.next()["lease"].clone();
    clock.advance(Duration::from_secs(2));
    send(&mut client, &json!({ "ack": [lease] }));
    let failed = json!([{ "lease": lease, "code": "lease_expired" }]);
    assert_eq!(client.next(), json!({ "acked": 0, "failed": failed }));
}

/// A server whose clock is in the test's hands.
fn timed() -> (TestServer, Clock) {
    let clock = Clock::manual();
    let server = TestServer::on(options(), |runtime| {
        let builder = Lanekeeper::builder().clock(clock.clone());
        runtime.block_on(builder.open()).unwrap()
    });
    (server, clock)
}

#[test]
fn leases_that_end_make_room_without_a_word_of_the_client() {
    let (server, clock) = timed();
    let items = json!({ "items": vec![json!({ "item": {} }); 1_000] });
    server.post("/queue/q/push", items.to_string()).ok();
    let mut client = Client::open(server.addr, "/queue/q/consume?ttl_ms=1000");
    send(&mut client, &json!({ "credit": 1_000 }));
    for _ in 0..1_000 {
        assert_eq!(client.next()["deliveries"], 1);
    }
    send(&mut client, &json!({ "credit": 1 }));
    assert_eq!(settle_nothing(&mut client)["acked"], 0, "there is no room for another");
    clock.advance(Duration::from_secs(1));
    assert_eq!(client.next()["deliveries"], 2);
}

#[test]
fn a_consumer_of_a_rated_queue_gets_each_message_at_its_time_and_no_refusal() {
    let (server, clock) = timed();
    let config = json!({ "pop_rate": { "per_second": 20, "burst": 1 } });
    server.put("/queue/q/config", config.to_string()).ok();
    push(&server, 20);
    let mut client = Client::open(server.addr, "/queue/q/consume");
    send(&mut client, &json!({ "credit": 20 }));
    assert_eq!(client.next()["item"]["n"], 0);
    for n in 1..20 {
        assert_eq!(settle_nothing(&mut client)["acked"], 0, "not before its time");
        clock.advance(Duration::from_millis(50));
        assert_eq!(client.next()["item"]["n"], n);
    }
}

#[test]
fn a_pause_is_told_once_and_its_end_serves_the_consumer() {
    let server = TestServer::start();
    let mut client = Client::open(server.addr, "/queue/q/consume");
    server.post("/queue/q/pause", json!({ "push": false, "pop": true }).to_string()).ok();
    send(&mut client, &json!({ "credit": 2 }));
    assert_eq!(client.next()["problem"]["code"], "paused");
    push(&server, 1);
    server.post("/queue/q/resume", json!({ "push": false, "pop": true }).to_string()).ok();
    assert_eq!(client.next()["item"]["n"], 0);
}
