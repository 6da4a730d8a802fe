//! One message in the hands of a consumer: from its lease to the settling of that.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;

use crate::{
    queue::{
        api::{
            config::LEASE_TTL,
            error::QueueError,
            handle::Queue,
            lease_handle::{Lease, NackOptions},
            message::Message,
        },
        consumer::{
            lease_source::LeaseSource,
            options::Counts,
            retry::{Disposition, HandlerFailure, Retry},
        },
    },
    time::clock::Clock,
};

/// The shortest pause before a lease is prolonged, or the settling of one tried again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause before the settling of a lease is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A lease under work. Dropped before it is settled, it gives the message back uncounted.
pub(crate) struct HeldLease {
    lease: Option<Lease>,
    counts: Arc<Counts>,
}

impl HeldLease {
    pub(crate) fn new(lease: Lease, counts: Arc<Counts>) -> Self {
        add(&counts.running);
        Self { lease: Some(lease), counts }
    }

    /// The lease is settled or lost.
    fn let_go(&mut self, count: impl FnOnce(&Counts) -> &AtomicU64) {
        if let Some(lease) = self.lease.take() {
            lease.detach();
            add(count(&self.counts));
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release();
            add(&self.counts.released);
        }
        self.counts.running.fetch_sub(1, Ordering::AcqRel);
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::AcqRel);
}

/// A message and what it takes to work on it.
pub(crate) struct MessageTask {
    pub(crate) queue: Queue,
    pub(crate) stored: HeldLease,
    pub(crate) retry: Retry,
}

impl MessageTask {
    /// Has the handler work on the message, keeps the lease meanwhile, and settles it.
    pub(crate) async fn run<H, F, E>(self, handler: Arc<H>)
    where
        H: Fn(Message) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<HandlerFailure>,
    {
        let Self { queue, mut stored, retry } = self;
        let clock = queue.runtime().clock.clone();
        let lease = stored.lease.as_mut().expect("a lease is held until it is settled");
        let message = Message::clone(lease);
        let deliveries = message.deliveries;
        let handled = async { handler(message).await.map_err(Into::into) };
        let mut handled = pin!(AssertUnwindSafe(handled).catch_unwind());
        let kept = tokio::select! {
            biased;
            result = &mut handled => Some(result),
            () = keep(lease, &clock) => None,
        };
        let Some(result) = kept else {
            // It may not be cut off where it did not expect to be.
            let _ = handled.await;
            return stored.let_go(|counts| &counts.lost);
        };
        let result = result.unwrap_or_else(|panic| Err(HandlerFailure::panicked(&*panic)));
        let is_handled = result.is_ok();
        let disposition = Disposition::of(result, deliveries, &retry);
        let is_kept = settle(&queue, lease, disposition).await;
        stored.let_go(|counts| match (is_kept, is_handled) {
            (false, _) => &counts.lost,
            (true, true) => &counts.handled,
            (true, false) => &counts.failed,
        });
    }
}

/// Prolongs a lease again and again; returns once it is lost.
async fn keep(lease: &mut Lease, clock: &Clock) {
    let left = |lease: &Lease| lease.expires_at().duration_since(clock.now()).unwrap_or_default();
    let ttl = left(lease).clamp(LEASE_TTL.0, LEASE_TTL.1);
    loop {
        clock.sleep((left(lease) / 3).max(PAUSE_MIN)).await;
        match lease.extend(ttl).await {
            Ok(()) => {}
            Err(QueueError::Lease(_)) => return,
            Err(error) if LeaseSource::is_end(&error) => return,
            Err(error) => {
                tracing::warn!(?lease, %error, "a lease was not prolonged");
                if left(lease).is_zero() {
                    return;
                }
            }
        }
    }
}

/// Settles a lease, if need be by trying until its time ends; answers whether it was good.
async fn settle(queue: &Queue, lease: &Lease, mut disposition: Disposition) -> bool {
    let (clock, tokens) = (&queue.runtime().clock, [lease.token()]);
    let mut pause = PAUSE_MIN;
    loop {
        let settled = match disposition.clone() {
            Disposition::Done => queue.ack(&tokens).await,
            Disposition::Back(options) => queue.nack(&tokens, options).await,
            Disposition::Dead(reason) => queue.dead_letter(&tokens, &reason).await,
        };
        match (settled, &disposition) {
            (Ok(settled), _) => return settled.failed.is_empty(),
            (Err(error @ QueueError::NoDeadLetterId { .. }), Disposition::Dead(reason)) => {
                tracing::warn!(queue = queue.id(), %error, "a message cannot be a dead letter");
                let (delay, reason) = (Retry::default().delay_max, Some(reason.clone()));
                disposition = Disposition::Back(NackOptions { delay, reason, is_counted: true });
            }
            (Err(error), _) => {
                if LeaseSource::is_end(&error) || clock.now() >= lease.expires_at() {
                    return false;
                }
                tracing::warn!(?lease, %error, "a lease was not settled");
                clock.sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}
