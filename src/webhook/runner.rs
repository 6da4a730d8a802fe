//! The delivery of a node's sinks, from its start to its stop.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lanekeeper_actors::Node;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::webhook::{
    address::policy::AddressPolicy,
    client::Client,
    stats::{Counters, SinkFigures},
    supervisor::supervise,
    trusted_cas::TrustedRoots,
};

/// How long deliveries that were cut off may take to notice.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// How sinks are delivered to.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// Which addresses may be posted to.
    pub policy: AddressPolicy,
    /// Deliveries under way at once, of all sinks together: each takes a thread. From 1 to 256,
    /// brought within that; 128 by default.
    pub posts_max: usize,
    /// By whom receivers over TLS are trusted; the public authorities that are built in if `None`.
    pub trusted_cas: Option<TrustedRoots>,
    /// Sinks that are delivered to, and taken over HTTP: 1,000 by default. Those that were set
    /// beyond it wait until one of the others is removed; after a restart, the first by the ids of
    /// their queues are delivered to.
    pub sinks_max: usize,
}

impl SinkOptions {
    /// The most that [`SinkOptions::posts_max`] may be: the reads of the store need threads, too.
    pub const POSTS_MAX: usize = 256;
}

impl Default for SinkOptions {
    fn default() -> Self {
        let policy = AddressPolicy::default();
        Self { policy, posts_max: 128, trusted_cas: None, sinks_max: 1_000 }
    }
}

/// What all couriers share.
pub(crate) struct RunnerState {
    pub(crate) node: Node,
    pub(crate) client: Client,
    pub(crate) posts: Arc<Semaphore>,
    /// Sinks that are delivered to at most.
    pub(crate) sinks_max: usize,
    pub(crate) counters: Arc<Counters>,
    /// Whether what is under way is given up.
    pub(crate) is_cut: AtomicBool,
}

impl RunnerState {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.client.shutdown();
    }
}

/// The delivery of a node's sinks. Dropped, it is cut off: what was not settled goes back.
#[must_use = "sinks are delivered to until this is dropped"]
pub struct Sinks {
    shared: Arc<RunnerState>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Begins to deliver the messages of every queue that has a [sink](crate::queue::Sink), those of
/// sinks to come included. Call it once for a node, inside a tokio runtime.
pub fn run(node: Node, options: SinkOptions) -> Sinks {
    let posts_max = options.posts_max.clamp(1, SinkOptions::POSTS_MAX);
    let shared = Arc::new(RunnerState {
        node,
        client: Client::new(options.policy, options.trusted_cas, posts_max),
        posts: Arc::new(Semaphore::new(posts_max)),
        sinks_max: options.sinks_max,
        counters: Arc::default(),
        is_cut: AtomicBool::new(false),
    });
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(supervise(Arc::clone(&shared), stopping));
    Sinks { shared, stop, task }
}

impl Sinks {
    /// What is counted, to be read also after this has ended.
    pub fn figures(&self) -> SinkFigures {
        SinkFigures(Arc::clone(&self.shared.counters))
    }

    /// Takes no more messages, lets the deliveries under way end until `deadline`, and gives the
    /// rest back; that is no delivery that counts. Call it before the node is shut down: then
    /// nothing can be settled any more. Dropping the future cuts what is under way off.
    pub async fn stop(mut self, deadline: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(deadline, &mut self.task).await.is_err() {
            self.shared.cut();
            tokio::time::timeout(CUT_TIMEOUT, &mut self.task).await.ok();
        }
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.shared.cut();
        self.task.abort();
    }
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sinks").field(&self.figures().stats()).finish()
    }
}
