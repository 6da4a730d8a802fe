//! Clients that send too much, too slowly, or no HTTP at all.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use lanekeeper::server::ServerOptions;

use crate::support::http::{TestServer, options, talk};

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";

/// Long enough for what is in time to be so, short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);

fn with(options: ServerOptions) -> TestServer {
    TestServer::with(options, |builder| builder)
}

/// Checks an answer that the parser made of itself.
#[track_caller]
fn refused(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()));
}

/// Reads one answer without a body worth reading.
fn answered(stream: &mut TcpStream) {
    let mut buf = [0; 4096];
    let count = stream.read(&mut buf).unwrap();
    assert!(buf[..count].starts_with(b"HTTP/1.1 200 "), "{:?}", &buf[..count]);
}

#[test]
fn a_body_said_to_be_too_large_is_refused_before_it_is_sent() {
    let server = TestServer::start();
    let head = b"POST /queue/q/push HTTP/1.1\r\nhost: x\r\ncontent-length: 8388609\r\n\r\n";
    let answer = talk(server.connect(), head);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"code\":\"too_large\""), "{answer}");
}

#[test]
fn a_body_without_a_length_is_bounded_too() {
    let options = ServerOptions { body_bytes_max: 1000, ..options() };
    let server = TestServer::with(options, |builder| builder);
    let mut stream = server.connect();
    stream.write_all(b"POST /queue/q/push HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").unwrap();
    stream.write_all(b"transfer-encoding: chunked\r\n\r\n").unwrap();
    let answer = talk(stream, format!("3e9\r\n{}\r\n0\r\n\r\n", " ".repeat(1001)).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let server = with(ServerOptions { body_timeout: SHORT, ..options() });
    let head = b"POST /queue/q/push HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"item\":";
    refused(&talk(server.connect(), head), 408, "request_timeout");
    assert_eq!(server.get("/queue/q/stats").ok()["pushed"], 0);
}

#[test]
fn a_first_head_that_does_not_come_is_given_up() {
    let server = with(ServerOptions { head_timeout: SHORT, ..options() });
    let answer = talk(server.connect(), b"GET /health HTTP/1.1\r\nhost:");
    refused(&answer, 408, "request_timeout");
    refused(&talk(server.connect(), b""), 408, "request_timeout");
}

#[test]
fn a_later_head_that_does_not_come_is_given_up_too() {
    let server = with(ServerOptions { head_timeout: SHORT, ..options() });
    let mut stream = server.connect();
    stream.write_all(HEALTH).unwrap();
    answered(&mut stream);
    refused(&talk(stream, b"GET /hea"), 408, "request_timeout");
}

#[test]
fn a_connection_may_be_idle_between_requests() {
    let server = with(ServerOptions { head_timeout: SHORT, ..options() });
    let mut stream = server.connect();
    for _ in 0..3 {
        stream.write_all(HEALTH).unwrap();
        answered(&mut stream);
        // The poll outlasts the patience for heads, while the connection above is idle.
        server.post(&format!("/queue/q/pop?wait_ms={}", 3 * SHORT.as_millis()), "").ok();
    }
}

#[test]
fn a_connection_that_stays_idle_is_closed() {
    let server = with(ServerOptions { keep_alive: SHORT, ..options() });
    let answers = talk(server.connect(), HEALTH);
    assert!(answers.starts_with("HTTP/1.1 200 "), "{answers}");
    // A part of the next head that came along makes no difference.
    let answers = talk(server.connect(), &[HEALTH, b"GET /hea"].concat());
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
}

#[test]
fn an_answer_may_be_taken_slowly() {
    let keep_alive = SHORT;
    let server = with(ServerOptions { keep_alive, head_timeout: SHORT, ..options() });
    let item = format!("{{\"item\":{{\"t\":\"{}\"}}}}", "x".repeat(1_000_000));
    for _ in 0..20 {
        server.post("/queue/q/push", &item).ok();
    }
    let mut stream = server.connect();
    let request = b"GET /queue/q/peek?depth=100 HTTP/1.1\r\nhost: x\r\n\r\nGET /hea";
    stream.write_all(request).unwrap();
    let mut taken = 0;
    let mut part = vec![0; 4 << 20];
    while taken < 20_000_000 {
        // The poll outlasts the patience for idle connections and heads.
        server.post(&format!("/queue/empty/pop?wait_ms={}", 2 * SHORT.as_millis()), "").ok();
        let end = taken + (4 << 20);
        while taken < end.min(20_000_000) {
            let count = stream.read(&mut part).unwrap();
            assert!(count > 0, "closed after {taken} bytes");
            taken += count;
        }
    }
}

#[test]
fn an_answer_that_nobody_takes_is_given_up() {
    let head_timeout = Duration::from_secs(600);
    let server = with(ServerOptions { write_timeout: SHORT, head_timeout, ..options() });
    let item = format!("{{\"item\":{{\"t\":\"{}\"}}}}", "x".repeat(1_000_000));
    for _ in 0..20 {
        server.post("/queue/q/push", &item).ok();
    }
    let mut stream = server.connect();
    stream.write_all(b"GET /queue/q/peek?depth=100 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // Nothing is read: once the server has closed, nothing can be written either.
    let closed = loop {
        match stream.write_all(b"\r\n") {
            Ok(()) => thread::yield_now(),
            Err(error) => break error.kind(),
        }
    };
    assert!(matches!(closed, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{closed}");
    server.get("/health").ok();
}

#[test]
fn a_head_is_bounded() {
    let server = TestServer::start();
    let value = "x".repeat(33 << 10);
    let reply = server.send_with("GET", "/health", b"", &[("x-large", &value)]);
    assert_eq!(reply.refused(431, "headers_too_large")["limit"], 32 << 10);
    server.get(&format!("/queues?prefix={value}")).refused(431, "headers_too_large");
    let value = "x".repeat(31 << 10);
    server.send_with("GET", "/health", b"", &[("x-large", &value)]).ok();
}

#[test]
fn a_head_beyond_what_is_parsed_is_refused_as_any_other() {
    let server = TestServer::start();
    let head = format!("GET /health HTTP/1.1\r\nx: {}", "x".repeat(140_000));
    let answer = talk(server.connect(), head.as_bytes());
    refused(&answer, 431, "headers_too_large");
    let many = "x: y\r\n".repeat(200);
    let answer = talk(server.connect(), format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes());
    refused(&answer, 431, "headers_too_large");
}

#[test]
fn what_is_no_http_is_refused_and_harms_nobody() {
    let server = TestServer::start();
    let strangers: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ];
    for bytes in strangers {
        refused(&talk(server.connect(), bytes), 400, "invalid_request");
    }
    server.get("/health").ok();
}
