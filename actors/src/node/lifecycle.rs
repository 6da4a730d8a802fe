//! The node: a runtime, its engine and its duties, from opening to the ordered end.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use lanekeeper_storage::{CommitError, Durability, EngineStatus, MemoryEngine, OpenError};
use parking_lot::Mutex;

use crate::{
    actor::{actor_ref::ActorRef, error::NotExecuted, virtual_actor::Actor},
    maintenance::supervisor::Services,
    node::{
        builder::NodeBuilder,
        event::{Event, EventReceiver},
    },
    runtime::{memory_budget::MemoryBudget, shared_state::Runtime},
    time::{clock::Clock, timer::ArmedTimer},
};

/// The actors of one store, in this process. Cheap to clone. Dropping the last clone stops the node
/// at once, without the drain of [`Node::shutdown`]; acknowledged writes are kept in either case.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    runtime: Arc<Runtime>,
    services: Mutex<Option<Services>>,
}

impl Node {
    pub(crate) fn new(runtime: Arc<Runtime>, services: Option<Services>) -> Self {
        let services = Mutex::new(services);
        Self(Arc::new(Inner { runtime, services }))
    }

    /// Opens a data directory with default settings, creating it if it does not exist. Call it
    /// inside a tokio runtime, which runs turns that have to wait.
    ///
    /// # Errors
    /// [`OpenError`]: another process holds the directory, its format is unknown, a file is
    /// damaged, or the operating system refused.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder().data(dir).open().await
    }

    /// A node that keeps everything in memory only, for tests and temporary use.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn in_memory() -> Self {
        let builder = Self::builder().durability(Durability::Memory);
        builder.start(Arc::new(MemoryEngine::new())).expect("a memory engine refuses no claim")
    }

    /// The builder of a node, for settings.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// The address of an actor. It makes no I/O and is valid across passivation and restart.
    pub fn actor<A: Actor>(&self, key: &str) -> ActorRef<A> {
        self.0.runtime.actor(key)
    }

    /// Registers a type of actor, so that its reminders activate it after a restart even before the
    /// first request to it. A second call does nothing.
    ///
    /// # Errors
    /// [`NotExecuted::KindTaken`].
    pub fn register<A: Actor>(&self) -> Result<(), NotExecuted> {
        self.0.runtime.kind::<A>().map(drop)
    }

    /// The events of the node from now on.
    pub fn events(&self) -> EventReceiver {
        self.0.runtime.events.subscribe()
    }

    /// The clock of the node.
    pub fn clock(&self) -> &Clock {
        &self.0.runtime.clock
    }

    /// The memory budget of all requests together.
    pub fn memory(&self) -> &MemoryBudget {
        self.0.runtime.store.memory()
    }

    /// The pending timers, the next one first.
    pub fn armed_timers(&self) -> Vec<ArmedTimer> {
        self.0.runtime.timers.list()
    }

    /// Whether the node accepts no more requests, because it is stopping or has stopped.
    pub fn is_draining(&self) -> bool {
        self.0.runtime.is_draining()
    }

    /// The statistics of the node.
    pub fn status(&self) -> NodeStatus {
        let runtime = &self.0.runtime;
        let kinds = runtime.kinds();
        let (activated_total, passivated_total, panics_total) = runtime.totals();
        NodeStatus {
            engine: runtime.store.engine().status(),
            activations: runtime.activation_count(),
            busy: kinds.iter().map(|kind| kind.occupied_count() as u64).sum(),
            activated_total,
            passivated_total,
            turns_total: kinds.iter().map(|kind| kind.turns()).sum(),
            panics_total,
            durability: runtime.options.durability,
            is_draining: runtime.is_draining(),
            clock_ahead: runtime.clock.ahead(),
        }
    }

    /// Stops accepting requests at once; turns under way continue. [`Node::shutdown`] does the
    /// rest.
    pub fn stop_admission(&self) {
        self.0.runtime.drain();
    }

    /// Ends the node in order: stops accepting requests, finishes turns, passivates every actor,
    /// writes merged heartbeats, releases the ownership, flushes and closes the store. It waits for
    /// turns until `deadline`, then at most 10 s for the heartbeats; the store is closed in any
    /// case. Dropping the future stops accepting requests; the drop of the node does the rest. The
    /// data directory can be opened again once every handle of this node is dropped.
    ///
    /// # Errors
    /// [`ShutdownError`]. Acknowledged writes are kept in any case.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), ShutdownError> {
        let runtime = &self.0.runtime;
        let began = runtime.clock.elapsed();
        runtime.drain();
        let finished = self.finish_turns(deadline).await.and(self.finish_duties().await);
        let services = self.0.services.lock().take();
        let engine = Arc::clone(runtime.store.engine());
        runtime.store.stamp_last(runtime.fence("node", "clock"));
        runtime.release_ownership();
        let closing = runtime.executor.spawn_blocking(move || {
            if let Some(services) = services {
                services.stop();
            }
            engine.close()
        });
        let closed = closing.await.unwrap_or(Err(CommitError::Closed));
        runtime.clear();
        let took = runtime.clock.elapsed().saturating_sub(began);
        runtime.events.emit(|| Event::Stopped { took });
        closed?;
        finished
    }

    async fn finish_turns(&self, deadline: Duration) -> Result<(), ShutdownError> {
        let runtime = &self.0.runtime;
        let sleep = runtime.clock.sleep(deadline);
        let mut sleep = std::pin::pin!(sleep);
        loop {
            let freed = runtime.freed.notified();
            let kinds = runtime.kinds();
            kinds.iter().for_each(|kind| kind.passivate_all());
            let running: usize = kinds.iter().map(|kind| kind.len()).sum();
            if running == 0 {
                return Ok(());
            }
            tokio::select! {
                () = freed => {}
                () = &mut sleep => return Err(ShutdownError::TurnsRunning(running)),
            }
        }
    }

    async fn finish_duties(&self) -> Result<(), ShutdownError> {
        let mut finished = Ok(());
        for service in &self.0.runtime.services {
            let done = Arc::clone(service).finish(Arc::clone(&self.0.runtime)).await;
            finished = finished.and(done.map_err(|reason| {
                tracing::error!(service = service.name(), %reason, "a duty was not finished");
                ShutdownError::Unfinished { service: service.name(), reason }
            }));
        }
        finished
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.0.runtime
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.runtime.drain();
        // Not joined: this may be one of the threads that would have to end first.
        drop(self.services.lock().take());
        self.runtime.clear();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} activations)", self.0.runtime.activation_count())
    }
}

/// The reason why a shutdown was not orderly.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// Turns were cancelled at the deadline; their callers get an unknown outcome.
    #[error("{0} actors were still busy at the deadline")]
    TurnsRunning(usize),
    /// Merged changes could not be written in time.
    #[error("{service} was not finished: {reason}")]
    Unfinished {
        /// The service with these changes.
        service: &'static str,
        /// The reason.
        reason: String,
    },
    /// The last commits could not be made durable.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The statistics of a node; totals count from its opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// The statistics of the engine.
    pub engine: EngineStatus,
    /// Actors in memory.
    pub activations: u64,
    /// Actors in memory with a turn, an activation or a passivation under way.
    pub busy: u64,
    /// Activations begun.
    pub activated_total: u64,
    /// Activations ended.
    pub passivated_total: u64,
    /// Turns run.
    pub turns_total: u64,
    /// Handlers that panicked.
    pub panics_total: u64,
    /// The node's durability.
    pub durability: Durability,
    /// Whether the node accepts no more requests.
    pub is_draining: bool,
    /// The time by which the node's clock is ahead of the system's, if that was set back since the
    /// data directory was written: see [`Clock::now`].
    pub clock_ahead: Duration,
}

impl Node {
    /// Runs the background services once, for tests that moved a manual clock. Turns that this
    /// starts continue in the background.
    ///
    /// # Errors
    /// [`LoadError`](crate::LoadError) if the store fails.
    ///
    /// # Panics
    /// If the duties run in the background too: what a test sees next would depend on which of the
    /// two was first. See
    /// [`NodeBuilder::without_duties`](crate::node::builder::NodeBuilder::without_duties).
    #[cfg(feature = "test-util")]
    pub async fn run_duties(&self) -> Result<(), lanekeeper_storage::LoadError> {
        assert!(self.0.services.lock().is_none(), "a node whose duties run by themselves");
        let runtime = self.runtime();
        crate::runtime::passivation::run_once(runtime);
        crate::node::advance::fire_timers(runtime);
        crate::time::reminder::run_once(runtime).await?;
        crate::outbox::delivery::run_once(runtime).await?;
        for service in &runtime.services {
            let now = runtime.clock.elapsed();
            Arc::clone(service).run_once(Arc::clone(runtime), now).await;
        }
        runtime.store.read(|engine| engine.maintain().map(drop)).await
    }

    /// As [`Node::run_duties`], and waits for the turns of reminders and outbox messages it starts.
    ///
    /// # Errors
    /// [`LoadError`](crate::LoadError) if the store fails.
    #[cfg(feature = "test-util")]
    pub async fn settle_duties(&self) -> Result<(), lanekeeper_storage::LoadError> {
        let runtime = self.runtime();
        self.run_duties().await?;
        runtime.in_flight.wait_ended().await;
        // What was reminded may have sent letters.
        crate::outbox::delivery::run_once(runtime).await?;
        runtime.in_flight.wait_ended().await;
        Ok(())
    }
}
