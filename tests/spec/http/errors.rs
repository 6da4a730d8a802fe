//! Every error is a problem document, and says what a client can do about it.

use std::{io::Write, sync::Arc, thread};

use lanekeeper::{
    Lanekeeper,
    server::{ServerOptions, Token},
};
use lanekeeper_storage::{CommitSeq, Engine, Failure, FaultEngine};

use crate::support::http::{TestServer, options, talk};

const ITEM: &str = r#"{"item":{}}"#;

fn on(engine: &Arc<FaultEngine>) -> TestServer {
    let engine = Arc::clone(engine);
    TestServer::on(options(), |_| Lanekeeper::builder().start(engine).unwrap())
}

#[test]
fn an_unknown_path_is_not_found() {
    let server = TestServer::start();
    for path in ["/", "/queue", "/queue/q/reserve", "/queue/q/push/", "/nope", "//"] {
        server.get(path).refused(404, "not_found");
        server.post(path, ITEM).refused(404, "not_found");
    }
}

#[test]
fn an_unknown_method_is_told_which_there_are() {
    let server = TestServer::start();
    let paths = [
        ("GET", "/queue/q/push", "POST"),
        ("DELETE", "/queue/q/config", "GET, HEAD, PUT, PATCH"),
        ("POST", "/queue/q/message/m", "GET, HEAD, DELETE, PATCH"),
        ("GET", "/queue/q", "DELETE"),
        ("POST", "/health", "GET, HEAD"),
        ("OPTIONS", "/queues", "GET, HEAD"),
        ("BREW", "/queue/q/pop", "POST"),
    ];
    for (method, path, allowed) in paths {
        let reply = server.send(method, path, b"");
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[test]
fn a_head_is_answered_as_a_get_without_its_body() {
    let server = TestServer::start();
    for path in ["/health", "/queue/q/stats", "/queues", "/nope"] {
        let (get, head) = (server.get(path), server.send("HEAD", path, b""));
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert_eq!(head.header("content-length"), get.header("content-length"));
    }
}

#[test]
fn a_refused_request_leaves_its_connection_open() {
    let server = TestServer::start();
    let mut stream = server.connect();
    stream.write_all(b"POST /nope HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12345").unwrap();
    let answers = talk(stream, b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(answers.starts_with("HTTP/1.1 404 "), "{answers}");
    assert!(answers.contains("HTTP/1.1 200 "), "{answers}");
}

#[test]
fn a_token_is_asked_of_everything_but_health() {
    let options = ServerOptions { token: Some(Token::new("s3cret").unwrap()), ..options() };
    let server = TestServer::with(options, |builder| builder);
    for path in ["/queues", "/queue/q/stats", "/metrics", "/openapi.json", "/version", "/nope"] {
        let reply = server.get(path);
        reply.refused(401, "unauthorized");
        assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    let push = |authorization| {
        let headers = [("authorization", authorization)];
        server.send_with("POST", "/queue/q/push", ITEM.as_bytes(), &headers)
    };
    for wrong in ["Bearer wrong", "Bearer s3cret2", "Basic s3cret", "s3cret", ""] {
        push(wrong).refused(401, "unauthorized");
    }
    push("Bearer s3cret").ok();
    for path in ["/health", "/health/live", "/health/ready"] {
        server.get(path).ok();
    }
}

#[test]
fn a_full_disk_is_told_and_is_not_for_ever() {
    let engine = Arc::new(FaultEngine::new(1));
    let server = on(&engine);
    server.post("/queue/q/push", ITEM).ok();
    engine.refuse_commits(true);
    let reply = server.post("/queue/q/push", ITEM);
    reply.refused(507, "disk_full");
    assert_eq!(reply.header("retry-after"), Some("10"));
    engine.refuse_commits(false);
    server.post("/queue/q/push", ITEM).ok();
    assert_eq!(server.get("/queue/q/stats").ok()["ready"], 2);
}

#[test]
fn an_outcome_that_nobody_knows_is_told_as_such() {
    let engine = Arc::new(FaultEngine::new(1));
    // No upkeep of the store may take the failure that is meant for the push.
    let builder = Lanekeeper::builder().without_duties();
    let server = TestServer::on(options(), |_| builder.start(Arc::clone(&engine) as _).unwrap());
    server.post("/queue/q/push", ITEM).ok();
    engine.hold_commits();
    thread::scope(|scope| {
        let pushing = scope.spawn(|| server.post("/queue/q/push", ITEM));
        while engine.handed_over() < CommitSeq(2) {
            thread::yield_now();
        }
        // One write, then the fsync.
        engine.disk().fail_after(1, Failure::Io);
        engine.let_commits_go();
        pushing.join().unwrap().refused(500, "outcome_unknown");
    });
    server.post("/queue/q/push", ITEM).refused(500, "store_poisoned");
}

#[test]
fn a_failed_fsync_ends_health_until_the_store_is_opened_again() {
    let engine = Arc::new(FaultEngine::new(1));
    let disk = engine.disk().clone();
    let server = TestServer::on(options(), |_| Lanekeeper::builder().start(engine).unwrap());
    server.post("/queue/q/push", ITEM).ok();
    // Upkeep may meet the failure first; that is no end of the store.
    while !server.post("/queue/q/push", ITEM).body.contains("store_poisoned") {
        disk.fail_after(1, Failure::Io);
    }
    let told = server.post("/queue/q/push", ITEM);
    told.refused(500, "store_poisoned");
    assert!(told.body.contains("restart the server"), "{}", told.body);
    assert!(!told.body.contains("/fault"), "it tells where the data is: {}", told.body);
    let health = server.get("/health");
    health.refused(503, "store_poisoned");
    assert!(health.body.contains("restart the server"), "{}", health.body);
    assert!(!health.body.contains("/fault"), "{}", health.body);
    server.get("/health/ready").refused(503, "store_poisoned");
    server.get("/health/live").ok();
    assert!(server.get("/metrics").body.contains("lanekeeper_store_poisoned 1\n"));
}
