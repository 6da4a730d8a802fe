//! One budget of memory for all requests: what does not fit is refused, and nothing is lost.

use std::{io::Write, thread};

use lanekeeper::{MemoryBudget, server::ServerOptions};

use crate::support::http::{TestServer, options, talk};

const MIB: usize = 1 << 20;

/// A server with 16 MiB for requests; bodies get seven eighths of them.
fn tight() -> TestServer {
    let memory = MemoryBudget::of_process(128 << 20);
    assert_eq!(memory.bytes_max(), 16 << 20);
    let options = ServerOptions { memory: memory.clone(), ..options() };
    TestServer::with(options, |builder| builder.memory_budget(memory))
}

fn used(server: &TestServer) -> u64 {
    metric(server, "lanekeeper_memory_used_bytes")
}

fn metric(server: &TestServer, sample: &str) -> u64 {
    let text = server.get("/metrics").body;
    let line = text.lines().find(|line| line.starts_with(&format!("{sample} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a figure")
}

fn item(bytes: usize) -> String {
    format!("{{\"item\":{{\"x\":\"{}\"}}}}", "y".repeat(bytes))
}

fn head(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
}

#[test]
fn a_body_for_which_there_is_no_memory_is_refused_before_it_is_read() {
    let server = tight();
    let told = talk(server.connect(), head("/queue/q/push", 6 * MIB).as_bytes());
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    for part in ["\"code\":\"overloaded\"", "memory_max", "retry-after: 1", "\"limit\":16777216"] {
        assert!(told.to_ascii_lowercase().contains(part), "{part} in {told}");
    }
    assert_eq!(metric(&server, "lanekeeper_memory_refusals_total{use=\"body\"}"), 1);
    assert_eq!(used(&server), 0);
    server.post("/queue/q/push", item(10)).ok();
    server.post("/queue/q/push", item(MIB / 2)).ok();
}

#[test]
fn a_slow_body_takes_no_memory_for_what_it_has_not_sent() {
    let server = tight();
    let sent = vec![b' '; 100_000];
    let mut streams: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(head("/queue/q/push", 2 * MIB).as_bytes()).unwrap();
        stream.write_all(&sent).unwrap();
    }
    while used(&server) < 20 * 3 * 100_000 {
        thread::yield_now();
    }
    assert!(used(&server) < 20 * 3 * 200_000, "{}", used(&server));
    drop(streams);
    while used(&server) > 0 {
        thread::yield_now();
    }
}

#[test]
fn an_answer_holds_as_many_large_messages_as_there_is_memory_for() {
    let server = tight();
    for n in 0..8 {
        let body = format!("{{\"item\":{{\"n\":{n},\"x\":\"{}\"}}}}", "y".repeat(MIB - 40));
        server.post("/queue/q/push", body).ok();
    }
    let first = server.get("/queue/q/peek?depth=100").ok();
    let count = first["count"].as_u64().unwrap();
    assert!((1..8).contains(&count), "{count}");
    let next = first["next"].as_str().expect("there are more");
    let second = server.get(&format!("/queue/q/peek?depth=100&after={next}")).ok();
    assert_eq!(second["messages"][0]["item"]["n"], count);
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let popped = server.post("/queue/q/pop?depth=100", "").ok();
        let items = popped["items"].as_array().unwrap();
        assert!((1..8).contains(&items.len()), "{}", items.len());
        seen.extend(items.iter().map(|item| item["n"].as_u64().unwrap()));
    }
    assert_eq!(seen, (0..8).collect::<Vec<_>>());
    assert_eq!(server.post("/queue/q/pop?depth=100", "").ok()["count"], 0);
}

#[test]
fn a_page_of_what_waits_for_a_time_holds_what_there_is_memory_for() {
    let server = tight();
    for n in 0..7 {
        let x = "y".repeat(MIB - 60);
        let body = format!("{{\"item\":{{\"n\":{n},\"x\":\"{x}\"}},\"delay_ms\":{}}}", 600_000 + n);
        server.post("/queue/q/push", body).ok();
    }
    server.post("/queue/q/push", "{\"item\":{\"n\":7},\"delay_ms\":700000}").ok();
    let (mut seen, mut path) = (Vec::new(), "/queue/q/peek?state=scheduled&depth=100".to_owned());
    loop {
        let page = server.get(&path).ok();
        let messages = page["messages"].as_array().unwrap();
        assert!((1..7).contains(&messages.len()), "{}", messages.len());
        seen.extend(messages.iter().map(|message| message["item"]["n"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/queue/q/peek?state=scheduled&depth=100&after={next}");
    }
    assert_eq!(seen, (0..8).collect::<Vec<_>>());
    while used(&server) > 8 * MIB as u64 {
        thread::yield_now();
    }
}

#[test]
fn a_full_memory_lets_out_what_it_holds() {
    let server = tight();
    let (mut pushed, body) = (0, item(MIB / 2));
    let refused = loop {
        let reply = server.post("/queue/q/push", &body);
        if reply.status != 200 {
            break reply;
        }
        pushed += 1;
    };
    refused.refused(503, "overloaded");
    assert!(pushed > 10, "{pushed}");
    for _ in 0..pushed {
        assert_eq!(server.post("/queue/q/pop", "").ok()["count"], 1);
    }
    server.post("/queue/q/push", &body).ok();
}

#[test]
fn a_lease_gives_what_one_batch_can_hold() {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::with(options(), |builder| builder.data(dir.path()));
    for _ in 0..30 {
        server.post("/queue/q/push", item(MIB - 40)).ok();
    }
    let leased = server.post("/queue/q/lease", "{\"depth\":30}").ok();
    assert_eq!(leased["count"], 10);
    assert_eq!(server.get("/queue/q/stats").ok()["leased"], 10);
}
