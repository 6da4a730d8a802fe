//! One message to its receiver, and what becomes of its lease.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use lanekeeper_actors::queue::{Lease, NackOptions, Queue, QueueError, SinkHeaders};
use tokio::sync::OwnedSemaphorePermit;

use crate::webhook::{
    address::target::Target,
    backoff,
    circuit_breaker::BreakerDecision,
    client::{DeliveryFailure, DeliveryOutcome, DeliveryRequest, Fault},
    runner::RunnerState,
    stats::count,
};

/// What is left of a lease, as a share, when its delivery is given up: time to settle it.
const MARGIN: f64 = 0.1;
/// A delivery is not begun with less.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// A lease that is given back uncounted, whatever happens to its holder, unless it is taken out.
pub(crate) struct HeldLease(Option<Lease>);

impl HeldLease {
    pub(crate) fn new(lease: Lease) -> Self {
        Self(Some(lease))
    }

    fn lease(&self) -> &Lease {
        self.0.as_ref().expect("only `take` takes it out, and ends this")
    }

    fn take(mut self) -> Lease {
        self.0.take().expect("only this takes it out")
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        if let Some(lease) = self.0.take() {
            lease.release();
        }
    }
}

/// Delivers one message and settles its lease. Answers what it says of the receiver, and by the
/// monotonic clock when that was known, which is before the lease was settled.
pub(crate) async fn deliver(
    shared: Arc<RunnerState>,
    queue: Queue,
    to: (Target, SinkHeaders),
    held: HeldLease,
) -> (BreakerDecision, Duration) {
    let (counters, clock) = (&shared.counters, shared.node.clock());
    let _under_way = counters.begin();
    let Some((permit, timeout)) = admit(&shared, &held).await else {
        count(&counters.released);
        return (BreakerDecision::Unknown, clock.elapsed());
    };
    let post = DeliveryRequest::new(to, queue.id(), held.lease(), timeout);
    let client = shared.client.clone();
    let posting = tokio::task::spawn_blocking(move || {
        // It is the thread that is bounded: a task may end before it.
        let _permit = permit;
        client.post(&post)
    });
    let (outcome, ended_at) = (posting.await, clock.elapsed());
    let outcome = match outcome {
        Ok(outcome) if !shared.is_cut.load(Ordering::Acquire) => outcome,
        Ok(_) => {
            count(&counters.released);
            return (BreakerDecision::Unknown, ended_at);
        }
        Err(error) => {
            tracing::error!(queue = queue.id(), %error, "a delivery failed on the way");
            count(&counters.failed);
            // It may be this message that does it: it counts.
            drop(held.take());
            return (BreakerDecision::Unknown, ended_at);
        }
    };
    let asked = asked_of(&outcome, clock.now());
    let verdict = verdict_of(&outcome, asked);
    let settled = match outcome {
        DeliveryOutcome::Done => held.take().ack().await.map(|()| count(&counters.delivered)),
        DeliveryOutcome::Accepted => {
            held.take().detach();
            count(&counters.accepted);
            Ok(())
        }
        DeliveryOutcome::Failed(failure) => {
            count(&counters.failed);
            give_back(held.take(), failure, asked.unwrap_or_default()).await
        }
    };
    if let Err(error) = settled {
        count(&counters.late);
        tracing::warn!(queue = queue.id(), %error, "a delivery was not settled: another follows");
    }
    (verdict, ended_at)
}

/// How long the receiver asks to be left alone from now on.
fn asked_of(outcome: &DeliveryOutcome, now: SystemTime) -> Option<Duration> {
    match outcome {
        DeliveryOutcome::Failed(failure) => failure.retry_after.map(|asked| asked.wait(now)),
        DeliveryOutcome::Done | DeliveryOutcome::Accepted => None,
    }
}

/// Who refuses a message is there to refuse it.
fn verdict_of(outcome: &DeliveryOutcome, asked: Option<Duration>) -> BreakerDecision {
    match (outcome, asked) {
        (_, Some(wait)) => BreakerDecision::Wait(wait),
        (
            DeliveryOutcome::Failed(DeliveryFailure {
                fault: Fault::Receiver | Fault::Unreachable,
                ..
            }),
            None,
        ) => BreakerDecision::Down,
        (DeliveryOutcome::Failed(_) | DeliveryOutcome::Done | DeliveryOutcome::Accepted, None) => {
            BreakerDecision::Up
        }
    }
}

/// Waits for a thread to send on; answers how long it may take. `None` if that took too much of the
/// lease.
async fn admit(shared: &RunnerState, held: &HeldLease) -> Option<(OwnedSemaphorePermit, Duration)> {
    let left = || {
        let left = held.lease().expires_at().duration_since(shared.node.clock().now());
        left.unwrap_or_default()
    };
    let permit = Arc::clone(&shared.posts).acquire_owned();
    let permit = tokio::time::timeout(left() / 2, permit).await.ok()?.ok()?;
    let timeout = left().mul_f64(1.0 - MARGIN);
    (timeout >= TIMEOUT_MIN).then_some((permit, timeout))
}

/// Lets the message come again, after a while that grows with its deliveries, and not before the
/// receiver asked for it; one of which nothing was sent has not been delivered.
async fn give_back(
    lease: Lease,
    failure: DeliveryFailure,
    asked: Duration,
) -> Result<(), QueueError> {
    let DeliveryFailure { reason, fault, .. } = failure;
    let delay = backoff::delay(lease.deliveries, fastrand::f64()).max(asked);
    let reason = Some(format!("sink: {}", reason.chars().take(200).collect::<String>()));
    let is_counted = fault != Fault::Unreachable;
    lease.nack_with(NackOptions { delay, reason, is_counted }).await
}
