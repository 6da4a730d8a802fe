//! The receiving end of a stream.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;
use parking_lot::Mutex;

use super::{
    StreamEvent, SubscriberId,
    event::End,
    inbox::{Inbox, tells_slow},
    tally::Tally,
};
use crate::Clock;

/// Events given without a break before others get the thread.
const EVENTS_IN_A_ROW: u32 = 128;

/// The keys of subscribers that have left, until their stream looks.
pub(super) type Exits = Mutex<Vec<usize>>;

/// A subscription: a [`Stream`] of what is published from then on. Dropping it unsubscribes.
///
/// What it does not take waits in a queue of its own, bounded, and harms nobody else; what had to
/// give way there is told as a [`Gap`](super::Gap) in its place. A send lasts from the moment an
/// event is given until the next one is asked for.
pub struct Subscriber {
    inbox: Arc<Inbox>,
    key: usize,
    exits: Arc<Exits>,
    tally: Arc<Tally>,
    clock: Clock,
    /// When the last event was given.
    given_at: Option<Duration>,
    in_a_row: u32,
    untold: u64,
}

impl Subscriber {
    pub(super) fn new(
        inbox: Arc<Inbox>,
        key: usize,
        exits: Arc<Exits>,
        tally: Arc<Tally>,
        clock: Clock,
    ) -> Self {
        Self { inbox, key, exits, tally, clock, given_at: None, in_a_row: 0, untold: 0 }
    }

    /// Its number: what [`Publish::to`](super::Publish::to) takes.
    pub fn id(&self) -> SubscriberId {
        self.inbox.id
    }

    /// The next event; `None` once it is over. Dropping the future loses none.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// What waits, if anything does.
    pub fn try_next(&mut self) -> Option<StreamEvent> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match Pin::new(self).poll_next(&mut cx) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    /// Takes no more messages: what waits is still given, then it is over.
    pub fn finish(&self) {
        self.inbox.close(End::Finished);
    }

    /// Ends it at once, for a reason that whoever carries the events further has.
    pub fn disconnect(&self, reason: End) {
        self.inbox.close(reason);
    }

    /// Why it is over, if it is. What waits may still be given.
    pub fn end(&self) -> Option<End> {
        self.inbox.end()
    }

    fn tell(&mut self) {
        if self.untold > 0 {
            self.tally.delivered(std::mem::take(&mut self.untold));
        }
    }
}

impl Stream for Subscriber {
    type Item = StreamEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<StreamEvent>> {
        let this = self.get_mut();
        if this.in_a_row >= EVENTS_IN_A_ROW {
            this.in_a_row = 0;
            this.tell();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let now = this.clock.elapsed();
        let sent = this.given_at.take().map(|given_at| now.saturating_sub(given_at));
        let next = this.inbox.poll_take(sent, cx);
        match &next {
            Poll::Ready(Some(event)) => {
                this.given_at = Some(now);
                this.in_a_row += 1;
                this.untold += u64::from(matches!(event, StreamEvent::Message(_)));
                if tells_slow(event) {
                    this.tally.slowed();
                }
            }
            Poll::Ready(None) | Poll::Pending => {
                this.in_a_row = 0;
                this.tell();
            }
        }
        next
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.tell();
        self.tally.ended(self.inbox.leave());
        self.exits.lock().push(self.key);
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscriber({})", self.id())
    }
}
