//! What operators ask: health, metrics, the description, the version; and who may listen where.

use std::{net::SocketAddr, time::Duration};

use lanekeeper::{
    Lanekeeper,
    server::{BindError, Server, ServerOptions, Token},
};
use serde_json::json;

use crate::support::http::{TestServer, agent, options, send};

const ITEM: &str = r#"{"item":{}}"#;

#[test]
fn health_is_answered() {
    let server = TestServer::start();
    let health = |status: &str| json!({"status":status,"service":"lanekeeper"});
    assert_eq!(server.get("/health").ok(), health("healthy"));
    assert_eq!(server.get("/health/live").ok(), health("live"));
    assert_eq!(server.get("/health/ready").ok(), health("ready"));
}

#[test]
fn a_server_listens_before_its_node_is_open_and_is_not_ready_until_then() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _context = runtime.enter();
    let server = Server::bind_recovering(options()).unwrap();
    let (addr, handle) = (server.addr(), server.handle());
    runtime.spawn(server.run());
    let agent = agent();
    let get = |path: &str| send(&agent, &format!("http://{addr}{path}"), "GET", (b"", &[]));
    get("/health").ok();
    get("/health/live").ok();
    get("/version").ok();
    assert_eq!(get("/metrics").status, 200);
    get("/health/ready").refused(503, "recovering");
    get("/queue/q/stats").refused(503, "recovering");
    handle.open(Lanekeeper::in_memory());
    get("/health/ready").ok();
    get("/queue/q/stats").ok();
    runtime.block_on(handle.stop(Duration::ZERO));
}

#[test]
fn a_draining_server_refuses_work_and_says_so() {
    let server = TestServer::start();
    server.handle.drain();
    server.get("/health/ready").refused(503, "shutting_down");
    server.post("/queue/q/push", ITEM).refused(503, "shutting_down");
    server.get("/queue/q/nope").refused(404, "not_found");
    server.get("/health").ok();
    server.get("/health/live").ok();
    assert_eq!(server.get("/metrics").status, 200);
}

#[test]
fn a_node_that_was_shut_down_is_not_ready() {
    let server = TestServer::start();
    server.runtime.block_on(server.node.shutdown(Duration::from_secs(10))).unwrap();
    server.get("/health/ready").refused(503, "shutting_down");
    server.post("/queue/q/push", ITEM).refused(503, "shutting_down");
}

#[test]
fn a_stopped_server_has_answered_what_it_took() {
    let server = TestServer::start();
    std::thread::scope(|scope| {
        let polling = scope.spawn(|| server.post("/queue/q/pop?wait_ms=60000", ""));
        // Either the poll came first and is sent away, or it finds the door closed.
        let stop = async {
            server.node.shutdown(Duration::from_secs(10)).await.unwrap();
            server.handle.drain();
        };
        server.runtime.block_on(stop);
        polling.join().unwrap().refused(503, "shutting_down");
    });
}

#[test]
fn metrics_count_requests_and_what_the_engine_does() {
    let server = TestServer::start();
    server.post("/queue/q/push", ITEM).ok();
    server.post("/queue/q/push", "nope").refused(400, "invalid_request");
    server.get("/nope").refused(404, "not_found");
    let reply = server.get("/metrics");
    let kind = reply.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain"), "{kind}");
    let samples = [
        "lanekeeper_http_requests_total{route=\"push\",status=\"2xx\"} 1\n",
        "lanekeeper_http_requests_total{route=\"push\",status=\"4xx\"} 1\n",
        "lanekeeper_http_requests_total{route=\"unknown\",status=\"4xx\"} 1\n",
        "lanekeeper_http_request_duration_seconds_count{route=\"push\"} 2\n",
        "lanekeeper_http_requests_in_flight 1\n",
        "lanekeeper_activations 1\n",
        "lanekeeper_store_poisoned 0\n",
    ];
    for sample in samples {
        assert!(reply.body.contains(sample), "{sample} in {}", reply.body);
    }
    assert!(!reply.body.contains("\"q\""), "a queue's id is no label");
}

#[test]
fn the_description_covers_the_calls_and_their_problems() {
    let server = TestServer::start();
    let document = server.get("/openapi.json").ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let push = &document["paths"]["/queue/{id}/push"]["post"];
    let problem =
        &push["responses"]["4XX"]["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(problem, "#/components/schemas/Problem");
    let schemas = &document["components"]["schemas"];
    let priority = &schemas["PushMessage"]["properties"]["priority"];
    assert_eq!(priority["maximum"], 2_147_483_647_u32);
    assert_eq!(schemas["PushMessage"]["required"], json!(["item"]));
    let popped = &schemas["PopAnswer"]["oneOf"];
    assert_eq!(popped[0]["$ref"], "#/components/schemas/Popped");
    assert_eq!(popped[1]["$ref"], "#/components/schemas/Messages");
    let fields = schemas["Pushed"]["properties"].as_object().unwrap();
    assert!(fields.contains_key("success") && fields.contains_key("ids"));
}

#[test]
fn the_version_is_that_of_the_crate() {
    let server = TestServer::start();
    let expected = json!({"name":"lanekeeper","version":env!("CARGO_PKG_VERSION")});
    assert_eq!(server.get("/version").ok(), expected);
}

#[test]
fn a_listener_off_loopback_needs_a_token() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _context = runtime.enter();
    let bind = |listen: &str, token: Option<&str>| {
        let token = token.map(|secret| Token::new(secret).unwrap());
        let listen: SocketAddr = listen.parse().unwrap();
        Server::bind(Lanekeeper::in_memory(), ServerOptions { listen, token, ..options() })
    };
    for listen in ["0.0.0.0:0", "[::]:0"] {
        assert!(matches!(bind(listen, None), Err(BindError::Exposed(_))), "{listen}");
    }
    assert!(bind("0.0.0.0:0", Some("s3cret")).is_ok());
    assert!(bind("127.0.0.2:0", None).is_ok());
}

#[test]
fn an_address_in_use_is_refused_with_its_name() {
    let server = TestServer::start();
    let _context = server.runtime.enter();
    let options = ServerOptions { listen: server.addr, ..options() };
    let refused = Server::bind(server.node.clone(), options);
    let message = refused.unwrap_err().to_string();
    assert!(message.contains(&server.addr.to_string()), "{message}");
}

#[test]
fn metrics_name_the_queues_that_are_asked_for_with_their_depths() {
    let clock = lanekeeper::Clock::manual();
    let server = TestServer::with(options(), |builder| builder.clock(clock.clone()));
    for (queue, body) in [
        ("a.1", r#"{"items":[{"item":{}},{"item":{},"priority":0}]}"#),
        ("a.2", r#"{"item":{},"delay_ms":5000}"#),
        ("b", r#"{"item":{}}"#),
    ] {
        server.post(&format!("/queue/{queue}/push"), body).ok();
    }
    clock.advance(Duration::from_millis(1_500));
    server.post("/queue/a.1/push", r#"{"item":{},"priority":0}"#).ok();
    server.post("/queue/a.1/lease", "{}").ok();
    let metrics = server.get("/metrics?queues=a.").body;
    for line in [
        "lanekeeper_queue_by_id_ready{queue=\"a.1\"} 2",
        "lanekeeper_queue_by_id_leased{queue=\"a.1\"} 1",
        "lanekeeper_queue_by_id_oldest_ready_age_seconds{queue=\"a.1\"} 1.5",
        "lanekeeper_queue_by_id_scheduled{queue=\"a.2\"} 1",
        "lanekeeper_queue_by_id_oldest_ready_age_seconds{queue=\"a.2\"} 0",
        "lanekeeper_queue_by_id_bytes{queue=\"a.2\"} 2",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains("queue=\"b\""), "{metrics}");
    assert!(server.get("/metrics?queues=").body.contains("_ready{queue=\"b\"} 1"));
    assert!(!server.get("/metrics").body.contains("_by_id_"));
}

#[test]
fn metrics_name_1000_queues_at_most_and_activate_none() {
    let server = TestServer::start();
    server.runtime.block_on(async {
        for n in 0..1_001 {
            server.node.queue(&format!("q{n}")).push(json!({})).await.unwrap();
            assert!(server.node.queue(&format!("q{n}")).passivate().await);
        }
    });
    let before = server.node.status().activated_total;
    let metrics = server.get("/metrics?queues=q").body;
    let named = metrics.lines().filter(|line| line.starts_with("lanekeeper_queue_by_id_ready{"));
    assert_eq!(named.count(), 1_000);
    assert_eq!(server.node.status().activated_total, before);
}
