//! The real binary with 256 MiB, and clients with bodies and answers of every kind that together
//! want many times as much: it refuses, keeps below, and works on.
//!
//! `SOAK=20 cargo test --test soak memory` for a longer one.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::{
    rounds,
    support::process::{Serving, lanekeeper},
};

/// What the server is told, and what it may never take as its system counts it.
const MEMORY_MIB: u64 = 256;

const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    serving: Serving,
    host: String,
}

impl Server {
    fn start(data: &std::path::Path) -> Self {
        let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(data).args(["--memory-max", &format!("{MEMORY_MIB}MiB")]);
        command.env("RUST_LOG", "error");
        let serving = Serving::start(command);
        let host = serving.url.strip_prefix("http://").unwrap().to_owned();
        Self { serving, host }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn head(&self, method: &str, path: &str, rest: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{rest}\r\n", self.host)
    }

    /// The status of an answer, which is read to its end and thrown away; 503 where a client that
    /// was refused before it had sent everything finds its connection closed.
    fn send(&self, method: &str, path: &str, body: &[u8]) -> u16 {
        let mut stream = self.connect();
        let length = format!("Connection: close\r\nContent-Length: {}\r\n", body.len());
        let head = self.head(method, path, &length);
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        let mut answer = Vec::new();
        let mut buf = vec![0; 64 << 10];
        while let Ok(count @ 1..) = stream.read(&mut buf) {
            let missing = 12_usize.saturating_sub(answer.len());
            answer.extend_from_slice(&buf[..count.min(missing)]);
        }
        let status = std::str::from_utf8(&answer).ok().and_then(|text| text.get(9..12));
        match (status.and_then(|status| status.parse().ok()), sent) {
            (Some(status), _) => status,
            (None, Err(error)) => {
                let closed = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                assert!(closed.contains(&error.kind()), "{error}");
                503
            }
            (None, Ok(())) => 503,
        }
    }

    /// Sends a request from several clients at once; how many of them were let in.
    fn all(&self, clients: usize, count: u64, what: (&str, &str), body: &[u8]) -> usize {
        let (method, path) = what;
        let let_in = AtomicUsize::new(0);
        thread::scope(|scope| {
            for client in 0..clients {
                let (path, let_in) = (path.replace("{n}", &(client % 8).to_string()), &let_in);
                scope.spawn(move || {
                    for _ in 0..count {
                        match self.send(method, &path, body) {
                            200 => _ = let_in.fetch_add(1, Relaxed),
                            // On a busy machine a body may take longer than it is waited for.
                            status => {
                                assert!(matches!(status, 408 | 429 | 503), "{path}: {status}");
                            }
                        }
                    }
                });
            }
        });
        self.check(path);
        let_in.into_inner()
    }

    /// Opens connections that send this and then nothing more.
    fn stalled(&self, count: usize, head: &str, part: &[u8]) -> Vec<TcpStream> {
        let stalled = (0..count).map(|_| {
            let mut stream = self.connect();
            stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
            // It may be refused, or not be read.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(part));
            stream
        });
        let stalled = stalled.collect();
        self.check(head.lines().next().unwrap_or_default());
        stalled
    }

    /// The most that the process has taken so far.
    #[track_caller]
    fn check(&self, what: &str) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.serving.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        println!("{:>4} MiB at most after {what}", kib >> 10);
        assert!(kib < MEMORY_MIB << 10, "{kib} KiB after {what}");
    }
}

fn items(count: usize, bytes: usize) -> Vec<u8> {
    let one = format!("{{\"item\":{{\"x\":\"{}\"}}}}", "y".repeat(bytes));
    format!("{{\"items\":[{}]}}", vec![one; count].join(",")).into_bytes()
}

#[test]
fn clients_with_bodies_and_answers_of_every_kind_keep_within_the_memory() {
    let _machine = crate::machine();
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    server.check("its start");
    let megabyte = format!("{{\"x\":\"{}\"}}", "y".repeat(1_000_000));
    for _ in 0..rounds(1) {
        let many = items(7, 1_000_000);
        assert!(server.all(4, 2, ("POST", "/queue/q{n}/push"), &many) > 0);
        server.all(32, 2, ("POST", "/queue/q{n}/push"), &many);
        server.all(16, 2, ("POST", "/queue/bulk/push"), &items(1_000, 7_000));
        server.all(16, 2, ("POST", "/queue/tiny/push"), &items(1_000, 1));
        let length = "Content-Length: 7900000\r\n";
        let push = server.head("POST", "/queue/q/push", length);
        let config = server.head("PUT", "/queue/q/config", length);
        let beat = server.head("POST", "/worker/w/heartbeat", length);
        let stalled: Vec<_> = [(150, push), (30, config), (30, beat)]
            .into_iter()
            .flat_map(|(count, head)| server.stalled(count, &head, &[b' '; 7_800_000]))
            .collect();
        drop(stalled);
        publish(&server, &megabyte);
        frames(&server);
        for (method, path, body) in [
            ("GET", "/queue/q{n}/peek?depth=100", ""),
            ("POST", "/queue/q{n}/lease", "{\"depth\":100,\"ttl_ms\":1000}"),
            ("POST", "/queue/q{n}/pop?depth=100", ""),
            ("POST", "/queue/bulk/pop?depth=100", ""),
        ] {
            server.all(64, 1, (method, path), body.as_bytes());
        }
    }
    // Once what was pushed is where it belongs, there is memory again.
    for body in [items(1, 1), items(1, 1_000_000)] {
        while server.send("POST", "/queue/after/push", &body) != 200 {
            thread::yield_now();
        }
    }
    while server.send("POST", "/queue/after/pop?depth=2", b"") != 200 {}
    server.check("all of it");
}

/// Large messages to subscribers that read nothing, and kept for those who come late.
fn publish(server: &Server, megabyte: &str) {
    let accept = "Accept: text/event-stream\r\n";
    let subscribe = server.head("GET", "/stream/t0?queue_max=1000", accept);
    let deaf = server.stalled(16, &subscribe, b"");
    let retain = b"{\"retain\":1000}";
    server.all(8, 1, ("PUT", "/stream/t{n}/config"), retain);
    let message = format!("{{\"class\":\"important\",\"data\":{megabyte}}}");
    server.all(16, 10, ("POST", "/stream/t{n}/publish"), message.as_bytes());
    drop(deaf);
}

/// WebSocket messages that do not end.
fn frames(server: &Server) {
    let upgrade = "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = server.head("GET", "/queue/q/consume", upgrade);
    let mut frame = vec![0x81, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 1, 2, 3, 4];
    frame.resize(120_000, b' ');
    drop(server.stalled(300, &upgrade, &frame));
}
