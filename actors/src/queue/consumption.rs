//! The loop of a consumer: leasing as much as can be handled, and ending in order.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};

use super::{
    ConsumeOptions, Failure, Lease, Message, Queue, QueueError,
    consume::Counts,
    handling::{Handling, Held},
};
use crate::{AskError, Clock, NotExecuted};

/// The pause after a lease that failed; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A queue being consumed.
pub(super) struct Consumption<H> {
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

impl<H, F, E> Consumption<H>
where
    H: Fn(Message) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Failure> + 'static,
{
    pub(super) fn new(
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
    pub(super) async fn run(mut self) {
        let mut running = JoinSet::new();
        let mut pause = PAUSE;
        loop {
            while running.try_join_next().is_some() {}
            let depth = self.depth(running.len());
            let next = if self.left == Some(0) {
                Next::End
            } else if depth == 0 {
                self.wait_for_one(&mut running).await
            } else {
                self.lease(depth, &mut pause, &mut running).await
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

    async fn lease(
        &mut self,
        depth: usize,
        pause: &mut Duration,
        running: &mut JoinSet<()>,
    ) -> Next {
        let wait_max = self.queue.limits().wait_max;
        let wait = if self.options.until_empty { Duration::ZERO } else { wait_max };
        let mut leasing = self.queue.lease(depth).wait(wait);
        if let Some(ttl) = self.options.lease_ttl {
            leasing = leasing.ttl(ttl);
        }
        if let Some(worker) = &self.options.worker {
            leasing = leasing.worker(worker);
        }
        let leased = tokio::select! {
            biased;
            _ = self.stop.changed() => return Next::End,
            leased = leasing => leased,
        };
        match leased {
            Ok(leases) if !leases.is_empty() => {
                *pause = PAUSE;
                leases.into_iter().for_each(|lease| self.begin(lease, running));
                Next::Lease
            }
            Ok(_) if self.options.until_empty && running.is_empty() => Next::End,
            Ok(_) if self.options.until_empty => self.wait_for_one(running).await,
            Ok(_) if !wait.is_zero() => Next::Lease,
            Ok(_) => self.pause(PAUSE_MAX).await,
            Err(error) if is_end(&error) => Next::End,
            Err(
                QueueError::RateLimited { retry_after, .. }
                | QueueError::NoPermit { retry_after: Some(retry_after), .. },
            ) => self.pause(retry_after).await,
            Err(error) => {
                tracing::debug!(queue = self.queue.id(), %error, "a consumer pauses");
                let next = self.pause(*pause).await;
                *pause = (*pause * 2).min(PAUSE_MAX);
                next
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
        let handling = Handling {
            queue: self.queue.clone(),
            held: Held::new(lease, Arc::clone(&self.counts)),
            retry: self.options.retry,
        };
        let handler = Arc::clone(&self.handler);
        running.spawn_on(handling.run(handler), &self.queue.runtime().executor);
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

/// Whether the queue will never answer again.
pub(super) fn is_end(error: &QueueError) -> bool {
    matches!(error, QueueError::Ask(AskError::NotExecuted(NotExecuted::ShuttingDown)))
}
