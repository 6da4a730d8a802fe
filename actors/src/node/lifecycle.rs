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

/// A node: the actors of one store, in this process. Cheap to clone; dropping the last clone stops
/// it at once, without the grace of [`Node::shutdown`]; nothing acknowledged is lost by either.
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

    /// Opens a data directory, made if it is not there, with every setting at its default. Call it
    /// inside a tokio runtime: turns that wait run there.
    ///
    /// # Errors
    /// [`OpenError`]: another process holds the directory, its format is unknown, a file is
    /// damaged, or the operating system refused.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder().data(dir).open().await
    }

    /// A node that keeps everything in memory and loses it with the process: for tests and
    /// throw-away use.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn in_memory() -> Self {
        let builder = Self::builder().durability(Durability::Memory);
        builder.start(Arc::new(MemoryEngine::new())).expect("a memory engine refuses no claim")
    }

    /// A node with settings.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// The address of an actor: no I/O, valid across passivation and restart.
    pub fn actor<A: Actor>(&self, key: &str) -> ActorRef<A> {
        self.0.runtime.actor(key)
    }

    /// Makes the node know a kind of actor, so that its reminders wake it after a restart before
    /// anybody has asked for it. A second call does nothing.
    ///
    /// # Errors
    /// [`NotExecuted::KindTaken`].
    pub fn register<A: Actor>(&self) -> Result<(), NotExecuted> {
        self.0.runtime.kind::<A>().map(drop)
    }

    /// What happens from now on.
    pub fn events(&self) -> EventReceiver {
        self.0.runtime.events.subscribe()
    }

    /// The clock everything in the node goes by.
    pub fn clock(&self) -> &Clock {
        &self.0.runtime.clock
    }

    /// The memory that requests may take together.
    pub fn memory(&self) -> &MemoryBudget {
        self.0.runtime.store.memory()
    }

    /// The timers that wait, the next first.
    pub fn armed_timers(&self) -> Vec<ArmedTimer> {
        self.0.runtime.timers.list()
    }

    /// Whether the node admits no more, because it is stopping or has stopped.
    pub fn is_draining(&self) -> bool {
        self.0.runtime.is_draining()
    }

    /// Figures of the node.
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

    /// Stops admission at once; turns under way go on. [`Node::shutdown`] does the rest.
    pub fn stop_admission(&self) {
        self.0.runtime.drain();
    }

    /// Ends the node in order: stops admission, finishes turns, passivates every actor, writes what
    /// was merged in memory (heartbeats), releases the ownership, flushes and closes the store.
    /// Waits for turns until `deadline`, then at most 10 s for what was merged; the store is closed
    /// in any case.
    /// Dropping the future stops admission and leaves the rest to the drop of the node. The data
    /// directory can be opened again once every handle of this node is dropped.
    ///
    /// # Errors
    /// [`ShutdownError`]. Nothing acknowledged is lost in either case.
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
        for duty in &self.0.runtime.duties {
            let done = Arc::clone(duty).finish(Arc::clone(&self.0.runtime)).await;
            finished = finished.and(done.map_err(|reason| {
                tracing::error!(duty = duty.name(), %reason, "a duty was not finished");
                ShutdownError::Unfinished { duty: duty.name(), reason }
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

/// Why a shutdown was not as orderly as asked.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// Turns were cut off at the deadline; whoever waits for them is told that the outcome is
    /// unknown.
    #[error("{0} actors were still busy at the deadline")]
    TurnsRunning(usize),
    /// What was merged in memory could not be written in time.
    #[error("{duty} was not finished: {reason}")]
    Unfinished {
        /// Whose it was.
        duty: &'static str,
        /// Why.
        reason: String,
    },
    /// The last commits could not be made durable.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Figures of a node; totals count from its opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// The engine's own figures.
    pub engine: EngineStatus,
    /// Actors in memory.
    pub activations: u64,
    /// Those of them with a turn, an activation or a passivation under way.
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
    /// Whether the node admits no more.
    pub is_draining: bool,
    /// How far the node's clock is ahead of the system's, which was set back since the data
    /// directory was written: see [`Clock::now`].
    pub clock_ahead: Duration,
}

impl Node {
    /// Does once, now, what the duties do in the background: for tests that moved a manual clock.
    /// Turns that this begins go on by themselves.
    ///
    /// # Errors
    /// [`LoadError`](crate::LoadError) if the store fails.
    ///
    /// # Panics
    /// If the duties run in the background too: what a test sees next would depend on which of the
    /// two was first. See [`NodeBuilder::without_duties`](crate::node::builder::NodeBuilder::without_duties).
    #[cfg(feature = "test-util")]
    pub async fn run_duties(&self) -> Result<(), lanekeeper_storage::LoadError> {
        assert!(self.0.services.lock().is_none(), "a node whose duties run by themselves");
        let runtime = self.runtime();
        crate::runtime::passivation::run_once(runtime);
        crate::node::advance::fire_timers(runtime);
        crate::time::reminder::run_once(runtime).await?;
        crate::outbox::delivery::run_once(runtime).await?;
        for duty in &runtime.duties {
            let now = runtime.clock.elapsed();
            Arc::clone(duty).run_once(Arc::clone(runtime), now).await;
        }
        runtime.store.read(|engine| engine.upkeep().map(drop)).await
    }

    /// As [`Node::run_duties`], and waits for the turns of reminders and letters that this begins.
    ///
    /// # Errors
    /// [`LoadError`](crate::LoadError) if the store fails.
    #[cfg(feature = "test-util")]
    pub async fn settle_duties(&self) -> Result<(), lanekeeper_storage::LoadError> {
        let runtime = self.runtime();
        self.run_duties().await?;
        runtime.deliveries.wait_ended().await;
        // What was reminded may have sent letters.
        crate::outbox::delivery::run_once(runtime).await?;
        runtime.deliveries.wait_ended().await;
        Ok(())
    }
}
