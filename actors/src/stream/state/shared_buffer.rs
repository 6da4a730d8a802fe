//! Where a stream and one of its subscribers meet: a small lock around what waits for it.

use lanekeeper_storage::record::OnSlow;
use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;

use crate::stream::{
    api::{
        event::{End, Message, StreamEvent, SubscriberId},
        metrics::StreamMetrics,
        priority_class::{Class, PerClass},
        stats::{Counts, SubscriberStats},
    },
    state::{send_queue::Offered, subscriber_state::SubscriberState},
};

/// What waits for a subscriber, and whether it is over.
#[derive(Debug)]
pub(crate) struct SharedBuffer {
    pub(crate) id: SubscriberId,
    metrics: Arc<StreamMetrics>,
    state: Mutex<BufferState>,
}

#[derive(Debug)]
struct BufferState {
    subscriber_state: SubscriberState,
    waker: Option<Waker>,
    end: Option<End>,
}

impl SharedBuffer {
    pub(crate) fn new(
        id: SubscriberId,
        subscriber_state: SubscriberState,
        metrics: Arc<StreamMetrics>,
    ) -> Self {
        Self {
            id,
            metrics,
            state: Mutex::new(BufferState { subscriber_state, waker: None, end: None }),
        }
    }

    /// Offers a message; who is to be woken for it joins `wakers`. `None` if it is over.
    pub(crate) fn offer(&self, message: &Arc<Message>, wakers: &mut Vec<Waker>) -> Option<Offered> {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return None;
        }
        let was_pressed = state.subscriber_state.is_pressed();
        let offered = state.subscriber_state.offer(message);
        if state.subscriber_state.is_pressed() && !was_pressed {
            self.metrics.pressed();
        }
        if offered == Offered::Overflowed {
            state.end(End::ControlOverflow);
        }
        wakers.extend(state.waker.take());
        Some(offered)
    }

    /// Takes what is next, until it comes to so many bytes, once the last send ended after so long.
    /// Answers how many events were given: none when it is over.
    pub(crate) fn poll_take(
        &self,
        sent: Option<Duration>,
        bytes_max: usize,
        mut give: impl FnMut(StreamEvent),
        cx: &mut Context<'_>,
    ) -> Poll<usize> {
        let mut state = self.state.lock();
        if let Some(took) = sent.filter(|_| state.end.is_none()) {
            let slow_before = state.subscriber_state.drain_rate().slow_total;
            let end = state.subscriber_state.sent(took);
            if state.subscriber_state.drain_rate().slow_total > slow_before {
                self.metrics.dawdled();
            }
            end.into_iter().for_each(|end| state.end(end));
        }
        let (mut count, mut bytes) = (0, 0);
        while let Some(event) = state.subscriber_state.take() {
            count += 1;
            bytes += event.size_bytes();
            give(event);
            if bytes >= bytes_max {
                break;
            }
        }
        if count > 0 || state.end.is_some() {
            return Poll::Ready(count);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The number up to which nothing waits for it; `None` while a gap does.
    pub(crate) fn given_through(&self) -> Option<u64> {
        self.state.lock().subscriber_state.given_through()
    }

    /// Ends it, unless it is over already. Whoever reads is woken.
    pub(crate) fn close(&self, end: End) {
        let waker = {
            let mut state = self.state.lock();
            state.end(end);
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ends it for good: nobody reads any more. Answers why it was over.
    pub(crate) fn leave(&self) -> End {
        let mut state = self.state.lock();
        state.end(End::Finished);
        state.subscriber_state.abandon();
        state.waker = None;
        state.end.unwrap_or(End::Finished)
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.state.lock().end
    }

    pub(crate) fn on_slow(&self, on_slow: OnSlow) {
        self.state.lock().subscriber_state.on_slow(on_slow);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state.lock().subscriber_state.counts()
    }

    pub(crate) fn stats(&self) -> SubscriberStats {
        let state = self.state.lock();
        let BufferState { subscriber_state, .. } = &*state;
        let mut waiting = PerClass::default();
        for class in Class::ALL {
            *waiting.of_mut(class) = subscriber_state.send_queue().len_of(class) as u64;
        }
        let times = subscriber_state.drain_rate().times();
        SubscriberStats {
            id: self.id,
            status: subscriber_state.status(),
            waiting,
            queue_max: subscriber_state.send_queue().capacity(),
            counts: subscriber_state.counts(),
            send_mean: times.mean(),
            send_p99: times.p99(),
        }
    }
}

impl BufferState {
    fn end(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        if !end.is_graceful() {
            self.subscriber_state.abandon();
        }
    }
}
