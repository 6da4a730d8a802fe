//! The settings of a node, and starting one with them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use lanekeeper_storage::{
    Durability, EmbeddedEngine, EmbeddedOptions, Engine, MemoryEngine, OpenError,
};
use tokio::runtime::Handle;

use crate::{
    built_in,
    maintenance::supervisor::Services,
    node::lifecycle::Node,
    runtime::{
        kind_settings::KindSettings,
        memory_budget::MemoryBudget,
        shared_state::{Runtime, RuntimeOptions},
    },
    time::clock::Clock,
};

/// The settings of a node. Every method changes one and returns the builder.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    data: Option<PathBuf>,
    embedded: EmbeddedOptions,
    clock: Clock,
    options: RuntimeOptions,
    settings: KindSettings,
    has_duties: bool,
}

impl Default for NodeBuilder {
    fn default() -> Self {
        let options = RuntimeOptions {
            memory: MemoryBudget::unbounded(),
            durability: Durability::Durable,
            idle_timeout: Duration::from_secs(300),
            activations_max: 1_000_000,
            memory_max_bytes: usize::MAX,
            mailbox_max: 10_000,
        };
        Self {
            data: None,
            embedded: EmbeddedOptions::default(),
            clock: Clock::system(),
            options,
            settings: KindSettings::default(),
            has_duties: true,
        }
    }
}

impl NodeBuilder {
    /// The data directory. Without one, or with [`Durability::Memory`], everything is kept in
    /// memory and nothing on disk.
    #[must_use]
    pub fn data(mut self, dir: impl AsRef<Path>) -> Self {
        self.data = Some(dir.as_ref().to_owned());
        self
    }

    /// The durability of turns; [`Durability::Durable`] by default.
    #[must_use]
    pub fn durability(mut self, level: Durability) -> Self {
        self.options.durability = level;
        self
    }

    /// The time between two fsyncs of relaxed commits; 50 ms by default.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.embedded.flush_interval = interval;
        self
    }

    /// The time an idle activation is kept in memory; 5 minutes by default.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle_timeout = timeout;
        self
    }

    /// The largest number of activations; the longest idle are passivated first. 1,000,000 by
    /// default.
    #[must_use]
    pub fn activations_max(mut self, count: usize) -> Self {
        self.options.activations_max = count;
        self
    }

    /// The largest sum of `memory_bytes` of idle activations; unlimited by default.
    #[must_use]
    pub fn memory_max_bytes(mut self, bytes: usize) -> Self {
        self.options.memory_max_bytes = bytes;
        self
    }

    /// The memory budget of requests, answers and unwritten changes; unlimited by default. The
    /// settings of the engine are adapted to it.
    #[must_use]
    pub fn memory_budget(mut self, budget: MemoryBudget) -> Self {
        if let Some(bytes) = budget.process_bytes() {
            self.embedded = EmbeddedOptions {
                flush_interval: self.embedded.flush_interval,
                // What nothing keeps leaves only as answers, for which there must be memory.
                volatile_bytes: budget.bytes_max() / 2,
                ..EmbeddedOptions::within(bytes)
            };
        }
        self.options.memory = budget;
        self
    }

    /// The largest number of requests waiting for one actor; 10,000 by default.
    #[must_use]
    pub fn mailbox_max(mut self, count: usize) -> Self {
        self.options.mailbox_max = count;
        self
    }

    /// The settings of one kind of actor, if there are any.
    pub(crate) fn kept<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.settings.get()
    }

    /// Keeps the settings of one kind of actor, which finds them by their type.
    #[must_use]
    pub(crate) fn setting<T: Send + Sync + 'static>(mut self, setting: T) -> Self {
        self.settings.insert(setting);
        self
    }

    /// The clock of the node.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Runs no background services: a test runs them with [`Node::run_duties`].
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn without_duties(mut self) -> Self {
        self.has_duties = false;
        self
    }

    /// Opens the node. Call it inside a tokio runtime, which runs turns that have to wait.
    ///
    /// # Errors
    /// As [`Node::open`].
    pub async fn open(self) -> Result<Node, OpenError> {
        let engine: Arc<dyn Engine> =
            match &self.data {
                Some(dir) if self.options.durability != Durability::Memory => {
                    let (dir, options) = (dir.clone(), self.embedded);
                    let opening =
                        tokio::task::spawn_blocking(move || EmbeddedEngine::open(&dir, options));
                    let path = self.data.clone().unwrap_or_default();
                    Arc::new(opening.await.map_err(|error| OpenError::Io {
                        path,
                        source: io::Error::other(error),
                    })??)
                }
                _ => Arc::new(MemoryEngine::within(self.embedded.volatile_bytes)),
            };
        self.start(engine)
    }

    /// Starts a node on an engine that is open already.
    ///
    /// # Errors
    /// [`OpenError`] if the engine refuses its ownership or the node's thread cannot be started.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self, engine: Arc<dyn Engine>) -> Result<Node, OpenError> {
        let path = self.data.unwrap_or_default();
        let executor = Handle::current();
        let built_in = built_in::install(self.settings, &self.clock);
        let runtime = Runtime::start(engine, self.clock, executor, self.options, built_in);
        let runtime = runtime.map_err(|error| {
            let source = io::Error::other(error);
            OpenError::Io { path: path.clone(), source }
        })?;
        let services = self.has_duties.then(|| Services::start(&runtime)).transpose();
        let services = services.map_err(|source| OpenError::Io { path, source })?;
        if self.has_duties {
            let driven: Weak<Runtime> = Arc::downgrade(&runtime);
            runtime.clock.drive(driven);
        }
        let node = Node::new(runtime, services);
        built_in::register(&node);
        Ok(node)
    }
}
