//! Consuming a queue: what is asked for, and the handle of what goes on then.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    actor::id::check_id,
    queue::{
        api::{config::LEASE_TTL, error::QueueError, handle::Queue, message::Message},
        consumer::{
            retry::{HandlerFailure, Retry},
            run::ConsumerRun,
        },
    },
    time::clock::Clock,
};

/// Handlers at once at most.
const CONCURRENCY_MAX: usize = 10_000;

/// The options of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumeOptions {
    /// The largest number of handlers at once, 1 to 10,000: 1 by default. No more messages are
    /// leased than can be handled at once.
    pub concurrency: usize,
    /// The duration of the leases, 1 s to 12 h; the queue's if `None`. They are extended whenever a
    /// third of it has passed.
    pub lease_ttl: Option<Duration>,
    /// The worker that holds the leases: they end if it goes offline.
    pub worker: Option<String>,
    /// Which life of the worker it is, as its heartbeats are answered.
    pub life: Option<u64>,
    /// The delays after failures.
    pub retry: Retry,
    /// The number of messages (1 or more) after which it ends; unlimited if `None`.
    pub messages_max: Option<u64>,
    /// Whether it ends once no message is ready and no handler runs. It does not wait for scheduled
    /// messages, nor for failures that are tried again later.
    pub until_empty: bool,
}

impl Default for ConsumeOptions {
    fn default() -> Self {
        Self {
            concurrency: 1,
            lease_ttl: None,
            worker: None,
            life: None,
            retry: Retry::default(),
            messages_max: None,
            until_empty: false,
        }
    }
}

impl ConsumeOptions {
    fn check(&self) -> Result<(), QueueError> {
        let refuse = |field, reason| Err(QueueError::InvalidConfig { field, reason });
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            return refuse("concurrency", "must be from 1 to 10000");
        }
        if self.messages_max == Some(0) {
            return refuse("messages_max", "must be at least 1");
        }
        if self.retry.deliveries_max == Some(0) {
            return refuse("deliveries_max", "must be at least 1");
        }
        match self.lease_ttl {
            Some(ttl) if !(LEASE_TTL.0..=LEASE_TTL.1).contains(&ttl) => {
                return Err(QueueError::InvalidLeaseTtl(ttl));
            }
            _ => {}
        }
        self.worker.as_deref().map_or(Ok(()), check_id).map_err(QueueError::InvalidWorker)
    }
}

/// The totals of a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Messages handled and acked.
    pub handled: u64,
    /// Handlers that failed or panicked; their messages were given back or are dead letters.
    pub failed: u64,
    /// Handlers whose lease expired while they ran, or whose result could not be written: the
    /// result was discarded, and another consumer may have the message.
    pub lost: u64,
    /// Messages given back uncounted because their handlers were cancelled.
    pub released: u64,
    /// Messages being handled.
    pub running: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) handled: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) released: AtomicU64,
    pub(crate) running: AtomicU64,
}

/// A running consumer. Dropping it stops leasing and cancels the running handlers at their next
/// await: their messages are given back at once, and the delivery does not count.
/// [`Consumer::stop`] lets them finish.
#[must_use = "dropping a consumer stops it"]
pub struct Consumer {
    queue: Queue,
    counts: Arc<Counts>,
    /// By when, on the node's monotonic clock, the handlers must have ended.
    stop: watch::Sender<Option<Duration>>,
    task: Option<JoinHandle<()>>,
}

impl Consumer {
    /// What it has done so far.
    pub fn stats(&self) -> ConsumerStats {
        let count = |count: &AtomicU64| count.load(Ordering::Acquire);
        ConsumerStats {
            handled: count(&self.counts.handled),
            failed: count(&self.counts.failed),
            lost: count(&self.counts.lost),
            released: count(&self.counts.released),
            running: count(&self.counts.running),
        }
    }

    /// Stops leasing and waits for the running handlers. After `deadline` it cancels the remaining
    /// ones and gives their messages back uncounted. A handler that blocks its thread cannot be
    /// cancelled and is waited for. Returns the totals.
    ///
    /// Dropping the future is safe: the stop continues. After a second call the later deadline
    /// holds.
    pub async fn stop(&mut self, deadline: Duration) -> ConsumerStats {
        let by = self.clock().elapsed().saturating_add(deadline);
        // Nobody receives it if the consumer has ended by itself.
        let _ = self.stop.send(Some(by));
        self.ended().await;
        self.stats()
    }

    /// Waits until the consumer has ended by its options (see [`ConsumeOptions`]) or with the node,
    /// and its handlers have finished. Dropping the future is safe.
    pub async fn ended(&mut self) {
        if let Some(task) = &mut self.task {
            if let Err(error) = task.await {
                tracing::error!(queue = self.queue.id(), %error, "a consumer was cut off");
            }
            self.task = None;
        }
    }

    fn clock(&self) -> &Clock {
        &self.queue.runtime().clock
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({:?}, {:?})", self.queue, self.stats())
    }
}

impl Queue {
    /// Consumes the queue: leases messages as they come, runs `handler` for each on a task of its
    /// own, extends the lease while the handler runs, and acks the message when it returns `Ok`. An
    /// error gives the message back after a delay, with its text as the reason; see
    /// [`HandlerFailure`]. A panic is a failure too, and does not affect other handlers.
    ///
    /// It runs until it is stopped or dropped, or the node shuts down. A queue that is paused or
    /// fails is tried again after up to 5 s. A handler must expect to get a message twice: if its
    /// lease expires because the process was suspended or the node ended, the message is delivered
    /// again and the result is discarded. Handlers are cancelled at an await, as any dropped
    /// future, if the consumer is dropped or its deadline passes.
    ///
    /// # Errors
    /// [`QueueError::InvalidId`], [`QueueError::InvalidConfig`], [`QueueError::InvalidLeaseTtl`],
    /// [`QueueError::InvalidWorker`].
    pub fn consume<H, F, E>(
        &self,
        options: ConsumeOptions,
        handler: H,
    ) -> Result<Consumer, QueueError>
    where
        H: Fn(Message) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<HandlerFailure> + 'static,
    {
        self.actor()?;
        options.check()?;
        let (stop, stopped) = watch::channel(None);
        let counts = Arc::new(Counts::default());
        let of_task = Arc::clone(&counts);
        let run = ConsumerRun::new(self.clone(), options, handler, of_task, stopped);
        let task = self.runtime().executor.spawn(run.run());
        Ok(Consumer { queue: self.clone(), counts, stop, task: Some(task) })
    }
}
