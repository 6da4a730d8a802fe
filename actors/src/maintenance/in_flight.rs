//! Deliveries of the duties that are under way: how many, and when there are none.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Counts deliveries under way.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    ended: Notify,
}

/// One of them; dropping it ends it.
#[derive(Debug)]
pub(crate) struct InFlightGuard(Arc<InFlight>);

impl InFlight {
    pub(crate) fn begin(self: &Arc<Self>) -> InFlightGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        InFlightGuard(Arc::clone(self))
    }

    /// Whether none is under way.
    pub(crate) fn have_ended(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Waits until none is under way. Dropping the future is safe.
    pub(crate) async fn wait_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.have_ended() {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}
