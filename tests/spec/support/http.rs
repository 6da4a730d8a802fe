//! A server in this process, and a client that looks closely at what it answers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use lanekeeper::{
    Lanekeeper, NodeBuilder,
    server::{Server, ServerHandle, ServerOptions},
};
use serde_json::Value;
use tokio::runtime::Runtime;
use ureq::{Agent, http::Request};

/// How long a test waits for an answer before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a free port, in memory unless told otherwise; it ends when dropped.
pub(crate) struct TestServer {
    pub(crate) addr: SocketAddr,
    pub(crate) node: Lanekeeper,
    pub(crate) handle: ServerHandle,
    pub(crate) runtime: Runtime,
    agent: Agent,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::with(options(), |builder| builder)
    }

    pub(crate) fn with(
        options: ServerOptions,
        build: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Self {
        Self::on(options, |runtime| runtime.block_on(build(Lanekeeper::builder()).open()).unwrap())
    }

    /// A server of a node that the test opens itself, inside the runtime.
    pub(crate) fn on(options: ServerOptions, open: impl FnOnce(&Runtime) -> Lanekeeper) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let node = {
            let _context = runtime.enter();
            open(&runtime)
        };
        let server = Server::bind(node.clone(), options).unwrap();
        let (addr, handle) = (server.addr(), server.handle());
        runtime.spawn(server.run());
        Self { addr, node, handle, runtime, agent: agent() }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, b"")
    }

    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send("POST", path, body.as_ref())
    }

    pub(crate) fn put(&self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send("PUT", path, body.as_ref())
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        self.send_with(method, path, body, &[])
    }

    pub(crate) fn send_with(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Reply {
        send(&self.agent, &format!("http://{}{path}", self.addr), method, (body, headers))
    }

    /// A connection to write on by hand.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.addr)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // Cuts every connection, so that a request left waiting does not hold up the test.
        self.runtime.block_on(self.handle.stop(Duration::ZERO));
    }
}

/// Options for a test: a free port, one thread, and `x` for a name.
pub(crate) fn options() -> ServerOptions {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let host_names = vec!["x".to_owned()];
    ServerOptions { listen, host_names, worker_count: 1, ..ServerOptions::default() }
}

/// A client without a server of its own.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent()
}

/// Sends a request; the body is left out if it is empty.
pub(crate) fn send(
    agent: &Agent,
    url: &str,
    method: &str,
    (body, headers): (&[u8], &[(&str, &str)]),
) -> Reply {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = match body {
        [] => agent.run(request.body(()).unwrap()),
        body => agent.run(request.body(body).unwrap()),
    };
    let mut response = response.unwrap();
    let status = response.status().as_u16();
    let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
    };
    let headers = response.headers().iter().map(header).collect();
    let body = response.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
    Reply { status, headers, body }
}

pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Writes bytes and reads until the other side closes.
pub(crate) fn talk(mut stream: TcpStream, bytes: &[u8]) -> String {
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).unwrap()
    }

    /// The problem document of a refusal, which is looked at as a whole.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], "about:blank", "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(!problem["title"].as_str().unwrap().is_empty(), "{problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
        if matches!(status, 429 | 503) {
            let seconds: u64 = self.header("retry-after").unwrap().parse().unwrap();
            let millis = problem["retry_after_ms"].as_u64().unwrap();
            assert_eq!(seconds, millis.div_ceil(1000), "{problem}");
        }
        problem
    }

    /// As [`Reply::refused`]: what a human is told.
    #[track_caller]
    pub(crate) fn detail(&self, status: u16, code: &str) -> String {
        self.refused(status, code)["detail"].as_str().unwrap().to_owned()
    }
}
