//! Asking for leases: what is set before that is awaited, and awaiting it.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use crate::{
    actor::id::check_id,
    queue::{
        api::{
            error::QueueError,
            handle::Queue,
            lease_handle::{Lease, checked_lease_ttl},
            lease_token::LeaseOptions,
            long_poll::{LongPoll, WaitResult},
        },
        verb::handler::{Delivered, LeaseSome},
    },
    runtime::mailbox::BoxFuture,
};

/// A lease call that was not sent yet; await it to send it.
///
/// Dropping its future is safe: messages leased for it are given back at once, uncounted.
#[must_use = "nothing is leased before it is awaited"]
#[derive(Debug)]
pub struct LeaseMessages {
    queue: Queue,
    depth: usize,
    ttl: Option<Duration>,
    wait: Duration,
    waits_while_paused: bool,
    worker: Option<String>,
    life: Option<u64>,
}

impl LeaseMessages {
    pub(crate) fn new(queue: Queue, depth: usize) -> Self {
        let (wait, waits_while_paused) = (Duration::ZERO, false);
        Self { queue, depth, ttl: None, wait, waits_while_paused, worker: None, life: None }
    }

    /// The duration of the leases: 1 s to 12 h. The queue's setting by default, otherwise 30 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The time to wait for the first message if there is none, or if a rate, a lock or a gate
    /// holds it back. Waiting calls are served in the order of arrival. No wait by default.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Keeps waiting while pops are paused, instead of being refused. No effect without
    /// [`LeaseMessages::wait`].
    pub fn wait_while_paused(mut self) -> Self {
        self.waits_while_paused = true;
        self
    }

    /// The worker that holds the leases: they end if it goes offline.
    pub fn worker(mut self, id: impl Into<String>) -> Self {
        self.worker = Some(id.into());
        self
    }

    /// The life of the worker, from the answer to its heartbeat: the end of an earlier life does
    /// not end these leases.
    pub fn life(mut self, life: u64) -> Self {
        self.life = Some(life);
        self
    }
}

impl IntoFuture for LeaseMessages {
    type Output = Result<Vec<Lease>, QueueError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { queue, depth, ttl, wait, waits_while_paused, worker, life } = self;
        Box::pin(async move {
            let actor = queue.actor()?;
            let depth = queue.checked_depth(depth)?;
            let ttl_ms = checked_lease_ttl(ttl)?;
            if let Some(worker) = &worker {
                check_id(worker).map_err(QueueError::InvalidWorker)?;
            }
            let worker = worker.map(Arc::from);
            let options = LeaseOptions { depth, ttl_ms, worker, life, waits_while_paused };
            let mut long_poll = LongPoll::new(&queue, wait)?;
            let undelivered = loop {
                let (options, may_wait) = (options.clone(), long_poll.is_left());
                let waiting = match actor.ask(LeaseSome { options, may_wait }).await?? {
                    Delivered::Now(undelivered) => break undelivered,
                    Delivered::Later(waiting) => waiting,
                };
                match long_poll.wait(waiting).await? {
                    WaitResult::Given(undelivered) => break undelivered?,
                    WaitResult::InVain => return Ok(Vec::new()),
                    WaitResult::LineGone => {}
                }
            };
            let lease = |leased| Lease::new(leased, queue.clone());
            Ok(undelivered.receive().into_iter().map(lease).collect())
        })
    }
}
