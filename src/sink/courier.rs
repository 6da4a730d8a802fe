//! One sink at work: leases what it has room for, and delivers that.

use std::{sync::Arc, time::Duration};

use futures_util::future::OptionFuture;
use lanekeeper_actors::queue::{Queue, QueueError, Sink};
use tokio::{sync::watch, task::JoinSet};

use super::{
    delivery::{Held, deliver},
    runner::Shared,
    target::Target,
};

/// How long a poll waits for a message; then another follows.
const WAIT: Duration = Duration::from_secs(30);
/// How long to wait after a refusal that says of no end, such as that of a paused queue.
const PAUSE: Duration = Duration::from_secs(1);

/// Delivers the messages of a queue as its sink says, until there is none and what is under way has
/// ended. Answers the queue.
///
/// Deliveries outlive a change of the sink, and count: there are never more under way than it
/// allows.
pub(super) async fn run(
    shared: Arc<Shared>,
    queue: Queue,
    mut sink: watch::Receiver<Option<Sink>>,
) -> String {
    let mut deliveries = JoinSet::new();
    loop {
        // Without anybody who could tell of a sink there is none.
        let current = sink.borrow_and_update().clone();
        let current = current.filter(|_| sink.has_changed().is_ok());
        match current {
            Some(current) => {
                feed(&shared, &queue, &current, &mut deliveries, &mut sink).await;
            }
            None if deliveries.is_empty() => return queue.id().to_owned(),
            None => {
                tokio::select! {
                    changed = sink.changed(), if sink.has_changed().is_ok() => drop(changed),
                    _ = deliveries.join_next() => {}
                }
            }
        }
    }
}

/// Delivers until the sink changes.
async fn feed(
    shared: &Arc<Shared>,
    queue: &Queue,
    sink: &Sink,
    deliveries: &mut JoinSet<()>,
    changes: &mut watch::Receiver<Option<Sink>>,
) {
    let target = match Target::parse(&sink.url) {
        Ok(target) => target,
        Err(error) => {
            tracing::error!(queue = queue.id(), %error, "nothing is delivered");
            changes.changed().await.ok();
            return;
        }
    };
    let mut polling = None;
    loop {
        let free = (sink.concurrency_max as usize).saturating_sub(deliveries.len());
        let depth = free.min(shared.node.queue_limits().depth_max);
        if polling.is_none() && depth > 0 {
            polling = Some(Box::pin(poll(shared, queue, sink, depth)));
        }
        tokio::select! {
            _ = changes.changed() => return,
            _ = deliveries.join_next(), if !deliveries.is_empty() => {}
            taken = OptionFuture::from(polling.as_mut()), if polling.is_some() => {
                polling = None;
                for held in taken.into_iter().flatten() {
                    let (shared, queue) = (Arc::clone(shared), queue.clone());
                    deliveries.spawn(deliver(shared, queue, target.clone(), held));
                }
            }
        }
    }
}

/// Leases messages, once there are some. None if the sink is not what it was any more, if there are
/// none for long, or if the queue refuses; then a while has passed.
async fn poll(shared: &Shared, queue: &Queue, sink: &Sink, depth: usize) -> Vec<Held> {
    let wait = WAIT.min(shared.node.queue_limits().wait_max);
    let leased = queue.lease(depth).ttl(sink.lease_ttl).wait(wait).await;
    let held: Vec<_> = match leased {
        Ok(leases) => leases.into_iter().map(Held::new).collect(),
        Err(error) => {
            tracing::debug!(queue = queue.id(), %error, "nothing to deliver for now");
            tokio::time::sleep(pause_after(&error)).await;
            return Vec::new();
        }
    };
    // Whoever removed the sink and was told so sees no delivery begin after that.
    match queue.sink().await {
        Ok(Some(current)) if current == *sink => held,
        _ => Vec::new(),
    }
}

fn pause_after(error: &QueueError) -> Duration {
    match error {
        QueueError::RateLimited { retry_after, .. } => (*retry_after).clamp(PAUSE / 1_000, PAUSE),
        _ => PAUSE,
    }
}
