//! A node whose clock and duties a test moves by hand.

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

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

/// What comes by itself, and soon: a test that waits for ever for it says nothing.
pub(crate) async fn soon<T>(answer: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(Duration::from_secs(60), answer);
    answer.await.expect("it comes by itself")
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
