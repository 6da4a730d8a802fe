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
        metrics::Tally,
        priority_class::{Class, PerClass},
        stats::{Counts, SubscriberStats},
    },
    state::{send_queue::Offered, subscriber_state::Outlet},
};

/// What waits for a subscriber, and whether it is over.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) id: SubscriberId,
    tally: Arc<Tally>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    outlet: Outlet,
    waker: Option<Waker>,
    end: Option<End>,
}

impl Inbox {
    pub(crate) fn new(id: SubscriberId, outlet: Outlet, tally: Arc<Tally>) -> Self {
        Self { id, tally, state: Mutex::new(State { outlet, waker: None, end: None }) }
    }

    /// Offers a message; who is to be woken for it joins `wakers`. `None` if it is over.
    pub(crate) fn offer(&self, message: &Arc<Message>, wakers: &mut Vec<Waker>) -> Option<Offered> {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return None;
        }
        let was_pressed = state.outlet.is_pressed();
        let offered = state.outlet.offer(message);
        if state.outlet.is_pressed() && !was_pressed {
            self.tally.pressed();
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
            let slow_before = state.outlet.pace().slow_total;
            let end = state.outlet.sent(took);
            if state.outlet.pace().slow_total > slow_before {
                self.tally.dawdled();
            }
            end.into_iter().for_each(|end| state.end(end));
        }
        let (mut count, mut bytes) = (0, 0);
        while let Some(event) = state.outlet.take() {
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
        self.state.lock().outlet.given_through()
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
        state.outlet.abandon();
        state.waker = None;
        state.end.unwrap_or(End::Finished)
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.state.lock().end
    }

    pub(crate) fn on_slow(&self, on_slow: OnSlow) {
        self.state.lock().outlet.on_slow(on_slow);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state.lock().outlet.counts()
    }

    pub(crate) fn stats(&self) -> SubscriberStats {
        let state = self.state.lock();
        let State { outlet, .. } = &*state;
        let mut waiting = PerClass::default();
        for class in Class::ALL {
            *waiting.of_mut(class) = outlet.backlog().len_of(class) as u64;
        }
        let times = outlet.pace().times();
        SubscriberStats {
            id: self.id,
            status: outlet.status(),
            waiting,
            queue_max: outlet.backlog().capacity(),
            counts: outlet.counts(),
            send_mean: times.mean(),
            send_p99: times.p99(),
        }
    }
}

impl State {
    fn end(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        if !end.is_graceful() {
            self.outlet.abandon();
        }
    }
}
