//! The receiving end of a stream.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::Stream;
use parking_lot::Mutex;

use crate::{
    stream::{
        api::{
            event::{End, Notice, StreamEvent, SubscriberId},
            metrics::{Given, StreamMetrics},
        },
        state::{
            numbering::{EventId, Numbering},
            shared_buffer::SharedBuffer,
        },
    },
    time::clock::Clock,
};

/// Events given without a break before others get the thread.
const EVENTS_IN_A_ROW: usize = 128;

/// The keys of subscribers that have left, until their stream looks.
pub(crate) type ExitSignals = Mutex<Vec<usize>>;

/// Where a subscriber says that it has left.
pub(crate) struct Exit {
    pub(crate) key: usize,
    pub(crate) exit_signals: Arc<ExitSignals>,
}

/// A subscription: a [`Stream`] of what is published from then on. Dropping it unsubscribes.
///
/// What it does not take waits in a queue of its own, bounded, and harms nobody else; what had to
/// give way there is told as a [`Gap`](crate::stream::api::event::Gap) in its place. A send lasts
/// from the moment that an event, or a batch of them, is given until more is asked for.
pub struct Subscriber {
    shared_buffer: Arc<SharedBuffer>,
    exit: Exit,
    numbering: Arc<Numbering>,
    metrics: Arc<StreamMetrics>,
    clock: Clock,
    /// When the last event was given.
    given_at: Option<Duration>,
    in_a_row: usize,
    /// The highest number that was given.
    seq_max: u64,
    /// Since its stream was told last.
    untold: Given,
}

impl Subscriber {
    pub(crate) fn new(
        shared_buffer: Arc<SharedBuffer>,
        exit: Exit,
        numbering: Arc<Numbering>,
        metrics: Arc<StreamMetrics>,
        clock: Clock,
    ) -> Self {
        Self {
            shared_buffer,
            exit,
            numbering,
            metrics,
            clock,
            given_at: None,
            in_a_row: 0,
            seq_max: 0,
            untold: Given::default(),
        }
    }

    /// Its number: what [`Publish::to`](crate::stream::api::requests::Publish::to) takes.
    pub fn id(&self) -> SubscriberId {
        self.shared_buffer.id
    }

    /// The next event; `None` once it is over. Dropping the future loses none.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Takes as many events as wait at once, until their JSON comes to about so many bytes: one
    /// send. Answers how many joined `events`: at least one, or none once it is over. Dropping the
    /// future loses none.
    pub async fn next_batch(&mut self, bytes_max: usize, events: &mut Vec<StreamEvent>) -> usize {
        poll_fn(|cx| self.poll_batch(bytes_max, events, cx)).await
    }

    /// As [`next_batch`](Self::next_batch), for whoever is polled itself.
    pub fn poll_batch(
        &mut self,
        bytes_max: usize,
        events: &mut Vec<StreamEvent>,
        cx: &mut Context<'_>,
    ) -> Poll<usize> {
        let before = events.len();
        let taken = self.poll_take(bytes_max, |event| events.push(event), cx);
        self.note(&events[before..]);
        taken
    }

    fn poll_take(
        &mut self,
        bytes_max: usize,
        give: impl FnMut(StreamEvent),
        cx: &mut Context<'_>,
    ) -> Poll<usize> {
        if self.in_a_row >= EVENTS_IN_A_ROW {
            self.in_a_row = 0;
            self.tell();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let now = self.clock.elapsed();
        let sent = self.given_at.take().map(|given_at| now.saturating_sub(given_at));
        sent.into_iter().for_each(|took| self.untold.sent(took));
        let taken = self.shared_buffer.poll_take(sent, bytes_max, give, cx);
        if let Poll::Ready(1..) = taken {
            self.given_at = Some(now);
        } else {
            self.in_a_row = 0;
            self.tell();
        }
        taken
    }

    /// Counts what is given.
    fn note(&mut self, events: &[StreamEvent]) {
        self.in_a_row += events.len();
        for event in events {
            match event {
                StreamEvent::Message(message) => {
                    self.seq_max = self.seq_max.max(message.seq);
                    self.untold.messages += 1;
                    self.untold.bytes += message.data.size_bytes() as u64;
                }
                StreamEvent::Notice(Notice::SlowConsumer { .. }) => self.metrics.slowed(),
                StreamEvent::Gap(_)
                | StreamEvent::Notice(Notice::Recovered | Notice::Missed { .. }) => {}
            }
        }
    }

    /// The id of the message of this number of its stream.
    pub fn event_id(&self, seq: u64) -> EventId {
        self.numbering.id(seq)
    }

    /// The place up to which everything was given or told of as a gap: where to go on
    /// [after](crate::stream::api::requests::Subscribe::after). Classes overtake each other, so it
    /// is not always that of the last message; `None` while there is no such place.
    pub fn position(&self) -> Option<EventId> {
        let through = self.shared_buffer.given_through()?.min(self.seq_max);
        (through > 0).then(|| self.event_id(through))
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
        self.shared_buffer.close(End::Finished);
    }

    /// Ends it at once, for a reason that whoever carries the events further has.
    pub fn disconnect(&self, reason: End) {
        self.shared_buffer.close(reason);
    }

    /// Why it is over, if it is. What waits may still be given.
    pub fn end(&self) -> Option<End> {
        self.shared_buffer.end()
    }

    fn tell(&mut self) {
        if self.untold != Given::default() {
            self.metrics.given(&std::mem::take(&mut self.untold));
        }
    }
}

impl Stream for Subscriber {
    type Item = StreamEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<StreamEvent>> {
        let this = self.get_mut();
        let mut event = None;
        ready!(this.poll_take(0, |next| event = Some(next), cx));
        this.note(event.as_slice());
        Poll::Ready(event)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.tell();
        self.metrics.ended(self.shared_buffer.leave());
        self.exit.exit_signals.lock().push(self.exit.key);
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscriber({})", self.id())
    }
}
