//! The bell that calls for upkeep.

use std::{
    sync::atomic::{AtomicBool, Ordering, fence},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct MaintenanceSignal {
    is_rung: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl MaintenanceSignal {
    /// Calls for upkeep, if that has not been done yet.
    pub(crate) fn notify(&self) {
        // What made it ring is seen by whoever hushes it later, and a ring by whoever did not see
        // that: neither may overtake the other.
        fence(Ordering::SeqCst);
        if self.is_rung.load(Ordering::Relaxed) || self.is_rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Upkeep begins: what is due after it rings again.
    pub(crate) fn clear(&self) {
        self.is_rung.store(false, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// Ready when the bell was rung and nobody came yet.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.lock();
        if self.is_rung.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
