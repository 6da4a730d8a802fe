//! The real binary under low limits on open files, with more idle connections than it may have:
//! what is pushed is acknowledged and kept, every request is answered, and its health can be asked.
//!
//! `SOAK=10 cargo test --test soak descriptors` for more of it.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::{
    rounds,
    support::process::{Serving, run},
};

/// Bytes of one item: enough of them fill several segments of the journal.
const ITEM_BYTES: usize = 200_000;

/// Starts the server with so many open files.
fn serve(limit: u32, data: &Path) -> Serving {
    let script = format!(
        "ulimit -n {limit} && exec \"$0\" serve --listen 127.0.0.1:0 --connections-max 4096 \
         --data \"$1\""
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_lanekeeper")]).arg(data);
    command.env_remove("LANEKEEPER_TOKEN").env("RUST_LOG", "error");
    Serving::start(command)
}

fn agent() -> Agent {
    let patience = Some(Duration::from_secs(20));
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(patience);
    config.build().new_agent()
}

/// Posts until there is room for it: a server that is full says so, and every request is answered.
fn post(agent: &Agent, url: &str, body: &[u8]) -> Value {
    loop {
        let answered = agent.post(url).send(body);
        let mut response = answered.unwrap_or_else(|error| panic!("{url}: {error}"));
        let text = response.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
        match response.status().as_u16() {
            200 => return serde_json::from_str(&text).unwrap(),
            503 if text.contains("\"too_many_connections\"") => thread::yield_now(),
            status => panic!("{url}: {status} {text}"),
        }
    }
}

/// Opens more connections than there may be, and then one more for each token of `more`: a third
/// says nothing, a third a part of a head, a third asked once. Keeps the latest.
fn crowd(addr: &str, keep: usize, more: &Receiver<()>) {
    let mut kept = VecDeque::new();
    for n in 0_usize.. {
        if n > keep && more.recv().is_err() {
            return;
        }
        // A server whose place for those that wait is full lets them wait.
        if let Ok(mut stream) = TcpStream::connect(addr) {
            let word: &[u8] = match n % 3 {
                0 => b"",
                1 => b"POST /queue/q/pop HTTP/1.1\r\nhost: local",
                _ => b"GET /queue/q/stats HTTP/1.1\r\nhost: localhost\r\n\r\n",
            };
            let _ = stream.write_all(word);
            kept.push_back(stream);
        }
        if kept.len() > keep {
            kept.pop_front();
        }
    }
}

/// Asks for the health over a connection of its own.
fn health(addr: &str) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /health/live HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer:?}");
}

/// Pushes and pops while connections crowd in; answers how many messages are left.
fn use_it(url: &str, count: u64, more: &Sender<()>) -> u64 {
    let agent = agent();
    let item = json!({ "item": { "t": "x".repeat(ITEM_BYTES) } }).to_string();
    let mut left = 0;
    for n in 0..count {
        let _ = more.send(());
        assert_eq!(post(&agent, &format!("{url}/queue/q/push"), item.as_bytes())["count"], 1);
        left += 1;
        if n % 3 == 0 {
            assert_eq!(post(&agent, &format!("{url}/queue/q/pop"), b"")["count"], 1);
            left -= 1;
        }
        if n % 10 == 0 {
            health(url.strip_prefix("http://").unwrap());
        }
    }
    left
}

#[test]
fn idle_connections_beyond_the_limit_on_open_files_harm_nobody() {
    let _machine = crate::machine();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    for (limit, count) in [(64, 45), (256, 45), (1_024, 20)] {
        let dir = TempDir::new().unwrap();
        let server = serve(limit, dir.path());
        let addr = server.url.strip_prefix("http://").unwrap().to_owned();
        let (more, wanted) = channel();
        let left = thread::scope(|scope| {
            scope.spawn(move || crowd(&addr, limit as usize + 100, &wanted));
            // The sender goes with it, and the crowd with that, if it fails too.
            let url = &server.url;
            scope.spawn(move || use_it(url, rounds(count), &more)).join().unwrap()
        });
        let mut text = agent().get(&format!("{}/metrics", server.url)).call().unwrap();
        let text = text.body_mut().read_to_string().unwrap();
        assert!(text.contains("\nlanekeeper_store_poisoned 0\n"), "{limit}: {text}");
        server.signal(Signal::TERM);
        let ended = server.wait();
        assert_eq!(ended.code, Some(0), "{limit}: {}", ended.stderr);
        let mut check = Command::new(env!("CARGO_BIN_EXE_lanekeeper"));
        check.arg("check").arg(dir.path());
        assert_eq!(run(check).code, Some(0), "{limit}");
        let server = serve(limit, dir.path());
        let mut stats = agent().get(&format!("{}/queue/q/stats", server.url)).call().unwrap();
        let text = stats.body_mut().read_to_string().unwrap();
        let stats: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(stats["ready"], left, "{limit}");
    }
}
