//! Clients that are gone: what waits for them ends with them, before it takes anything; what does
//! not wait is carried out.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use lanekeeper::server::ServerOptions;
use rustix::process::Signal;
use serde_json::json;
use socket2::SockRef;

use crate::{
    http::stream::metric,
    support::{
        http::{TestServer, agent, options, send, talk},
        process::{Running, Serving, lanekeeper},
    },
};

const IN_FLIGHT: &str = "lanekeeper_http_requests_in_flight";

/// How a client goes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Close,
    /// Says that it sends no more, and stays.
    HalfClose,
    Reset,
}

const WAYS: [Way; 3] = [Way::Close, Way::HalfClose, Way::Reset];

/// Lets a client go; answers the connection that is left.
fn leave(stream: TcpStream, way: Way) -> Option<TcpStream> {
    match way {
        Way::Close => {}
        Way::HalfClose => {
            stream.shutdown(Shutdown::Write).unwrap();
            return Some(stream);
        }
        Way::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
    }
    drop(stream);
    None
}

fn two_threads() -> TestServer {
    TestServer::with(ServerOptions { worker_count: 2, ..options() }, |builder| builder)
}

#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "it did not come to pass");
        thread::yield_now();
    }
}

fn request(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}")
        .into()
}

/// Sends a request on each of some connections, and waits until all of them wait.
fn waiting(server: &TestServer, count: usize, request: &[u8]) -> Vec<TcpStream> {
    let send = |_| {
        let mut stream = server.connect();
        stream.write_all(request).unwrap();
        stream
    };
    let streams = (0..count).map(send).collect();
    until(|| metric(server, IN_FLIGHT) == count as u64 + 1);
    streams
}

fn push(server: &TestServer, count: usize) {
    let items = vec![json!({ "item": {} }); count];
    server.post("/queue/q/push", json!({ "items": items }).to_string()).ok();
}

fn stat(server: &TestServer, name: &str) -> u64 {
    server.get("/queue/q/stats").ok()[name].as_u64().unwrap()
}

#[test]
fn pops_whose_clients_are_gone_take_nothing_however_they_went() {
    let server = two_threads();
    let pop = request("/queue/q/pop?wait_ms=60000", "");
    for way in WAYS {
        let clients = waiting(&server, 60, &pop);
        let left: Vec<_> = clients.into_iter().filter_map(|client| leave(client, way)).collect();
        // At once: the threads of the server have had no time to hear of it.
        push(&server, 60);
        assert_eq!(stat(&server, "ready"), 60, "{way:?}");
        until(|| metric(&server, IN_FLIGHT) == 1);
        for mut client in left {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
            assert!(answer.contains("\"code\":\"cancelled\""), "{answer}");
        }
        server.post("/queue/q/purge", "").ok();
    }
    assert_eq!(stat(&server, "popped"), 0);
}

#[test]
fn leases_and_permits_go_to_nobody_who_is_gone() {
    let server = two_threads();
    let policy = json!({ "max_concurrent": 1 }).to_string();
    server.put("/gate/g/policy", policy).ok();
    server.post("/gate/g/acquire", r#"{"owner":"first"}"#).ok();
    for (n, way) in WAYS.into_iter().enumerate() {
        let lease = request("/queue/q/lease", r#"{"wait_ms":60000}"#);
        let acquire = request("/gate/g/acquire", &json!({"owner": format!("o{n}")}).to_string());
        let mut left = Vec::new();
        for request in [lease, acquire] {
            let clients = waiting(&server, 1, &request);
            left.extend(clients.into_iter().filter_map(|client| leave(client, way)));
            until(|| metric(&server, IN_FLIGHT) == 1);
        }
        assert_eq!(server.get("/gate/g/stats").ok()["queue_length"], 0, "{way:?}");
    }
    push(&server, 3);
    assert_eq!((stat(&server, "ready"), stat(&server, "leased")), (3, 0));
}

#[test]
fn a_request_that_does_not_wait_is_answered_though_its_client_has_said_all() {
    let server = TestServer::start();
    let pushed = request("/queue/q/push", r#"{"item":{"n":1}}"#);
    let calls = [
        (pushed, "\"count\":1"),
        (request("/queue/q/pop", ""), "{\"n\":1}"),
        (request("/queue/q/pop", ""), "\"count\":0"),
        (request("/queue/q/lease", ""), "\"count\":0"),
        (b"GET /health HTTP/1.0\r\n\r\n".to_vec(), "healthy"),
    ];
    for (request, expected) in calls {
        let mut stream = server.connect();
        stream.write_all(&request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = talk(stream, b"");
        assert!(answer.starts_with("HTTP/1."), "{answer}");
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
}

#[test]
fn what_stands_behind_a_wait_that_was_given_up_is_not_carried_out() {
    let server = TestServer::start();
    let pop = request("/queue/q/pop?wait_ms=60000", "");
    let push = request("/queue/q/push", r#"{"item":{}}"#);
    let clients = waiting(&server, 1, &[&pop[..], &push, &pop].concat());
    let left = clients.into_iter().find_map(|client| leave(client, Way::HalfClose)).unwrap();
    let answers = talk(left, b"");
    assert_eq!(answers.matches("\"code\":\"cancelled\"").count(), 3, "{answers}");
    assert_eq!(stat(&server, "pushed"), 0);
}

#[test]
fn a_wait_ends_though_more_was_sent_behind_it_than_is_read() {
    let server = TestServer::start();
    let pop = request("/queue/q/pop?wait_ms=60000", "");
    for way in [Way::Close, Way::HalfClose] {
        let mut client = waiting(&server, 1, &pop).remove(0);
        client.write_all(&b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".repeat(15_000)).unwrap();
        let _left = leave(client, way);
        until(|| metric(&server, IN_FLIGHT) == 1);
    }
    push(&server, 1);
    assert_eq!(stat(&server, "ready"), 1);
}

#[test]
fn nothing_is_left_of_clients_of_the_binary_that_were_gone_while_they_waited() {
    let server =
        Serving::start(lanekeeper(["serve", "--listen", "127.0.0.1:0", "--durability", "memory"]));
    let addr = server.url.strip_prefix("http://").unwrap().to_owned();
    let agent = agent();
    let ask = |method: &str, path: &str, body: &[u8]| {
        send(&agent, &format!("{}{path}", server.url), method, (body, &[]))
    };
    let in_flight = || {
        let text = ask("GET", "/metrics", b"").body;
        let figure = text.lines().find_map(|line| line.strip_prefix(IN_FLIGHT));
        figure.unwrap().trim().parse::<usize>().unwrap()
    };
    let files = || fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let pop = request("/queue/q/pop?wait_ms=60000", "");
    let connect = |_| {
        let mut stream = TcpStream::connect(&addr).unwrap();
        stream.write_all(&pop).unwrap();
        stream
    };
    // What is opened once and kept is open by then.
    let first: Vec<_> = (0..50).map(connect).collect();
    until(|| in_flight() == 51);
    drop(first);
    until(|| in_flight() == 1);
    let before = files();
    let mut commands = Vec::new();
    for args in [["pop", "q"], ["lease", "q"], ["gate", "acquire"]] {
        let more = if args[0] == "gate" { ["g", "o"] } else { ["--wait", "60s"] };
        if args[0] == "gate" {
            ask("PUT", "/gate/g/policy", br#"{"max_concurrent":1}"#).ok();
            ask("POST", "/gate/g/acquire", br#"{"owner":"first"}"#).ok();
        }
        let all = args.iter().copied().chain(more).chain(["--server", &server.url]);
        commands.push(Running::start(lanekeeper(all)));
        until(|| in_flight() == commands.len() + 1);
    }
    let clients: Vec<_> = (0..50).map(connect).collect();
    until(|| in_flight() == 54);
    for (command, signal) in commands.iter().zip([Signal::INT, Signal::TERM, Signal::INT]) {
        command.signal(signal);
    }
    for (n, client) in clients.into_iter().enumerate() {
        drop(leave(client, WAYS[n % 3]));
    }
    until(|| in_flight() == 1);
    until(|| files() <= before);
    ask("POST", "/queue/q/push", br#"{"item":{}}"#).ok();
    assert_eq!(ask("GET", "/queue/q/stats", b"").ok()["ready"], 1);
    assert_eq!(ask("GET", "/gate/g/stats", b"").ok()["queue_length"], 0);
}

#[test]
fn a_body_that_comes_too_late_is_answered_once_and_ends_its_connection() {
    let short = Duration::from_millis(100);
    let server = TestServer::with(
        ServerOptions { body_timeout: short, head_timeout: short, ..options() },
        |builder| builder,
    );
    let head = "POST /queue/q/push HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = server.connect();
    stream.write_all(format!("{head}ff\r\n{{\"ite").as_bytes()).unwrap();
    let mut answers = Vec::new();
    let mut part = [0; 4096];
    let closed = loop {
        match stream.read(&mut part) {
            Ok(0) => break "closed",
            Ok(count) => {
                answers.extend_from_slice(&part[..count]);
                // The rest dribbles in.
                let _ = stream.write_all(b"m");
            }
            Err(_) => break "cut",
        }
    };
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{closed}: {answers}");
    assert!(answers.starts_with("HTTP/1.1 408 ") && answers.contains("connection: close"));
}
