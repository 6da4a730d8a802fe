//! WebSocket clients of another make, good ones and bad ones, against the server.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use lanekeeper::server::{ServerOptions, SocketOptions};

use crate::{
    http::stream::{publish, until},
    support::{
        http::{TestServer, options},
        socket::Client,
    },
};

/// A script that knows the standard library of its language alone; `None` without an interpreter.
fn script(args: &[&str]) -> Option<Child> {
    let mut command = Command::new("python3");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/spec/server/client.py");
    command.arg(script).args(args).stdout(Stdio::piped());
    let child = command.spawn().ok();
    if child.is_none() {
        println!("skipped: there is no python3 to run the clients");
    }
    child
}

/// What a script prints until it ends well.
fn printed(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_client_of_another_make_gets_what_is_published() {
    let server = TestServer::start();
    let port = server.addr.port().to_string();
    let Some(child) = script(&["subscribe", &port, "/stream/t", "3"]) else { return };
    until(&server, "lanekeeper_stream_subscribers", 1);
    for n in 0..3 {
        publish(&server, "critical", n);
    }
    let expected: String = (0..3)
        .map(|n| format!("{{\"class\":\"critical\",\"seq\":{},\"data\":{{\"n\":{n}}}}}\n", n + 1))
        .collect();
    assert_eq!(printed(child), expected + "closed 1000 finished\n");
    until(&server, "lanekeeper_stream_subscribers", 0);
}

#[test]
fn a_client_that_breaks_every_rule_is_told_and_disturbs_nobody() {
    let socket = SocketOptions {
        frame_bytes_max: 2_000,
        // Long enough for whoever reads to be in time on a busy machine.
        ping_interval: Duration::from_millis(600),
        send_timeout: Duration::from_millis(1_500),
        ..SocketOptions::default()
    };
    let head_timeout = Duration::from_millis(300);
    let server =
        TestServer::with(ServerOptions { socket, head_timeout, ..options() }, |builder| builder);
    let mut healthy = Client::open(server.addr, "/stream/t");
    let Some(child) = script(&["unruly", &server.addr.port().to_string()]) else { return };
    std::thread::scope(|scope| {
        // One after the other, with nothing missing, whatever the others do meanwhile.
        let reading = scope.spawn(|| {
            for seq in 1.. {
                let frame = healthy.next();
                assert_eq!(frame["seq"], seq, "{frame}");
                if frame["class"] == "control" {
                    return seq;
                }
            }
            unreachable!("there is always another number");
        });
        let expected = "garbage 1002 protocol_error\n\
                        not masked 1002 protocol_error\n\
                        oversized 1009 too_large\n\
                        too many fragments 1009 too_large\n\
                        no text 1007 not_utf8\n\
                        unexpected 1003 unexpected_message\n\
                        no pong 1008 no_pong\n\
                        never reads: ended\n\
                        never upgrades: HTTP/1.1 408\n\
                        in fragments: {\"acked\":1,\"failed\":[]}\n";
        assert_eq!(printed(child), expected);
        publish(&server, "control", 0);
        assert!(reading.join().unwrap() > 1, "there was something to miss");
    });
    until(&server, "lanekeeper_socket_connections", 1);
    let stats = server.get("/stream/t/stats").ok();
    assert_eq!(
        (&stats["subscribers"], &stats["by_subscriber"][0]["status"]),
        (&1.into(), &"healthy".into())
    );
}
