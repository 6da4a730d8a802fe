//! A server from its binding to its stop.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::dev;
use lanekeeper_actors::Node;
use rustix::process::{Resource, getrlimit};
use tokio::sync::Notify;

use crate::{
    server::{
        dispatch::ServerState,
        http::connection::descriptors::Descriptors,
        listen,
        options::{BindError, ServerOptions},
    },
    webhook::runner::Sinks,
};

/// A server that listens. It answers while [`Server::run`] is awaited.
#[must_use = "a server answers only while `run` is awaited"]
pub struct Server {
    addr: SocketAddr,
    inner: dev::Server,
    handle: ServerHandle,
}

/// Talks to a running [`Server`] from elsewhere. Cheap to clone.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<ServerState>,
    inner: dev::ServerHandle,
    cut: Arc<Notify>,
}

impl Server {
    /// Listens, to serve the actors of a node.
    ///
    /// # Errors
    /// [`BindError`] if the address cannot be had, or would be open to the world without a token.
    pub fn bind(node: Node, options: ServerOptions) -> Result<Self, BindError> {
        let server = Self::bind_recovering(options)?;
        server.handle.open(node);
        Ok(server)
    }

    /// Listens before there is a node: until [`ServerHandle::open`] everything but the liveness of
    /// the process is answered 503 `recovering`.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn bind_recovering(options: ServerOptions) -> Result<Self, BindError> {
        let listen = options.listen;
        if options.is_exposed() {
            return Err(BindError::Exposed(listen));
        }
        let descriptors = descriptors(&options)?;
        let shared = Arc::new(ServerState::new(options, descriptors));
        let refused = |source| BindError::Io { addr: listen, source };
        let listener = listen::bind(listen).map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let inner = listen::serve(listener, &shared).map_err(refused)?;
        let handle = ServerHandle { shared, inner: inner.handle(), cut: Arc::default() };
        Ok(Self { addr, inner, handle })
    }

    /// How many connections of clients it serves at a time:
    /// [`ServerOptions::connections_max`], or fewer if the limit on open files leaves room for
    /// fewer.
    pub fn connections_max(&self) -> usize {
        self.handle.shared.descriptors().connections_max
    }

    /// How many deliveries to sinks the limit on open files leaves room for, of those that
    /// [`SinkOptions::posts_max`](crate::webhook::runner::SinkOptions::posts_max) allows.
    pub fn sink_posts_max(&self) -> usize {
        self.handle.shared.descriptors().posts_max
    }

    /// Where it listens: with the port that was picked.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A handle to stop it with.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Answers requests until [`ServerHandle::stop`]. Needs a Tokio runtime; the threads that
    /// answer are its own. Dropping the future closes every connection at once.
    ///
    /// # Errors
    /// What the operating system said, if the threads cannot be started.
    pub async fn run(self) -> io::Result<()> {
        let cut = Arc::clone(&self.handle.cut);
        tokio::select! {
            ended = self.inner => ended,
            () = cut.notified() => Ok(()),
        }
    }
}

impl ServerHandle {
    /// Gives a server that [listens already](Server::bind_recovering) its node.
    pub fn open(&self, node: Node) {
        tell_descriptors(&self.shared);
        self.shared.open(node);
    }

    /// Shows in `/metrics` what a [delivery of webhooks](crate::webhook::runner::run) counts; a
    /// second one is ignored.
    pub fn show_sinks(&self, sinks: &Sinks) {
        self.shared.show_sinks(sinks.figures());
    }

    /// Refuses requests from now on as `shutting_down`; those being answered go on. Connections
    /// stay open and readiness is answered, so that a load balancer sees it; only subscriptions are
    /// closed, once they have what waits for them.
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// Accepts no more connections, waits until those there are have their answers, at most for
    /// `deadline`, and ends [`Server::run`]. A long poll ends by its own wait or with the node, so
    /// shut the node down first. Dropping the future leaves the server stopping.
    pub async fn stop(&self, deadline: Duration) {
        self.drain();
        if tokio::time::timeout(deadline, self.inner.stop(true)).await.is_err() {
            self.cut.notify_one();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").finish_non_exhaustive()
    }
}

/// Shares out what the system grants.
fn descriptors(options: &ServerOptions) -> Result<Descriptors, BindError> {
    let limit = getrlimit(Resource::Nofile).current;
    // No limit is one that nothing comes near to.
    let limit = limit.map_or(1 << 30, |limit| limit.min(1 << 30) as usize);
    Descriptors::share_out(options, limit)
        .map_err(|few| BindError::TooFewFiles { limit: few.limit, needed: few.needed })
}

/// Says how the open files are used, and whether they are too few for the setting.
fn tell_descriptors(shared: &ServerState) {
    let Descriptors { limit, reserved, connections_max, .. } = *shared.descriptors();
    let wanted = shared.options().connections_max;
    if connections_max < wanted {
        tracing::warn!(
            open_files_max = limit,
            reserved,
            connections_max,
            wanted,
            "the limit on open files allows fewer connections than the setting"
        );
    } else {
        tracing::info!(open_files_max = limit, reserved, connections_max, "connections");
    }
}
