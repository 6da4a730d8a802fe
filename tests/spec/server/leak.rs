//! Thousands of connections to the real binary, ended in every way: nothing of them is left.

use std::{
    fs,
    io::Write,
    net::{Shutdown, SocketAddr},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tungstenite::Message;
use ureq::Agent;

use crate::support::{
    http::{agent, send},
    process::{Serving, lanekeeper},
    socket::{Client, frame, upgraded},
};

/// More than the ups and downs of the memory: what ten thousand connections come to that leave four
/// hundred bytes behind each.
const GROWTH_MAX: u64 = 4 << 20;

struct Watched {
    serving: Serving,
    agent: Agent,
    addr: SocketAddr,
}

impl Watched {
    fn start() -> Self {
        let args = ["serve", "--listen", "127.0.0.1:0", "--durability", "memory"];
        let serving = Serving::start(lanekeeper(args));
        let addr = serving.url.strip_prefix("http://").unwrap().parse().unwrap();
        Self { serving, agent: agent(), addr }
    }

    fn metric(&self, sample: &str) -> u64 {
        let url = format!("{}/metrics", self.serving.url);
        let text = send(&self.agent, &url, "GET", (b"", &[])).body;
        let line = text.lines().find(|line| line.starts_with(&format!("{sample} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }

    fn publish(&self) -> u64 {
        let body = json!({ "class": "bulk", "data": { "n": 1 } }).to_string();
        let url = format!("{}/stream/t/publish", self.serving.url);
        let done = send(&self.agent, &url, "POST", (body.as_bytes(), &[])).ok();
        done["subscribers"].as_u64().unwrap()
    }

    /// Connects so many times, and ends each connection in one of four ways; then waits until one
    /// that stays is the only one left.
    fn connect(&self, count: u64) {
        for round in 0..count {
            let mut stream = upgraded(self.addr, "/stream/t");
            match round % 4 {
                0 => {}
                1 => drop(stream.shutdown(Shutdown::Both)),
                2 => stream.write_all(&frame(0x88, &1000_u16.to_be_bytes())).unwrap(),
                _ => stream.write_all(b"garbage that is no frame").unwrap(),
            }
            if round % 100 == 99 {
                self.publish();
            }
        }
        for gauge in ["lanekeeper_socket_connections", "lanekeeper_stream_subscribers"] {
            loop {
                match self.metric(gauge) {
                    0 => panic!("{gauge}: the one that stays has gone"),
                    1 => break,
                    _ => thread::yield_now(),
                }
            }
        }
    }

    fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.serving.pid())).unwrap().count()
    }

    fn resident_bytes(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.serving.pid())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }
}

/// Reads on whatever a client is sent: one that answers no ping is disconnected, however busy the
/// machine is meanwhile.
fn reading(mut client: Client) -> Receiver<Value> {
    client.socket.get_ref().set_read_timeout(None).unwrap();
    let (sender, received) = channel();
    thread::spawn(move || {
        while let Ok(message) = client.socket.read() {
            let Message::Text(text) = message else { continue };
            if sender.send(serde_json::from_str(&text).unwrap()).is_err() {
                return;
            }
        }
    });
    received
}

#[test]
fn thousands_of_connects_leave_nothing_behind() {
    let count = std::env::var("CONNECTS").ok().and_then(|count| count.parse().ok());
    let count: u64 = count.unwrap_or(10_000);
    let server = Watched::start();
    let last = reading(Client::open(server.addr, "/stream/t"));
    server.connect(1_000);
    let (files, resident) = (server.files(), server.resident_bytes());
    server.connect(count);
    // A connection that was closed a moment ago may still have its file.
    while server.files() > files {
        thread::yield_now();
    }
    let growth = server.resident_bytes().saturating_sub(resident);
    assert!(growth < GROWTH_MAX, "{growth} bytes more after {count} connections");
    assert_eq!(server.metric("lanekeeper_stream_subscribed_total"), 1_001 + count);
    let mut seq = 0;
    assert_eq!(server.publish(), 1);
    while seq < (1_000 + count) / 100 + 1 {
        seq += 1;
        assert_eq!(last.recv_timeout(Duration::from_secs(60)).unwrap()["seq"], seq);
    }
}
