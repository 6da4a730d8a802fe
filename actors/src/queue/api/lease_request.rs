//! Asking for leases: what is set before that is awaited, and awaiting it.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use crate::{
    actor::id::check_id,
    queue::{
        api::{
            error::QueueError,
            handle::Queue,
            lease_handle::{Lease, checked_lease_ttl},
            lease_token::LeaseTerms,
            long_poll::{Patience, Waited},
        },
        verb::handler::{Given, LeaseSome},
    },
    runtime::mailbox::BoxFuture,
};

/// Leases that were not asked for yet: await it.
///
/// Dropping its future is safe: what was leased for it goes back at once, uncounted.
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

    /// Lets the leases last so long: 1 s to 12 h. As the queue says by default, which is 30 s
    /// unless it was configured.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Waits so long for the first message if there is none, or none may be given yet (a rate, a
    /// lock, a gate), in line with the others who wait: first come, first served. Not at all by
    /// default.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Goes on waiting while pops are paused, instead of being refused: once they are resumed, it
    /// is served at once. Changes nothing unless it [waits](LeaseMessages::wait).
    pub fn wait_while_paused(mut self) -> Self {
        self.waits_while_paused = true;
        self
    }

    /// Says who works on them: should that worker be found dead, the leases end.
    pub fn worker(mut self, id: impl Into<String>) -> Self {
        self.worker = Some(id.into());
        self
    }

    /// Says which life of the worker it is, as its heartbeats are answered: an earlier life that
    /// says goodbye late does not end these leases.
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
            let terms = LeaseTerms { depth, ttl_ms, worker, life, waits_while_paused };
            let mut patience = Patience::new(&queue, wait)?;
            let granted = loop {
                let (terms, may_wait) = (terms.clone(), patience.is_left());
                let waiting = match actor.ask(LeaseSome { terms, may_wait }).await?? {
                    Given::Now(granted) => break granted,
                    Given::Later(waiting) => waiting,
                };
                match patience.wait(waiting).await? {
                    Waited::Given(granted) => break granted?,
                    Waited::InVain => return Ok(Vec::new()),
                    Waited::LineGone => {}
                }
            };
            let lease = |leased| Lease::new(leased, queue.clone());
            Ok(granted.receive().into_iter().map(lease).collect())
        })
    }
}
