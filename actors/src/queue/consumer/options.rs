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
            retry::{Failure, Retry},
            run::Consumption,
        },
    },
    time::clock::Clock,
};

/// Handlers at once at most.
const CONCURRENCY_MAX: usize = 10_000;

/// How a queue is consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumeOptions {
    /// Handlers at once, 1 to 10,000: 1 by default. No more messages are leased than can be
    /// handled at once.
    pub concurrency: usize,
    /// How long the leases last, 1 s to 12 h, if not as the queue says. They are prolonged each
    /// time a third of that has passed.
    pub lease_ttl: Option<Duration>,
    /// Who works on them: should that worker be found dead, the leases end.
    pub worker: Option<String>,
    /// Which life of the worker it is, as its heartbeats are answered.
    pub life: Option<u64>,
    /// When failures are tried again.
    pub retry: Retry,
    /// Messages (1 or more) after which it ends by itself.
    pub messages_max: Option<u64>,
    /// Whether it ends by itself once nothing is ready and nothing is handled. What is scheduled,
    /// failures that wait for another try included, is not waited for.
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

/// What a consumer has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Messages that were handled and acknowledged.
    pub handled: u64,
    /// Handlers that failed or panicked; their messages were given back or are dead letters.
    pub failed: u64,
    /// Handlers whose lease ended under them, or whose result could not be kept: it was discarded,
    /// and their messages are somebody else's.
    pub lost: u64,
    /// Messages given back uncounted because their handlers were cut off.
    pub released: u64,
    /// Messages under work.
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

/// A queue being consumed. Dropped, it leases no more, and cuts off the handlers that run where
/// they next wait: their messages are given back at once, and the delivery does not count.
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

    /// Leases no more, waits for the handlers that run, and after `deadline` cuts off those that
    /// still do and gives their messages back; the delivery does not count then. A handler that
    /// blocks its thread cannot be cut off, and is waited for. Answers what was done in all.
    ///
    /// Dropping the future is safe: what was asked for goes on. Asked again, the later deadline is
    /// the one that holds.
    pub async fn stop(&mut self, deadline: Duration) -> ConsumerStats {
        let by = self.clock().elapsed().saturating_add(deadline);
        // Nobody receives it if the consumer has ended by itself.
        let _ = self.stop.send(Some(by));
        self.ended().await;
        self.stats()
    }

    /// Waits for the end that comes by itself: of the messages asked for, of what was ready (see
    /// [`ConsumeOptions`]), or of the node. Handlers have ended, too. Dropping the future is safe.
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
    /// Consumes the queue: leases messages as they come, hands each to `handler` on a task of its
    /// own, prolongs the lease while the handler runs, and acknowledges the message when that
    /// returns `Ok`. An error gives the message back after a delay and with its text as the reason;
    /// [`Failure`] can say more. A panic is a failure, too, and harms no other handler.
    ///
    /// It goes on until it is stopped or dropped, or the node shuts down. A queue that is paused or
    /// fails is asked again after a pause of up to 5 s. The handler must be ready to see a message
    /// twice: when its lease ends under it, because the process stood still or the node ended,
    /// the message is delivered again and the result is discarded. Handlers are cut off
    /// where they wait, as any dropped future is, if the consumer is dropped or its deadline ends.
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
        E: Into<Failure> + 'static,
    {
        self.actor()?;
        options.check()?;
        let (stop, stopped) = watch::channel(None);
        let counts = Arc::new(Counts::default());
        let of_task = Arc::clone(&counts);
        let consumption = Consumption::new(self.clone(), options, handler, of_task, stopped);
        let task = self.runtime().executor.spawn(consumption.run());
        Ok(Consumer { queue: self.clone(), counts, stop, task: Some(task) })
    }
}
