//! The loop of a consumer: leasing as much as can be handled, and ending in order.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};

use crate::{
    queue::{
        api::{handle::Queue, lease_handle::Lease, message::Message},
        consumer::{
            lease_source::LeaseSource,
            options::{ConsumeOptions, Counts},
            retry::HandlerFailure,
            task::{HeldLease, MessageTask},
        },
    },
    time::clock::Clock,
};

/// The pause of a consumer whose queue lets nobody wait.
const PAUSE: Duration = Duration::from_secs(1);

/// A queue being consumed.
pub(crate) struct ConsumerRun<H> {
    queue: Queue,
    options: ConsumeOptions,
    handler: Arc<H>,
    counts: Arc<Counts>,
    stop: watch::Receiver<Option<Duration>>,
    /// Messages still to be leased, if that is bounded.
    left: Option<u64>,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Lease,
    End,
}

impl<H, F, E> ConsumerRun<H>
where
    H: Fn(Message) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<HandlerFailure> + 'static,
{
    pub(crate) fn new(
        queue: Queue,
        options: ConsumeOptions,
        handler: H,
        counts: Arc<Counts>,
        stop: watch::Receiver<Option<Duration>>,
    ) -> Self {
        let left = options.messages_max;
        Self { queue, options, handler: Arc::new(handler), counts, stop, left }
    }

    /// Consumes until it is stopped or has nothing more to do, and then waits for what runs.
    pub(crate) async fn run(mut self) {
        let mut running = JoinSet::new();
        let mut source = self.source();
        loop {
            while running.try_join_next().is_some() {}
            let depth = self.depth(running.len());
            let next = if self.left == Some(0) {
                Next::End
            } else if depth == 0 {
                self.wait_for_one(&mut running).await
            } else {
                self.lease(depth, &mut source, &mut running).await
            };
            if next == Next::End {
                break;
            }
        }
        self.drain(running).await;
    }

    /// How many messages there are hands for.
    fn depth(&self, running: usize) -> usize {
        let free = self.options.concurrency.saturating_sub(running);
        let left = self.left.map_or(free, |left| usize::try_from(left).unwrap_or(free));
        free.min(left).min(self.queue.limits().depth_max)
    }

    async fn wait_for_one(&mut self, running: &mut JoinSet<()>) -> Next {
        tokio::select! {
            biased;
            _ = self.stop.changed() => Next::End,
            _ = running.join_next() => Next::Lease,
        }
    }

    /// Where the messages come from.
    fn source(&self) -> LeaseSource {
        let ConsumeOptions { lease_ttl, worker, life, until_empty, .. } = &self.options;
        let source = LeaseSource::new(self.queue.clone()).ttl(*lease_ttl);
        let source = source.worker(worker.clone()).life(*life);
        if *until_empty { source.wait(Duration::ZERO) } else { source }
    }

    async fn lease(
        &mut self,
        depth: usize,
        source: &mut LeaseSource,
        running: &mut JoinSet<()>,
    ) -> Next {
        let until_empty = self.options.until_empty;
        let leased = tokio::select! {
            biased;
            _ = self.stop.changed() => return Next::End,
            leased = source.next(depth) => leased,
        };
        match leased {
            Ok(leases) if !leases.is_empty() => {
                leases.into_iter().for_each(|lease| self.begin(lease, running));
                Next::Lease
            }
            Ok(_) if until_empty && running.is_empty() => Next::End,
            Ok(_) if until_empty => self.wait_for_one(running).await,
            Ok(_) if !self.queue.limits().wait_max.is_zero() => Next::Lease,
            Ok(_) => self.pause(PAUSE).await,
            Err(error) if LeaseSource::is_end(&error) => Next::End,
            Err(error) => {
                tracing::debug!(queue = self.queue.id(), %error, "a consumer waits");
                Next::Lease
            }
        }
    }

    async fn pause(&mut self, pause: Duration) -> Next {
        let sleep = self.clock().sleep(pause);
        tokio::select! {
            biased;
            _ = self.stop.changed() => Next::End,
            () = sleep => Next::Lease,
        }
    }

    fn begin(&mut self, lease: Lease, running: &mut JoinSet<()>) {
        self.left = self.left.map(|left| left - 1);
        let task = MessageTask {
            queue: self.queue.clone(),
            stored: HeldLease::new(lease, Arc::clone(&self.counts)),
            retry: self.options.retry,
        };
        let handler = Arc::clone(&self.handler);
        running.spawn_on(task.run(handler), &self.queue.runtime().executor);
    }

    /// Waits for what runs, until the deadline if there is one; then cuts it off.
    async fn drain(&mut self, mut running: JoinSet<()>) {
        loop {
            let by = *self.stop.borrow_and_update();
            let clock = self.clock().clone();
            let deadline = async {
                match by {
                    Some(by) => clock.sleep_until(by).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                ended = running.join_next() => if ended.is_none() { return },
                () = deadline => break,
                changed = self.stop.changed() => if changed.is_err() { break },
            }
        }
        running.shutdown().await;
    }

    fn clock(&self) -> &Clock {
        &self.queue.runtime().clock
    }
}
