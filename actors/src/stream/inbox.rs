//! Where a stream and one of its subscribers meet: a small lock around what waits for it.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    Class, Message, OnSlow, SubscriberId, SubscriberStats,
    backlog::Offered,
    class::PerClass,
    event::{End, Notice, StreamEvent},
    outlet::Outlet,
    stats::Counts,
};

/// What waits for a subscriber, and whether it is over.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) id: SubscriberId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    outlet: Outlet,
    waker: Option<Waker>,
    end: Option<End>,
}

impl Inbox {
    pub(super) fn new(id: SubscriberId, outlet: Outlet) -> Self {
        Self { id, state: Mutex::new(State { outlet, waker: None, end: None }) }
    }

    /// Offers a message; who is to be woken for it joins `wakers`. `None` if it is over.
    pub(super) fn offer(&self, message: &Arc<Message>, wakers: &mut Vec<Waker>) -> Option<Offered> {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return None;
        }
        let offered = state.outlet.offer(message);
        if offered == Offered::Overflowed {
            state.end(End::ControlOverflow);
        }
        wakers.extend(state.waker.take());
        Some(offered)
    }

    /// What is next, once the last send ended after so long; `Ready(None)` when it is over.
    pub(super) fn poll_take(
        &self,
        sent: Option<Duration>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<StreamEvent>> {
        let mut state = self.state.lock();
        if state.end.is_none()
            && let Some(end) = sent.and_then(|took| state.outlet.sent(took))
        {
            state.end(end);
        }
        match (state.outlet.take(), state.end) {
            (Some(event), _) => Poll::Ready(Some(event)),
            (None, Some(_)) => Poll::Ready(None),
            (None, None) => {
                if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    state.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Ends it, unless it is over already. Whoever reads is woken.
    pub(super) fn close(&self, end: End) {
        let waker = {
            let mut state = self.state.lock();
            state.end(end);
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ends it for good: nobody reads any more. Answers why it was over.
    pub(super) fn leave(&self) -> End {
        let mut state = self.state.lock();
        state.end(End::Finished);
        state.outlet.abandon();
        state.waker = None;
        state.end.unwrap_or(End::Finished)
    }

    pub(super) fn end(&self) -> Option<End> {
        self.state.lock().end
    }

    pub(super) fn on_slow(&self, on_slow: OnSlow) {
        self.state.lock().outlet.on_slow(on_slow);
    }

    pub(super) fn counts(&self) -> Counts {
        self.state.lock().outlet.counts()
    }

    pub(super) fn stats(&self) -> SubscriberStats {
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

/// Whether an event says that its subscriber became slow.
pub(super) fn tells_slow(event: &StreamEvent) -> bool {
    matches!(event, StreamEvent::Notice(Notice::SlowConsumer { .. }))
}
