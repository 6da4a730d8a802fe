//! A node whose clock and duties a test moves by hand.

use std::{future::Future, pin::pin, sync::Arc, task::Poll};

use futures_util::poll;
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

/// Does a node's duties for as long as it takes until there is an answer that waits for them.
pub(crate) async fn settling<T>(node: &Node, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    loop {
        if let Poll::Ready(answer) = poll!(&mut answer) {
            return answer;
        }
        tokio::task::yield_now().await;
        node.settle_duties().await.unwrap();
    }
}
