//! Leasing again and again: the one way in which consumers wait for the messages of a queue.

use std::time::Duration;

use crate::{
    actor::error::{AskError, NotExecuted},
    queue::api::{error::QueueError, handle::Queue, lease_handle::Lease},
};

/// The pause after a lease that failed; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a source that does not wait for messages waits for its turn beyond what it was told.
const GRACE: Duration = Duration::from_secs(1);

/// Leases of a queue, one batch after the other, for whoever consumes it.
///
/// A refusal is answered once, and the next call knows how long it lasts: it waits for the end of a
/// pause in line, as it does for a rate, a lock or a gate, so that it goes on the moment the queue
/// does; what fails is tried again after 100 ms, and each time twice as late, up to 5 s.
#[derive(Debug)]
pub struct LeaseSource {
    queue: Queue,
    wait: Duration,
    ttl: Option<Duration>,
    worker: Option<String>,
    life: Option<u64>,
    refused: Option<Refused>,
    failures: u32,
}

/// What the next lease has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// The end of a pause.
    WhilePaused,
    /// Its turn, which is likely to come by then.
    ForNow(Duration),
    /// Until this time of the node's monotonic clock.
    Until(Duration),
}

impl LeaseSource {
    /// Leases of this queue, each batch waited for as long as the queue allows. They last as the
    /// queue says.
    pub fn new(queue: Queue) -> Self {
        let wait = queue.limits().wait_max;
        Self { queue, wait, ttl: None, worker: None, life: None, refused: None, failures: 0 }
    }

    /// Waits so long for each batch, or as long as the queue allows if that is less. With zero an
    /// empty queue answers at once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait.min(self.queue.limits().wait_max);
        self
    }

    /// As [`LeaseMessages::ttl`](crate::queue::api::lease_request::LeaseMessages::ttl).
    pub fn ttl(mut self, ttl: Option<Duration>) -> Self {
        self.ttl = ttl;
        self
    }

    /// As [`LeaseMessages::worker`](crate::queue::api::lease_request::LeaseMessages::worker).
    pub fn worker(mut self, worker: Option<String>) -> Self {
        self.worker = worker;
        self
    }

    /// As [`LeaseMessages::life`](crate::queue::api::lease_request::LeaseMessages::life).
    pub fn life(mut self, life: Option<u64>) -> Self {
        self.life = life;
        self
    }

    /// The next leases, `depth` at most; none if there were none for as long as it waits. Dropping
    /// the future is safe: what was leased for it goes back at once, uncounted.
    ///
    /// # Errors
    /// As [`Queue::lease`]: what refused or failed, once; ask again unless it
    /// [is the end](LeaseSource::is_end).
    pub async fn next(&mut self, depth: usize) -> Result<Vec<Lease>, QueueError> {
        loop {
            let (wait, is_turn) = match self.refused {
                Some(Refused::Until(until)) => {
                    self.queue.runtime().clock.sleep_until(until).await;
                    self.refused = None;
                    (self.wait, false)
                }
                Some(Refused::ForNow(wait)) if self.wait.is_zero() => {
                    ((wait + GRACE).min(self.queue.limits().wait_max), true)
                }
                _ => (self.wait, false),
            };
            let leases = match self.lease(depth, wait).await {
                Ok(leases) => leases,
                Err(error) => {
                    self.note(&error);
                    return Err(error);
                }
            };
            let was_in_vain = leases.is_empty();
            if !was_in_vain || is_turn {
                self.refused = None;
            }
            self.failures = 0;
            // Somebody else may have had the turn: only a lease that waits not at all sees whether
            // there is anything.
            if !(was_in_vain && is_turn) {
                return Ok(leases);
            }
        }
    }

    /// Whether the queue will never answer again, since its node has shut down.
    pub fn is_end(error: &QueueError) -> bool {
        matches!(error, QueueError::Ask(AskError::NotExecuted(NotExecuted::ShuttingDown)))
    }

    async fn lease(&self, depth: usize, wait: Duration) -> Result<Vec<Lease>, QueueError> {
        let mut lease = self.queue.lease(depth).wait(wait);
        if let Some(ttl) = self.ttl {
            lease = lease.ttl(ttl);
        }
        if let Some(worker) = &self.worker {
            lease = lease.worker(worker);
        }
        if let Some(life) = self.life {
            lease = lease.life(life);
        }
        if self.refused == Some(Refused::WhilePaused) {
            lease = lease.wait_while_paused();
        }
        lease.await
    }

    fn note(&mut self, error: &QueueError) {
        let now = self.queue.runtime().clock.elapsed();
        self.refused = Some(match error {
            QueueError::Paused { .. } if !self.wait.is_zero() => Refused::WhilePaused,
            QueueError::RateLimited { retry_after, .. } => Refused::ForNow(*retry_after),
            QueueError::Locked { .. } | QueueError::NoPermit { .. } => {
                Refused::ForNow(Duration::ZERO)
            }
            _ => {
                let pause = (PAUSE * (1 << self.failures.min(6))).min(PAUSE_MAX);
                self.failures += 1;
                Refused::Until(now + pause)
            }
        });
    }
}
