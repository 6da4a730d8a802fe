//! One subscriber, as its stream sees it: what it is offered, what it takes, how it fares.

use lanekeeper_storage::record::OnSlow;
use std::{sync::Arc, time::Duration};

use crate::stream::{
    api::{
        event::{End, Message, Notice, StreamEvent},
        priority_class::Class,
        stats::{Counts, SubscriberStatus},
    },
    state::{
        drain_rate::{DrainRate, RateChange, SLOW_MAX},
        send_queue::{Offered, SendQueue},
    },
};

/// Of so many bulk messages, a throttled subscriber that is slow is offered one.
const SAMPLE_OF: u64 = 10;

/// The rules of one subscriber: pure, but for the times it is told.
#[derive(Debug)]
pub(crate) struct SubscriberState {
    send_queue: SendQueue,
    drain_rate: DrainRate,
    on_slow: OnSlow,
    notice: Option<Notice>,
    is_pressed: bool,
    /// Whether nothing waits behind what was taken last.
    is_last: bool,
    sampled: u64,
    counts: Counts,
}

impl SubscriberState {
    pub(crate) fn new(capacity: usize, on_slow: OnSlow, slow_after: Duration) -> Self {
        Self {
            send_queue: SendQueue::new(capacity),
            drain_rate: DrainRate::new(slow_after),
            on_slow,
            notice: None,
            is_pressed: false,
            is_last: true,
            sampled: 0,
            counts: Counts::default(),
        }
    }

    /// A message published just now.
    pub(crate) fn offer(&mut self, message: &Arc<Message>) -> Offered {
        if message.class == Class::Bulk && self.is_shed() {
            *self.counts.refused.of_mut(Class::Bulk) += 1;
            self.send_queue.lose_last(Class::Bulk);
            return Offered::Refused;
        }
        self.put(message)
    }

    /// A message that was published before it came: neither shed nor sampled.
    pub(crate) fn put(&mut self, message: &Arc<Message>) -> Offered {
        let offered = self.send_queue.offer(Arc::clone(message));
        match offered {
            Offered::Queued => {}
            Offered::Replaced(victim) => *self.counts.evicted.of_mut(victim) += 1,
            Offered::Refused | Offered::Overflowed => {
                *self.counts.refused.of_mut(message.class) += 1;
            }
        }
        let is_pressed = self.is_filled_to(8);
        self.counts.backpressure_events += u64::from(is_pressed && !self.is_pressed);
        self.is_pressed = is_pressed;
        offered
    }

    /// Whether a bulk message is turned away at the door.
    fn is_shed(&mut self) -> bool {
        if self.is_filled_to(9) {
            return true;
        }
        if !self.drain_rate.is_slow() || self.on_slow != OnSlow::Throttle {
            return false;
        }
        self.sampled += 1;
        !self.sampled.is_multiple_of(SAMPLE_OF)
    }

    /// It was away and missed messages that cannot be given any more.
    pub(crate) fn missed(&mut self, count: Option<u64>) {
        self.notice = Some(Notice::Missed { count });
    }

    /// The number up to which nothing waits any more; `None` while it is still to be told of
    /// something missing.
    pub(crate) fn given_through(&self) -> Option<u64> {
        if self.notice.is_some() { None } else { self.send_queue.given_through() }
    }

    /// What is next for it.
    pub(crate) fn take(&mut self) -> Option<StreamEvent> {
        if let Some(notice) = self.notice.take() {
            return Some(StreamEvent::Notice(notice));
        }
        let event = self.send_queue.take()?;
        if let StreamEvent::Message(message) = &event {
            *self.counts.sent.of_mut(message.class) += 1;
            self.counts.bytes += message.data.size_bytes() as u64;
        }
        self.is_pressed &= self.is_filled_to(8);
        self.is_last = self.send_queue.len() == 0;
        Some(event)
    }

    /// The send of what was taken last ended after so long; says why it is disconnected, if it is.
    pub(crate) fn sent(&mut self, took: Duration) -> Option<End> {
        match self.drain_rate.sent(took, self.is_last)? {
            RateChange::Slow if self.on_slow == OnSlow::Disconnect => {
                return Some(End::SlowConsumer);
            }
            RateChange::Slow => {
                self.notice = Some(Notice::SlowConsumer { slow_events: SLOW_MAX + 1 });
            }
            RateChange::Quick => self.notice = Some(Notice::Recovered),
        }
        None
    }

    /// From now on this happens when it is slow; one that is slow already is not disconnected.
    pub(crate) fn on_slow(&mut self, on_slow: OnSlow) {
        self.on_slow = on_slow;
    }

    /// Forgets what waits.
    pub(crate) fn abandon(&mut self) {
        self.notice = None;
        self.counts.abandoned += self.send_queue.clear() as u64;
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { slow_events: self.drain_rate.slow_total, ..self.counts }
    }

    pub(crate) fn status(&self) -> SubscriberStatus {
        if self.drain_rate.is_slow() {
            SubscriberStatus::Slow
        } else if self.is_pressed {
            SubscriberStatus::Backpressure
        } else {
            SubscriberStatus::Healthy
        }
    }

    pub(crate) fn send_queue(&self) -> &SendQueue {
        &self.send_queue
    }

    pub(crate) fn drain_rate(&self) -> &DrainRate {
        &self.drain_rate
    }

    /// Whether it is under backpressure.
    pub(crate) fn is_pressed(&self) -> bool {
        self.is_pressed
    }

    /// Whether so many tenths of its queue are taken.
    fn is_filled_to(&self, tenths: usize) -> bool {
        10 * self.send_queue.len() >= tenths * self.send_queue.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::queue::api::item::Item;

    const SLOW: Duration = Duration::from_secs(1);

    fn subscriber_state(capacity: usize, on_slow: OnSlow) -> SubscriberState {
        SubscriberState::new(capacity, on_slow, Duration::from_millis(500))
    }

    fn offer(subscriber_state: &mut SubscriberState, class: Class, count: usize) -> Vec<Offered> {
        let message = Message::new(class, 1, Item::from_json("{}").expect("an object"));
        let message = Arc::new(message);
        (0..count).map(|_| subscriber_state.offer(&message)).collect()
    }

    fn make_slow(subscriber_state: &mut SubscriberState) -> Vec<Option<End>> {
        (0..=SLOW_MAX).map(|_| subscriber_state.sent(SLOW)).collect()
    }

    #[test]
    fn bulk_is_shed_when_nine_tenths_are_taken() {
        let mut subscriber_state = subscriber_state(20, OnSlow::Warn);
        let offered = offer(&mut subscriber_state, Class::Bulk, 20);
        assert_eq!(offered[..18], [Offered::Queued; 18]);
        assert_eq!(offered[18..], [Offered::Refused; 2]);
        assert_eq!(offer(&mut subscriber_state, Class::Important, 2), [Offered::Queued; 2]);
        let bulk = Offered::Replaced(Class::Bulk);
        assert_eq!(offer(&mut subscriber_state, Class::Important, 1), [bulk]);
    }

    #[test]
    fn it_is_pressed_from_eight_tenths_on() {
        let mut subscriber_state = subscriber_state(10, OnSlow::Warn);
        offer(&mut subscriber_state, Class::Critical, 7);
        assert_eq!(subscriber_state.status(), SubscriberStatus::Healthy);
        offer(&mut subscriber_state, Class::Critical, 2);
        assert_eq!(subscriber_state.status(), SubscriberStatus::Backpressure);
        subscriber_state.take();
        assert_eq!(subscriber_state.status(), SubscriberStatus::Backpressure);
        subscriber_state.take();
        assert_eq!(subscriber_state.status(), SubscriberStatus::Healthy);
        offer(&mut subscriber_state, Class::Critical, 3);
        assert_eq!(subscriber_state.counts().backpressure_events, 2);
    }

    #[test]
    fn a_slow_one_is_told_before_anything_else() {
        let mut subscriber_state = subscriber_state(10, OnSlow::Warn);
        offer(&mut subscriber_state, Class::Control, 1);
        assert!(make_slow(&mut subscriber_state).iter().all(Option::is_none));
        assert_eq!(subscriber_state.status(), SubscriberStatus::Slow);
        let told = StreamEvent::Notice(Notice::SlowConsumer { slow_events: 6 });
        assert_eq!(subscriber_state.take(), Some(told));
        assert!(matches!(subscriber_state.take(), Some(StreamEvent::Message(_))));
        for _ in 0..=SLOW_MAX {
            subscriber_state.sent(Duration::ZERO);
        }
        assert_eq!(subscriber_state.take(), Some(StreamEvent::Notice(Notice::Recovered)));
        assert_eq!(subscriber_state.status(), SubscriberStatus::Healthy);
    }

    #[test]
    fn a_slow_one_is_disconnected_where_the_stream_says_so() {
        let mut subscriber_state = subscriber_state(10, OnSlow::Disconnect);
        assert_eq!(make_slow(&mut subscriber_state).last(), Some(&Some(End::SlowConsumer)));
    }

    #[test]
    fn a_slow_one_gets_a_sample_of_bulk_where_the_stream_says_so() {
        let mut subscriber_state = subscriber_state(1_000, OnSlow::Throttle);
        assert_eq!(offer(&mut subscriber_state, Class::Bulk, 10), [Offered::Queued; 10]);
        make_slow(&mut subscriber_state);
        let offered = offer(&mut subscriber_state, Class::Bulk, 100);
        let queued = offered.iter().filter(|offered| **offered == Offered::Queued).count();
        assert_eq!(queued, 10);
        assert_eq!(offer(&mut subscriber_state, Class::Important, 10), [Offered::Queued; 10]);
        assert_eq!(*subscriber_state.counts().refused.of(Class::Bulk), 90);
    }
}
