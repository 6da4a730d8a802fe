//! Clients of a WebSocket that break the rules, stall, or go away: clear close codes, no leak, and
//! nobody else is disturbed.

use std::{
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

use lanekeeper::server::{ServerOptions, SocketOptions};
use serde_json::json;

use crate::{
    http::stream::{metric, publish, until, with},
    support::{
        http::{TestServer, options, talk},
        socket::{Client, closing, frame, upgrade, upgraded},
    },
};

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;

/// How a connection is closed on which these bytes were sent.
fn after(server: &TestServer, bytes: &[u8]) -> (u16, String) {
    let mut stream = upgraded(server.addr, "/stream/t");
    stream.write_all(bytes).unwrap();
    closing(&mut stream)
}

#[test]
fn every_breach_has_its_close_code() {
    let server = with(SocketOptions { frame_bytes_max: 2_000, ..SocketOptions::default() });
    let mut healthy = Client::open(server.addr, "/stream/t");
    let unmasked = [TEXT, 2, b'{', b'}'];
    let declared = [TEXT, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];
    let parts = [frame(0x01, &[b' '; 1_500]), frame(0x80, &[b' '; 501])].concat();
    let crumbs = [frame(0x01, b" "), frame(0x00, b"").repeat(64)].concat();
    let breaches: [(&[u8], u16, &str); 13] = [
        (&unmasked, 1002, "protocol_error"),
        (b"GET / HTTP/1.1\r\n\r\n", 1002, "protocol_error"),
        (&frame(0xc1, b"{}"), 1002, "protocol_error"),
        (&frame(0x83, b"{}"), 1002, "protocol_error"),
        (&frame(0x80, b"{}"), 1002, "protocol_error"),
        (&frame(PING, &[0; 126]), 1002, "protocol_error"),
        (&frame(TEXT, b"\xff\xfe"), 1007, "not_utf8"),
        (&frame(0x82, b"{}"), 1003, "unexpected_message"),
        (&frame(TEXT, b"{}"), 1003, "unexpected_message"),
        (&frame(TEXT, &[b' '; 2_001]), 1009, "too_large"),
        (&declared, 1009, "too_large"),
        (&parts, 1009, "too_large"),
        (&crumbs, 1009, "too_large"),
    ];
    for (bytes, code, word) in breaches {
        let start = &bytes[..bytes.len().min(16)];
        assert_eq!(after(&server, bytes), (code, word.to_owned()), "{start:?}");
    }
    assert_eq!(publish(&server, "control", 1)["subscribers"], 1);
    assert_eq!(healthy.next()["seq"], 1);
    until(&server, "lanekeeper_socket_connections", 1);
}

#[test]
fn a_ping_is_answered_and_a_close_is_returned() {
    let server = TestServer::start();
    let mut stream = upgraded(server.addr, "/stream/t");
    stream.write_all(&frame(PING, b"are you there")).unwrap();
    let mut pong = [0; 15];
    stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\x8a\x0dare you there");
    stream.write_all(&frame(0x88, &1000_u16.to_be_bytes())).unwrap();
    assert_eq!(closing(&mut stream), (1000, "finished".to_owned()));
    drop(stream);
    until(&server, "lanekeeper_stream_subscribers", 0);
}

#[test]
fn whoever_answers_no_ping_is_given_up() {
    // Long enough for whoever reads to answer in time on a busy machine.
    let ping_interval = Duration::from_millis(500);
    let server = with(SocketOptions { ping_interval, ..SocketOptions::default() });
    let mut alive = Client::open(server.addr, "/stream/t");
    let mut silent = upgraded(server.addr, "/stream/t");
    std::thread::scope(|scope| {
        // Answers pings as long as it reads.
        let reading = scope.spawn(|| alive.next());
        assert_eq!(closing(&mut silent), (1008, "no_pong".to_owned()));
        assert_eq!(publish(&server, "bulk", 7)["subscribers"], 1);
        assert_eq!(reading.join().unwrap()["data"]["n"], 7);
    });
}

#[test]
fn whoever_stops_reading_is_cut_and_disturbs_nobody() {
    let send_timeout = Duration::from_millis(300);
    let server = with(SocketOptions { send_timeout, ..SocketOptions::default() });
    let stalled = Client::open(server.addr, "/stream/t?queue_max=5");
    let mut healthy: Vec<Client> = (0..3).map(|_| Client::open(server.addr, "/stream/t")).collect();
    // For the one that stalls alone. What the others get fits into the buffers of their
    // connections, so that no send to them waits, however late this test reads on a busy machine.
    let large = json!({
        "class": "important", "data": { "x": "x".repeat(500_000) }, "subscriber": stalled.id(),
    });
    let large = large.to_string();
    for n in 0.. {
        let is_there = server.post("/stream/t/publish", &large).status == 200;
        publish(&server, "important", n);
        for client in &mut healthy {
            let frame = client.next();
            assert_eq!((&frame["data"]["n"], frame.get("gap")), (&n.into(), None));
        }
        if !is_there {
            break;
        }
        assert!(n < 5_000, "a client that reads nothing is never cut");
        let stats = server.get("/stream/t/stats").ok();
        let waiting = &stats["by_subscriber"][0]["waiting"]["important"];
        assert!(waiting.as_u64().unwrap() <= 5, "no more than its queue waits for it");
    }
    until(&server, "lanekeeper_socket_connections", 3);
    assert_eq!(metric(&server, "lanekeeper_stream_ended_total{reason=\"send_timeout\"}"), 1);
    drop(stalled);
}

#[test]
fn whoever_never_upgrades_or_goes_away_leaves_nothing_behind() {
    let options = ServerOptions { head_timeout: Duration::from_millis(200), ..options() };
    let server = TestServer::with(options, |builder| builder);
    let answer = talk(server.connect(), &upgrade("/stream/t").as_bytes()[..60]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    for how in [Shutdown::Both, Shutdown::Write, Shutdown::Read] {
        let stream = upgraded(server.addr, "/stream/t");
        stream.shutdown(how).unwrap();
        drop(stream);
    }
    until(&server, "lanekeeper_socket_connections", 0);
    let mut half = upgraded(server.addr, "/stream/t");
    half.write_all(&frame(TEXT, &[b' '; 100])[..50]).unwrap();
    drop(half);
    until(&server, "lanekeeper_stream_subscribers", 0);
    assert_eq!(metric(&server, "lanekeeper_stream_subscribed_total"), 4);
}
