//! What a server is told.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use lanekeeper_actors::MemoryBudget;

use crate::{server::access::auth::Token, webhook::runner::SinkOptions};

/// How a server listens, and what it bounds.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen; port 0 picks a free one. Off loopback, a token is needed.
    pub listen: SocketAddr,
    /// What clients must send as `Authorization: Bearer …`, or from a browser in the subprotocol
    /// `bearer.…` of a WebSocket or the cookie `lanekeeper_token`; `/health*` answers without.
    pub token: Option<Token>,
    /// Names by which clients reach it, such as `queue.example.org`, beside those that are its own
    /// anyway: `localhost`, loopback addresses, the address it listens on, and the one at which a
    /// connection arrives. `*` means any. Requests for other names are refused: a page could make
    /// its own name point here.
    pub host_names: Vec<String>,
    /// The pages of others that may do what its own pages may: each as a browser sends it in
    /// `Origin`, such as `https://example.org`. Other pages can only read what their browser then
    /// keeps from them. Clients that send no `Origin` are no browsers and not concerned.
    pub origins: Vec<String>,
    /// What bodies and answers may take in memory together; no bound by default. The node should
    /// have the same [budget](crate::NodeBuilder::memory_budget).
    pub memory: MemoryBudget,
    /// Threads that answer; 0 means one for each core.
    pub worker_count: usize,
    /// Connections at a time, as far as the limit on open files leaves room for them. Beyond them
    /// those give way that wait for nothing: first who has not asked for anything yet, then who has
    /// been idle for the longest time. If there are none, only `/health*` is answered.
    pub connections_max: usize,
    /// Connections of one address at a time that have not shown the token yet, if there is one; of
    /// more the oldest gives way. 1,024 if `None`.
    pub unauthenticated_max_per_peer: Option<usize>,
    /// Size of a request's body.
    pub body_bytes_max: usize,
    /// Size of a request's target and headers. The parser itself ends at 96 headers and 128 KiB.
    pub head_bytes_max: usize,
    /// How long the head of a request may take to arrive: from the opening of the connection, or
    /// from its first byte.
    pub head_timeout: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a client may take no byte of an answer.
    pub write_timeout: Duration,
    /// How long a connection may be idle.
    pub keep_alive: Duration,
    /// Connections that stay.
    pub socket: SocketOptions,
    /// Which sinks are taken. Whoever [delivers](crate::webhook::runner::run) is told the same.
    pub sink: SinkOptions,
}

/// How connections are served that stay: WebSockets and server-sent events.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// How many there may be at a time, of all [connections](ServerOptions::connections_max).
    pub connections_max: usize,
    /// Time between two pings; a client that has sent nothing from one to the next is gone.
    pub ping_interval: Duration,
    /// How long a send may take before the connection is cut.
    pub send_timeout: Duration,
    /// Size of a frame, and of a message, that a client may send.
    pub frame_bytes_max: usize,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            connections_max: 5_000,
            ping_interval: Duration::from_secs(20),
            send_timeout: Duration::from_secs(5),
            frame_bytes_max: 128 << 10,
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000),
            token: None,
            host_names: Vec::new(),
            origins: Vec::new(),
            memory: MemoryBudget::unbounded(),
            worker_count: 0,
            connections_max: 10_000,
            unauthenticated_max_per_peer: None,
            body_bytes_max: 8 << 20,
            head_bytes_max: 32 << 10,
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            socket: SocketOptions::default(),
            sink: SinkOptions::default(),
        }
    }
}

impl ServerOptions {
    /// How long a connection that is being closed may go on sending.
    pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

    /// The threads to use.
    pub(crate) fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        if self.worker_count == 0 { cores() } else { self.worker_count }
    }

    /// Whether the world could ask without a token.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback() && self.token.is_none()
    }
}

/// Why a server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Anyone who reaches the address could read and take messages.
    #[error(
        "{0} is not a loopback address: listening on it needs a token (--token, LANEKEEPER_TOKEN)"
    )]
    Exposed(SocketAddr),
    /// The limit on open files leaves no room for connections beside the store and the threads.
    #[error(
        "the limit on open files is {limit}, and at least {needed} are needed: raise it, such as \
         with ulimit -n"
    )]
    TooFewFiles {
        /// Open files that the system grants.
        limit: usize,
        /// Open files that are needed.
        needed: usize,
    },
    /// The operating system refused.
    #[error("cannot listen on {addr}: {source}")]
    Io {
        /// The address asked for.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}
