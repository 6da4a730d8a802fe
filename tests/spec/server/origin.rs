//! Pages of others: what a browser sends for them changes nothing and opens nothing.

use std::io::Write;

use lanekeeper::server::{ServerOptions, Token};
use tungstenite::client::IntoClientRequest;

use crate::support::http::{Reply, TestServer, connect, options, talk};

const ITEM: &str = r#"{"item":{}}"#;

/// Every kind of call that changes something, or that stays.
const CHANGES: [(&str, &str); 16] = [
    ("POST", "/queue/q/push"),
    ("POST", "/queue/q/pop"),
    ("POST", "/queue/q/lease"),
    ("POST", "/queue/q/ack"),
    ("POST", "/queue/q/purge"),
    ("PUT", "/queue/q/config"),
    ("PUT", "/queue/q/sink"),
    ("DELETE", "/queue/q/sink"),
    ("DELETE", "/queue/q/message/m"),
    ("POST", "/stream/t/publish"),
    ("GET", "/stream/t"),
    ("GET", "/queue/q/consume"),
    ("POST", "/gate/g/acquire"),
    ("PUT", "/gate/g/policy"),
    ("POST", "/worker/w/heartbeat"),
    ("POST", "/nope"),
];

fn from(server: &TestServer, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let body = if matches!(method, "POST" | "PUT") { ITEM } else { "" };
    server.send_with(method, path, body.as_bytes(), headers)
}

fn pushed(server: &TestServer) -> u64 {
    server.get("/queue/q/stats").ok()["pushed"].as_u64().unwrap()
}

#[test]
fn a_page_of_somebody_else_changes_nothing() {
    let server = TestServer::start();
    let other_scheme = format!("ftp://{}", server.addr);
    for (method, path) in CHANGES {
        for origin in ["https://evil.example", "null", "http://127.0.0.1:1", &other_scheme] {
            let reply = from(&server, method, path, &[("origin", origin)]);
            let detail = reply.detail(403, "forbidden_origin");
            assert!(detail.contains("--cors-origins"), "{detail}");
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
        for site in ["cross-site", "same-site"] {
            let reply = from(&server, method, path, &[("sec-fetch-site", site)]);
            reply.refused(403, "forbidden_origin");
        }
    }
    let form = [("content-type", "text/plain"), ("origin", "https://evil.example")];
    from(&server, "POST", "/queue/q/push", &form).refused(403, "forbidden_origin");
    assert_eq!(pushed(&server), 0);
}

#[test]
fn programs_and_own_pages_are_let_in_whatever_type_they_send() {
    let server = TestServer::start();
    let own = format!("http://{}", server.addr);
    let alias = format!("http://localhost:{}", server.addr.port());
    let sent: [&[(&str, &str)]; 5] = [
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("origin", &own), ("sec-fetch-site", "same-origin")],
        &[("origin", &alias)],
        &[("sec-fetch-site", "none")],
    ];
    for headers in sent {
        assert_eq!(from(&server, "POST", "/queue/q/push", headers).status, 200, "{headers:?}");
    }
    let url = format!("ws://{}/stream/t", server.addr);
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("origin", own.parse().unwrap());
    assert!(tungstenite::client(request, connect(server.addr)).is_ok());
}

#[test]
fn a_look_of_a_foreign_page_is_answered_without_a_word_for_its_browser() {
    let server = TestServer::start();
    let reply = from(&server, "GET", "/queue/q/stats", &[("origin", "https://evil.example")]);
    reply.ok();
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[test]
fn a_listed_origin_may_ask_first_and_read_the_answer() {
    let origins = vec!["https://app.example".to_owned()];
    let token = Some(Token::new("s3cret").unwrap());
    let server = TestServer::with(ServerOptions { origins, token, ..options() }, |builder| builder);
    let origin = ("origin", "https://app.example");
    let asks = [origin, ("access-control-request-method", "POST")];
    let reply = from(&server, "OPTIONS", "/queue/q/push", &asks);
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
    assert!(reply.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(reply.header("access-control-allow-headers").unwrap().contains("authorization"));
    let reply = from(&server, "POST", "/queue/q/push", &[origin]);
    reply.refused(401, "unauthorized");
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
    let known = [origin, ("authorization", "Bearer s3cret")];
    let reply = from(&server, "POST", "/queue/q/push", &known);
    reply.ok();
    assert_eq!(reply.header("vary"), Some("origin"));
    let evil = [("origin", "https://evil.example"), asks[1]];
    from(&server, "OPTIONS", "/queue/q/push", &evil).refused(403, "forbidden_origin");
}

/// The answer to a request whose head has these lines besides its first.
fn answer(server: &TestServer, line: &str, headers: &str) -> String {
    let request = format!("{line}\r\n{headers}connection: close\r\n\r\n");
    talk(server.connect(), request.as_bytes())
}

#[test]
fn a_name_of_somebody_else_is_not_answered_to() {
    let server = TestServer::start();
    let health = "GET /health HTTP/1.1";
    for path in ["/health", "/metrics", "/queue/q/peek", "/version", "/nope"] {
        let line = format!("GET {path} HTTP/1.1");
        let told = answer(&server, &line, "host: rebound.example:8000\r\n");
        assert!(told.starts_with("HTTP/1.1 403 "), "{told}");
        assert!(told.contains("\"code\":\"forbidden_host\""), "{told}");
        assert!(told.contains("--host-names"), "{told}");
    }
    let told = answer(&server, "POST /queue/q/pop HTTP/1.1", "host: 192.0.2.1\r\n");
    assert!(told.contains("forbidden_host"), "{told}");
    let told = answer(&server, "GET http://evil.example/health HTTP/1.1", "host: localhost\r\n");
    assert!(told.contains("forbidden_host"), "{told}");
    for headers in ["", "host: localhost\r\nhost: localhost\r\n"] {
        let told = answer(&server, health, headers);
        assert!(told.starts_with("HTTP/1.1 400 "), "{told}");
        assert!(told.contains("invalid_request"), "{told}");
    }
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8000", "x:8000"] {
        let told = answer(&server, health, &format!("host: {host}\r\n"));
        assert!(told.starts_with("HTTP/1.1 200 "), "{host}: {told}");
    }
    let told = answer(&server, "GET /health HTTP/1.0", "");
    assert!(told.starts_with("HTTP/1.0 200 "), "{told}");
}

#[test]
fn a_page_sends_the_token_with_its_socket() {
    let token = Some(Token::new("s3cret").unwrap());
    let server = TestServer::with(ServerOptions { token, ..options() }, |builder| builder);
    let open = |name: &'static str, value: &str| {
        let url = format!("ws://{}/stream/t", server.addr);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        tungstenite::client(request, connect(server.addr)).ok().map(|(_, response)| response)
    };
    let response = open("sec-websocket-protocol", "lanekeeper, bearer.s3cret").unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "lanekeeper");
    assert!(open("cookie", "lanekeeper_token=s3cret").is_some());
    assert!(open("authorization", "Bearer s3cret").is_some());
    assert!(open("sec-websocket-protocol", "lanekeeper, bearer.wrong").is_none());
    assert!(open("cookie", "lanekeeper_token=wrong").is_none());
}

#[test]
fn a_body_that_is_not_plain_utf8_is_named_as_such() {
    let server = TestServer::start();
    for encoding in ["gzip", "br", "identity, gzip"] {
        let headers = [("content-encoding", encoding)];
        for path in ["/queue/q/push", "/queue/q/pop", "/worker/w/heartbeat"] {
            let reply = server.send_with("POST", path, b"\x1f\x8b\x08", &headers);
            let detail = reply.detail(415, "unsupported_encoding");
            assert!(detail.contains(encoding), "{detail}");
            assert_eq!(reply.header("accept-encoding"), Some("identity"));
        }
    }
    let latin = [("content-type", "application/json; charset=ISO-8859-1")];
    let reply = server.send_with("POST", "/queue/q/push", ITEM.as_bytes(), &latin);
    assert!(reply.detail(415, "unsupported_encoding").contains("ISO-8859-1"));
    for kind in ["application/json; charset=utf-8", "text/plain; charset=\"UTF-8\""] {
        let headers = [("content-type", kind), ("content-encoding", "identity")];
        server.send_with("POST", "/queue/q/push", ITEM.as_bytes(), &headers).ok();
    }
}

#[test]
fn a_client_that_waits_with_its_body_is_told_before_it_sends_it() {
    let token = Some(Token::new("s3cret").unwrap());
    let server = TestServer::with(ServerOptions { token, ..options() }, |builder| builder);
    let ask = |path: &str, headers: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n{headers}");
        talk(server.connect(), format!("{head}\r\n").as_bytes())
    };
    let known = "authorization: Bearer s3cret\r\n";
    let refusals = [
        ("/queue/q/push", "content-length: 11\r\n".to_owned(), "unauthorized"),
        ("/nope", format!("{known}content-length: 11\r\n"), "not_found"),
        ("/queues", format!("{known}content-length: 11\r\n"), "method_not_allowed"),
        ("/queue/q/push", format!("{known}content-length: 8388609\r\n"), "too_large"),
        (
            "/queue/q/push",
            format!("{known}content-encoding: gzip\r\ncontent-length: 9\r\n"),
            "unsupported_encoding",
        ),
    ];
    for (path, headers, code) in refusals {
        let told = ask(path, &headers);
        assert!(!told.contains("100 Continue"), "{told}");
        assert!(told.contains(&format!("\"code\":\"{code}\"")), "{told}");
    }
    let mut stream = server.connect();
    let head = "POST /queue/q/push HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n";
    write!(stream, "{head}{known}connection: close\r\ncontent-length: 11\r\n\r\n").unwrap();
    let told = talk(stream, ITEM.as_bytes());
    assert!(told.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 "), "{told}");
}

#[test]
fn an_empty_take_has_no_body_where_the_client_wishes_none() {
    let server = TestServer::start();
    let minimal = [("prefer", "wait=0, return=minimal")];
    for (path, body) in [("/queue/q/pop", ""), ("/queue/q/lease", "{}")] {
        let reply = server.send_with("POST", path, body.as_bytes(), &minimal);
        assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{path}");
        assert_eq!(reply.header("preference-applied"), Some("return=minimal"));
        assert_eq!(server.post(path, body).ok()["count"], 0);
        server.post("/queue/q/push", ITEM).ok();
        let reply = server.send_with("POST", path, body.as_bytes(), &minimal);
        assert_eq!(reply.ok()["count"], 1);
    }
}
