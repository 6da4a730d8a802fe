//! A node whose clock and duties are in the test's hands, on an engine that can be made to fail.

use std::{sync::Arc, time::Duration};

use lanekeeper_actors::{
    Clock, Node, NodeBuilder,
    worker::{LivenessOptions, Worker, WorkerStatus},
};
use lanekeeper_storage::{Engine, FaultEngine};

pub(crate) struct Fleet {
    pub(crate) engine: Arc<FaultEngine>,
    pub(crate) clock: Clock,
    pub(crate) node: Node,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        Self::with(LivenessOptions::default())
    }

    pub(crate) fn with(options: LivenessOptions) -> Self {
        Self::built(|builder| builder.liveness(options).unwrap())
    }

    pub(crate) fn built(build: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Self {
        let (engine, clock) = (Arc::new(FaultEngine::new(1)), Clock::manual());
        let builder = Node::builder().clock(clock.clone()).without_duties();
        let node = build(builder).start(Arc::clone(&engine) as _).unwrap();
        Self { engine, clock, node }
    }

    /// The same store under a new node, after a crash of the old one.
    pub(crate) fn reopened(self, build: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Self {
        let Self { engine, clock, node } = self;
        let disk = engine.disk().crash(lanekeeper_storage::Crash::Kill);
        drop((node, engine));
        let engine = Arc::new(FaultEngine::open(&disk, FaultEngine::options()).unwrap());
        let builder = Node::builder().clock(clock.clone()).without_duties();
        let node = build(builder).start(Arc::clone(&engine) as _).unwrap();
        Self { engine, clock, node }
    }

    pub(crate) fn worker(&self, id: &str) -> Worker {
        self.node.worker(id)
    }

    pub(crate) async fn beat(&self, id: &str) {
        assert_eq!(self.worker(id).heartbeat().await.unwrap().status, WorkerStatus::Online);
    }

    pub(crate) async fn status(&self, id: &str) -> WorkerStatus {
        self.worker(id).status().await.unwrap().status
    }

    /// Lets time pass, in steps as short as the shortest duty, and does the duties.
    pub(crate) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.node.run_duties().await.unwrap();
        }
    }

    pub(crate) fn commits(&self) -> u64 {
        self.engine.status().commits
    }

    pub(crate) fn pending(&self) -> usize {
        self.node.liveness().pending_count()
    }
}
