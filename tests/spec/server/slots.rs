//! More connections than there may be: health is answered, whoever asks is served before whoever
//! is idle, whoever shows no token holds nothing, and no descriptor is left behind.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use lanekeeper::server::{ServerOptions, Token};
use serde_json::json;

use crate::{
    http::stream::metric,
    support::{
        http::{TestServer, connect, options, talk},
        process::{Serving, lanekeeper, run},
        socket::Client,
    },
};

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
const STATS: &[u8] = b"GET /queue/q/stats HTTP/1.1\r\nhost: localhost\r\n\r\n";
const POP: &[u8] =
    b"POST /queue/q/pop?wait_ms=60000 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
const PUSH: &[u8] = b"POST /queue/q/push HTTP/1.1\r\nhost: localhost\r\ncontent-length: 11\r\n\r\n\
                      {\"item\":{}}";

fn with(connections_max: usize, token: Option<&str>) -> TestServer {
    let token = token.map(|secret| Token::new(secret).unwrap());
    let options = ServerOptions { connections_max, token, ..options() };
    TestServer::with(options, |builder| builder)
}

#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it did not come to pass");
        thread::yield_now();
    }
}

/// Sends a request and reads what comes of the answer at once.
fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut part = [0; 4096];
    let count = stream.read(&mut part).unwrap();
    String::from_utf8_lossy(&part[..count]).into_owned()
}

/// Whether a connection on which nothing is to be read was closed.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = (&mut &*stream).read(&mut [0; 1]);
    stream.set_nonblocking(false).unwrap();
    match read {
        Err(error) => error.kind() != ErrorKind::WouldBlock,
        Ok(count) => count == 0,
    }
}

#[test]
fn health_is_answered_and_the_rest_refused_while_all_connections_are_at_work() {
    let server = with(4, None);
    let mut waiting: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut waiting {
        stream.write_all(POP).unwrap();
    }
    let live = |_| talk(server.connect(), LIVE);
    until(|| server.node.status().turns_total >= 4);
    for answer in (0..20).map(live) {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    let refused = talk(server.connect(), PUSH);
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("\"code\":\"too_many_connections\""), "{refused}");
    assert!(refused.contains("retry-after: ") && refused.contains("\"limit\":4"), "{refused}");
    // Those that say nothing take nothing from those that ask for the health.
    let _silent: Vec<_> = (0..200).map(|_| server.connect()).collect();
    assert!(live(0).starts_with("HTTP/1.1 200 "));
    waiting.truncate(3);
    until(|| ask(&mut server.connect(), PUSH).starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_longest_idle_connection_gives_way_to_one_that_asks() {
    let server = with(4, None);
    let mut idle: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut idle {
        assert!(ask(stream, STATS).starts_with("HTTP/1.1 200 "));
        // So that one is idle for longer than the next.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2) {
            thread::yield_now();
        }
    }
    assert!(ask(&mut idle[0], STATS).starts_with("HTTP/1.1 200 "));
    let mut newcomer = server.connect();
    // It waits until somebody has been idle for long enough.
    assert!(ask(&mut newcomer, STATS).starts_with("HTTP/1.1 200 "));
    until(|| is_closed(&idle[1]));
    for n in [0, 2, 3] {
        assert!(!is_closed(&idle[n]), "{n}");
    }
    assert!(!is_closed(&newcomer));
    assert_eq!(metric(&server, "lanekeeper_connections_evicted_total"), 2, "and for this look");
    assert_eq!(metric(&server, "lanekeeper_connections{kind=\"regular\"}"), 4);
    assert_eq!(metric(&server, "lanekeeper_connections_max"), 4);
}

#[test]
fn subscribers_count_and_are_never_made_to_give_way() {
    let server = with(3, None);
    let mut subscribers: Vec<_> = (0..2).map(|_| Client::open(server.addr, "/stream/t")).collect();
    for _ in 0..5 {
        until(|| ask(&mut server.connect(), STATS).starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(metric(&server, "lanekeeper_connections{kind=\"regular\"}"), 3);
    let body = json!({ "class": "bulk", "data": { "n": 1 } }).to_string();
    assert_eq!(server.post("/stream/t/publish", body).ok()["subscribers"], 2);
    subscribers.iter_mut().for_each(|client| assert_eq!(client.next()["data"]["n"], 1));
}

#[test]
fn whoever_shows_no_token_holds_no_connection() {
    let server = with(20, Some("s3cret"));
    let known =
        b"GET /queue/q/stats HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer s3cret\r\n\r\n";
    let mut worker = server.connect();
    assert!(ask(&mut worker, known).starts_with("HTTP/1.1 200 "));
    let mut strangers: Vec<_> = (0..19).map(|_| server.connect()).collect();
    for stream in &mut strangers {
        stream.write_all(STATS).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
    }
    // An announced body that does not come holds nothing either.
    let head = "POST /queue/q/push HTTP/1.1\r\nhost: localhost\r\n";
    for length in ["content-length: 1000", "transfer-encoding: chunked"] {
        let answer = talk(server.connect(), format!("{head}{length}\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    assert!(ask(&mut worker, known).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_peer_has_a_bounded_number_of_connections_without_a_token() {
    let server = TestServer::with(
        ServerOptions {
            connections_max: 100,
            token: Some(Token::new("s3cret").unwrap()),
            unauthenticated_max_per_peer: Some(3),
            ..options()
        },
        |builder| builder,
    );
    let mut live: Vec<_> = (0..10).map(|_| server.connect()).collect();
    until(|| live.iter().filter(|stream| is_closed(stream)).count() == 7);
    live.retain(|stream| !is_closed(stream));
    for stream in &mut live {
        assert!(ask(stream, LIVE).starts_with("HTTP/1.1 200 "), "health needs no token");
    }
}

/// Starts the real binary with so many open files at most.
fn limited(limit: u32) -> Command {
    let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    let serve = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--durability", "memory"]);
    command.arg(serve.get_program()).args(serve.get_args());
    command.env_remove("LANEKEEPER_TOKEN");
    command
}

#[test]
fn a_limit_on_open_files_that_is_too_low_is_refused_with_a_sentence() {
    let ended = run(limited(32));
    let complaint = ended.failed(3);
    assert!(complaint.contains("the limit on open files is 32, and at least"), "{complaint}");
    assert!(complaint.contains("ulimit -n"), "{complaint}");
}

#[test]
fn no_end_of_a_connection_leaves_its_descriptor_behind() {
    let server = Serving::start(limited(128));
    let addr = server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let files = || fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let late =
        b"POST /queue/q/push HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999999999\r\n\r\n";
    let ends: [&[u8]; 7] =
        [b"", b"garbage\r\n\r\n", b"GET /nope HTTP/1.0\r\n\r\n", LIVE, STATS, POP, late];
    let crowd = || {
        // Far more at a time than there may be.
        let mut kept = Vec::new();
        for round in 0..700 {
            let mut stream = connect(addr);
            let _ = stream.write_all(ends[round % ends.len()]);
            match round % 3 {
                0 => drop(stream.shutdown(Shutdown::Write)),
                1 => continue,
                _ => {}
            }
            kept.push(stream);
            if kept.len() > 150 {
                kept.remove(0);
            }
            assert!(files() <= 128);
        }
        until(|| ask(&mut connect(addr), PUSH).starts_with("HTTP/1.1 200 "));
    };
    // What is opened once and kept is open by then.
    crowd();
    let before = files();
    crowd();
    until(|| files() <= before);
}
