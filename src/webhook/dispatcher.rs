//! One sink at work: leases what it has room for, and delivers that.

use std::{sync::Arc, time::Duration};

use futures_util::future::OptionFuture;
use lanekeeper_actors::queue::{LeaseSource, Queue, Sink};
use tokio::{sync::watch, task::JoinSet};

use crate::webhook::{
    address::target::Target,
    circuit_breaker::{BreakerDecision, CircuitBreaker},
    delivery::{HeldLease, deliver},
    runner::RunnerState,
    stats::{Counted, count},
};

/// How long a poll waits for a message; then another follows.
const WAIT: Duration = Duration::from_secs(30);

/// Deliveries under way, each with the number of the sink it belongs to.
type Deliveries = JoinSet<(u64, Ended)>;

/// What a delivery said of its receiver, and when.
type Ended = (BreakerDecision, Duration);

/// Delivers the messages of a queue as its sink says, until there is none and what is under way has
/// ended. Answers the queue.
///
/// Deliveries outlive a change of the sink, and count: there are never more under way than it
/// allows.
pub(crate) async fn run(
    shared: Arc<RunnerState>,
    queue: Queue,
    mut sink: watch::Receiver<Option<Sink>>,
) -> String {
    let mut deliveries = JoinSet::new();
    let mut number = 0;
    loop {
        number += 1;
        // Without anybody who could tell of a sink there is none.
        let current = sink.borrow_and_update().clone();
        let current = current.filter(|_| sink.has_changed().is_ok());
        match current {
            Some(current) => {
                let source = MessageSource { shared: &shared, queue: &queue, sink: &current };
                let line = DispatchQueue::new(source, number);
                line.feed(&mut deliveries, &mut sink).await;
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

/// Where the messages come from.
#[derive(Clone, Copy)]
struct MessageSource<'a> {
    shared: &'a Arc<RunnerState>,
    queue: &'a Queue,
    sink: &'a Sink,
}

/// From a queue to its sink, for as long as that stays as it is.
struct DispatchQueue<'a> {
    source: MessageSource<'a>,
    number: u64,
    circuit_breaker: CircuitBreaker,
    held_back: Option<Counted<'a>>,
}

impl<'a> DispatchQueue<'a> {
    fn new(source: MessageSource<'a>, number: u64) -> Self {
        Self { source, number, circuit_breaker: CircuitBreaker::default(), held_back: None }
    }

    /// Delivers until the sink changes.
    async fn feed(
        mut self,
        deliveries: &mut Deliveries,
        changes: &mut watch::Receiver<Option<Sink>>,
    ) {
        let source = self.source;
        let MessageSource { shared, queue, sink, .. } = source;
        let target = match Target::parse(&sink.url) {
            Ok(target) => target,
            Err(error) => {
                tracing::error!(queue = queue.id(), %error, "nothing is delivered");
                changes.changed().await.ok();
                return;
            }
        };
        let clock = shared.node.clock();
        let (mut polling, mut idle) = (None, None);
        loop {
            let room = self.circuit_breaker.room(sink.concurrency_max as usize);
            let free = room.saturating_sub(deliveries.len());
            let depth = free.min(shared.node.queue_limits().depth_max);
            let until = self.circuit_breaker.paused_until(clock.elapsed());
            if until.is_some() {
                // What it has leased already goes back.
                polling = None;
            } else if polling.is_none() && depth > 0 {
                let leases = idle.take().unwrap_or_else(|| source.leases());
                polling = Some(Box::pin(source.poll(leases, depth)));
            }
            tokio::select! {
                _ = changes.changed() => return,
                Some(ended) = deliveries.join_next(), if !deliveries.is_empty() => {
                    self.note(ended.ok());
                }
                taken = OptionFuture::from(polling.as_mut()), if polling.is_some() => {
                    polling = None;
                    let Some((leases, taken)) = taken else { continue };
                    idle = Some(leases);
                    let number = self.number;
                    for held in taken {
                        let (shared, queue) = (Arc::clone(shared), queue.clone());
                        let to = (target.clone(), sink.headers.clone());
                        let delivery = deliver(shared, queue, to, held);
                        deliveries.spawn(async move { (number, delivery.await) });
                    }
                }
                () = clock.sleep_until(until.unwrap_or_default()), if until.is_some() => {}
            }
        }
    }

    /// Takes note of a delivery that has ended, unless it was to another address.
    fn note(&mut self, ended: Option<(u64, Ended)>) {
        let ended = ended.filter(|(number, _)| *number == self.number);
        let Some((_, (verdict, ended_at))) = ended else { return };
        let MessageSource { shared, queue, .. } = self.source;
        let pauses = self.circuit_breaker.pauses();
        let change = self.circuit_breaker.note(verdict, ended_at, fastrand::f64());
        match change {
            Some(true) => {
                self.held_back = Some(shared.counters.hold_back());
                tracing::warn!(queue = queue.id(), "its receiver is down: tried now and then");
            }
            Some(false) => {
                self.held_back = None;
                tracing::info!(queue = queue.id(), "its receiver is up again");
            }
            None => {}
        }
        if self.circuit_breaker.pauses() > pauses {
            count(&shared.counters.pauses);
        }
    }
}

impl MessageSource<'_> {
    /// What the messages are leased from.
    fn leases(self) -> LeaseSource {
        LeaseSource::new(self.queue.clone()).wait(WAIT).ttl(Some(self.sink.lease_ttl))
    }

    /// Leases messages, once there are some. None if the queue refuses, if the sink is not what it
    /// was any more, or if there are none for long.
    async fn poll(self, mut leases: LeaseSource, depth: usize) -> (LeaseSource, Vec<HeldLease>) {
        let Self { shared, queue, sink } = self;
        let held: Vec<_> = match leases.next(depth).await {
            Ok(leases) => leases.into_iter().map(HeldLease::new).collect(),
            Err(error) => {
                tracing::debug!(queue = queue.id(), %error, "nothing to deliver for now");
                count(&shared.counters.refusals);
                return (leases, Vec::new());
            }
        };
        // Whoever removed the sink and was told so sees no delivery begin after that.
        match queue.sink().await {
            Ok(Some(current)) if current == *sink => (leases, held),
            _ => (leases, Vec::new()),
        }
    }
}
