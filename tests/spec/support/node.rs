//! A node whose clock and duties a test moves by hand.

use std::sync::Arc;

use lanekeeper_actors::{Clock, Node};
use lanekeeper_storage::MemoryEngine;

/// A node on a manual clock, without duties.
pub(crate) struct Manual {
    pub(crate) node: Node,
    pub(crate) clock: Clock,
}

/// A node that keeps its state in memory.
pub(crate) fn manual() -> Manual {
    let clock = Clock::manual();
    let builder = Node::builder().clock(clock.clone()).without_duties();
    Manual { node: builder.start(Arc::new(MemoryEngine::new())).unwrap(), clock }
}
