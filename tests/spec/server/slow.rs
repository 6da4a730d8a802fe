//! Slow readers over a real connection: told, throttled or cut, as the stream says, while the one
//! beside them misses nothing.

use std::time::Duration;

use lanekeeper::{
    Clock, Lanekeeper,
    queue::Item,
    server::{ServerOptions, SocketOptions},
    stream::{Class, StreamStats},
};
use serde_json::{Value, json};
use tungstenite::Message;

use crate::{
    http::stream::{metric, publish, until},
    support::{
        http::{TestServer, options},
        socket::Client,
    },
};

/// More than a send may take without being slow.
const SLOW: Duration = Duration::from_millis(501);

/// A stream whose subscriber takes its time: its clock stands still unless it is advanced.
struct Slow {
    server: TestServer,
    clock: Clock,
    client: Client,
}

impl Slow {
    /// Subscribes, and publishes far more than the connection holds, in small messages: it takes
    /// many of them at once whenever there is room.
    fn start(on_slow: &str) -> Self {
        let clock = Clock::manual();
        let socket =
            SocketOptions { send_timeout: Duration::from_secs(600), ..SocketOptions::default() };
        let server = TestServer::on(ServerOptions { socket, ..options() }, |runtime| {
            runtime.block_on(Lanekeeper::builder().clock(clock.clone()).open()).unwrap()
        });
        server.put("/stream/t/config", json!({ "on_slow": on_slow }).to_string()).ok();
        let client = Client::open(server.addr, "/stream/t?queue_max=10000");
        let slow = Self { server, clock, client };
        slow.server.runtime.block_on(async {
            let stream = slow.server.node.stream("t");
            let data = Item::from_value(&json!({ "x": "x".repeat(1_000) })).unwrap();
            while stream.stats().await.unwrap().subscribers[0].waiting.total() < 6_000 {
                stream.publish(Class::Important, data.clone()).await.unwrap();
            }
        });
        slow
    }

    fn stats(&self) -> StreamStats {
        let Self { server, .. } = self;
        server.runtime.block_on(server.node.stream("t").stats()).unwrap()
    }

    fn slow_events(&self) -> u64 {
        self.stats().counts.slow_events
    }

    /// Lets one send take too long: reads on only then, and no further than it takes to end it.
    fn dawdle(&mut self) {
        let before = self.slow_events();
        self.clock.advance(SLOW);
        while self.slow_events() == before {
            self.client.next();
        }
    }

    /// Reads to the first frame that is no message of those that were published to begin with.
    fn next_other(&mut self) -> Value {
        loop {
            let frame = self.client.next();
            if frame["data"].get("x").is_none() {
                return frame;
            }
        }
    }
}

#[test]
fn a_slow_reader_is_told_and_recovers() {
    let mut slow = Slow::start("warn");
    for events in 1..=6 {
        assert_eq!(slow.stats().slow_count, 0, "after {events} slow sends");
        slow.dawdle();
    }
    assert_eq!((slow.slow_events(), slow.stats().slow_count), (6, 1));
    let own = slow.server.get("/stream/t/stats").ok()["by_subscriber"][0].clone();
    assert_eq!((&own["status"], &own["slow_events"]), (&"slow".into(), &6.into()));
    assert_eq!(metric(&slow.server, "lanekeeper_stream_slow_events_total"), 6);
    assert_eq!(metric(&slow.server, "lanekeeper_stream_slow_total"), 1);
    let notice = json!({ "notice": { "code": "slow_consumer", "slow_events": 6 } });
    assert_eq!(slow.next_other(), notice);
    // What it reads in one go does not show that it keeps up: what it reads as it comes does.
    while slow.stats().subscribers[0].waiting.total() > 0 {
        slow.client.next();
    }
    assert_eq!(slow.stats().slow_count, 1);
    let mut n = 0;
    let recovered = loop {
        publish(&slow.server, "critical", n);
        n += 1;
        assert!(n < 20, "it does not recover");
        let frame = slow.next_other();
        if frame.get("notice").is_some() {
            break frame;
        }
    };
    assert_eq!(recovered, json!({ "notice": { "code": "recovered" } }));
    assert_eq!(slow.stats().slow_count, 0);
}

#[test]
fn a_slow_reader_is_cut_where_the_stream_says_so() {
    let mut slow = Slow::start("disconnect");
    let mut healthy = Client::open(slow.server.addr, "/stream/t");
    (0..6).for_each(|_| slow.dawdle());
    let closing = loop {
        match slow.client.socket.read().unwrap() {
            Message::Close(Some(frame)) => break (u16::from(frame.code), frame.reason.to_string()),
            Message::Text(_) | Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(closing, (1008, "slow_consumer".to_owned()));
    assert_eq!(publish(&slow.server, "bulk", 7)["subscribers"], 1);
    assert_eq!(healthy.next()["data"]["n"], 7);
    drop(slow.client.socket);
    until(&slow.server, "lanekeeper_socket_connections", 1);
    let ended = "lanekeeper_stream_ended_total{reason=\"slow_consumer\"}";
    assert_eq!(metric(&slow.server, ended), 1);
}

#[test]
fn a_slow_reader_gets_a_sample_of_bulk_where_the_stream_says_so() {
    let mut slow = Slow::start("throttle");
    (0..6).for_each(|_| slow.dawdle());
    let mut healthy = Client::open(slow.server.addr, "/stream/t");
    let (mut queued, mut refused) = (0, 0);
    for n in 0..100 {
        let done = publish(&slow.server, "bulk", n);
        queued += done["queued"].as_u64().unwrap();
        refused += done["refused"].as_u64().unwrap();
        assert_eq!(healthy.next()["data"]["n"], n);
    }
    assert_eq!((queued, refused), (110, 90));
    assert_eq!(slow.next_other()["notice"]["code"], "slow_consumer");
    for n in (9..100).step_by(10) {
        assert_eq!(slow.next_other(), json!({ "gap": { "class": "bulk", "count": 9 } }));
        assert_eq!(slow.next_other()["data"]["n"], n);
    }
}
