//! Sinks over TLS: who vouches for a receiver.
//!
//! `support/tls` has an authority made for these tests (its key was thrown away), and a certificate
//! of it for `localhost` and 127.0.0.1 with its key.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use lanekeeper::{
    Clock,
    server::ServerOptions,
    sink::{SinkOptions, Sinks, TrustedRoots},
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::json;

use crate::{
    support::{
        http::{TestServer, agent, options, send},
        process::{Serving, lanekeeper},
    },
    webhook::delivery::{deliver, local, push, wait},
};

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec/support/tls").join(name)
}

/// Answers every request over TLS with 200, and tells of it.
struct Receiver {
    addr: SocketAddr,
    told: mpsc::Receiver<io::Result<String>>,
}

impl Receiver {
    fn start(ip: [u8; 4]) -> Self {
        let certificate = CertificateDer::from_pem_file(pem("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(pem("key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind(SocketAddr::from((ip, 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, told) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let answered = answer(StreamOwned::new(connection, stream.unwrap()));
                if sender.send(answered).is_err() {
                    return;
                }
            }
        });
        Self { addr, told }
    }

    fn url(&self) -> String {
        format!("https://{}/in", self.addr)
    }

    /// The next request, or why there was none on a connection.
    fn next(&self) -> io::Result<String> {
        self.told.recv_timeout(Duration::from_secs(60)).expect("a connection")
    }
}

/// Reads a request whose body is `{}`.
fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>) -> io::Result<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n{}") {
        let mut bytes = [0; 1_024];
        match stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => request.extend_from_slice(&bytes[..count]),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(String::from_utf8(request).unwrap())
}

fn start(trusted_cas: Option<TrustedRoots>) -> (TestServer, Sinks) {
    let sink = SinkOptions { trusted_cas, ..local() };
    let server = TestServer::with(ServerOptions { sink: sink.clone(), ..options() }, |builder| {
        builder.clock(Clock::manual()).without_duties()
    });
    let sinks = deliver(&server, sink);
    (server, sinks)
}

fn own_authority() -> Option<TrustedRoots> {
    Some(TrustedRoots::from_pem(&std::fs::read(pem("ca.pem")).unwrap()).unwrap())
}

fn put(server: &TestServer, receiver: &Receiver) {
    server.put("/queue/q/sink", json!({"url": receiver.url()}).to_string()).ok();
}

#[test]
fn a_receiver_is_trusted_by_the_authority_that_the_operator_names() {
    let (server, _sinks) = start(own_authority());
    let receiver = Receiver::start([127, 0, 0, 1]);
    put(&server, &receiver);
    push(&server, "q", "{}");
    let request = receiver.next().unwrap();
    assert!(request.starts_with("POST /in HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("lanekeeper-queue: q\r\n"), "{request}");
    wait(&server, "q", |stats| stats.totals.acked == 1);
}

#[test]
fn a_receiver_that_nobody_vouches_for_gets_nothing() {
    // Nobody who is trusted, or for another address.
    for (trusted_cas, ip, complaint) in [
        (None, [127, 0, 0, 1], "UnknownIssuer"),
        (own_authority(), [127, 0, 0, 2], "not valid for name"),
    ] {
        let (server, _sinks) = start(trusted_cas);
        let receiver = Receiver::start(ip);
        put(&server, &receiver);
        let id = push(&server, "q", "{}");
        receiver.next().unwrap_err();
        wait(&server, "q", |stats| stats.scheduled == 1);
        let (message, _) = server.runtime.block_on(server.node.queue("q").message(id)).unwrap();
        let reason = message.reason.unwrap();
        assert!(reason.contains(complaint), "{reason}");
        assert_eq!(message.deliveries, 0, "it was not delivered");
    }
}

#[test]
fn the_binary_trusts_the_authority_in_the_file_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start([127, 0, 0, 1]);
    let mut command = lanekeeper(["serve", "--listen", "127.0.0.1:0", "--sink-allow", "127.0.0.1"]);
    command.arg("--data").arg(dir.path()).arg("--sink-ca").arg(pem("ca.pem"));
    let serving = Serving::start(command);
    let agent = agent();
    let url = |verb: &str| format!("{}/queue/q/{verb}", serving.url);
    let body = json!({"url": receiver.url()}).to_string();
    send(&agent, &url("sink"), "PUT", (body.as_bytes(), &[])).ok();
    send(&agent, &url("push"), "POST", (br#"{"item":{}}"#, &[])).ok();
    assert!(receiver.next().unwrap().ends_with("\r\n\r\n{}"));
}
