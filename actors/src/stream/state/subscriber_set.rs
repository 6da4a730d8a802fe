//! All subscribers of a stream, those that keep up before those that do not.

use std::{sync::Arc, task::Waker};

use slab::Slab;

use crate::stream::{
    api::{
        event::{Message, SubscriberId},
        priority_class::{Class, PerClass},
        stats::Published,
    },
    state::{send_queue::Offered, shared_buffer::SharedBuffer},
};

/// Who is subscribed.
#[derive(Default)]
pub(crate) struct SubscriberSet {
    entries: Slab<SubscriberEntry>,
    /// Who is to be woken; empty between offers.
    wakers: Vec<Waker>,
    /// The keys of those that are offered a message last; empty between offers.
    behind: Vec<usize>,
}

struct SubscriberEntry {
    shared_buffer: Arc<SharedBuffer>,
    /// Whether it had no room for the message before.
    is_behind: bool,
}

impl SubscriberSet {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory, but for what waits.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * (size_of::<SubscriberEntry>() + size_of::<SharedBuffer>())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SharedBuffer> {
        self.entries.iter().map(|(_, entry)| &*entry.shared_buffer)
    }

    /// Takes one in; answers its key.
    pub(crate) fn insert(&mut self, shared_buffer: Arc<SharedBuffer>) -> usize {
        self.entries.insert(SubscriberEntry { shared_buffer, is_behind: false })
    }

    /// Lets one go.
    pub(crate) fn remove(&mut self, key: usize) -> Arc<SharedBuffer> {
        let entry = self.entries.remove(key);
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
        entry.shared_buffer
    }

    /// Offers a message to all. Whoever had no room for the one before is offered it once the
    /// others are on their way.
    pub(crate) fn offer_to_all(&mut self, message: &Arc<Message>) -> OfferResult {
        let mut done = OfferResult::new(message);
        for (key, entry) in &mut self.entries {
            if entry.is_behind {
                self.behind.push(key);
            } else {
                entry.offer(message, &mut self.wakers, &mut done);
            }
        }
        self.wakers.drain(..).for_each(Waker::wake);
        for key in self.behind.drain(..) {
            self.entries[key].offer(message, &mut self.wakers, &mut done);
        }
        self.wakers.drain(..).for_each(Waker::wake);
        done
    }

    /// Offers a message to one; `None` if there is no such one.
    pub(crate) fn offer_to(
        &mut self,
        message: &Arc<Message>,
        id: SubscriberId,
    ) -> Option<OfferResult> {
        let (_, entry) = self.entries.iter_mut().find(|(_, entry)| entry.shared_buffer.id == id)?;
        let mut done = OfferResult::new(message);
        entry.offer(message, &mut self.wakers, &mut done);
        self.wakers.drain(..).for_each(Waker::wake);
        (done.published.subscribers > 0).then_some(done)
    }
}

impl SubscriberEntry {
    fn offer(&mut self, message: &Arc<Message>, wakers: &mut Vec<Waker>, done: &mut OfferResult) {
        let Some(offered) = self.shared_buffer.offer(message, wakers) else { return };
        self.is_behind = offered != Offered::Queued;
        done.add(offered);
    }
}

/// What the offers of one message came to.
pub(crate) struct OfferResult {
    pub(crate) class: Class,
    pub(crate) published: Published,
    pub(crate) evicted: PerClass<u64>,
}

impl OfferResult {
    fn new(message: &Message) -> Self {
        let published = Published { seq: message.seq, ..Published::default() };
        Self { class: message.class, published, evicted: PerClass::default() }
    }

    fn add(&mut self, offered: Offered) {
        self.published.subscribers += 1;
        match offered {
            Offered::Queued => self.published.queued += 1,
            Offered::Replaced(victim) => {
                self.published.queued += 1;
                self.published.evicted += 1;
                *self.evicted.of_mut(victim) += 1;
            }
            Offered::Refused | Offered::Overflowed => self.published.refused += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use lanekeeper_storage::record::OnSlow;
    use std::{
        sync::Mutex,
        task::{Context, Wake},
        time::Duration,
    };

    use super::*;

    use crate::{queue::api::item::Item, stream::state::subscriber_state::SubscriberState};

    fn shared_buffer(id: u64, capacity: usize) -> Arc<SharedBuffer> {
        let subscriber_state =
            SubscriberState::new(capacity, OnSlow::Warn, Duration::from_millis(500));
        Arc::new(SharedBuffer::new(SubscriberId(id), subscriber_state, Arc::default()))
    }

    fn message(seq: u64) -> Arc<Message> {
        let data = Item::from_json("{}").expect("an object");
        Arc::new(Message::new(Class::Important, seq, data))
    }

    /// Sees what another one has lost at the moment that it is woken.
    struct Watching {
        other: Arc<SharedBuffer>,
        seen: Mutex<Vec<u64>>,
    }

    impl Wake for Watching {
        fn wake(self: Arc<Self>) {
            let evicted = self.other.counts().evicted.total();
            self.seen.lock().expect("nobody panics").push(evicted);
        }
    }

    #[test]
    fn those_that_keep_up_are_on_their_way_before_the_others_are_offered_anything() {
        let (stalled, healthy) = (shared_buffer(1, 1), shared_buffer(2, 10));
        let mut subscriber_set = SubscriberSet::default();
        subscriber_set.insert(Arc::clone(&stalled));
        subscriber_set.insert(Arc::clone(&healthy));
        let watching = Arc::new(Watching { other: stalled, seen: Mutex::default() });
        let waker = Waker::from(Arc::clone(&watching));
        for seq in 1..=4 {
            let take = |cx: &mut Context<'_>| healthy.poll_take(None, 0, drop, cx);
            while take(&mut Context::from_waker(&waker)).is_ready() {}
            let done = subscriber_set.offer_to_all(&message(seq)).published;
            assert_eq!((done.subscribers, done.queued), (2, 2));
            assert_eq!(done.evicted, u64::from(seq > 1));
        }
        let seen = watching.seen.lock().expect("nobody panics");
        assert_eq!(*seen, [0, 1, 1, 2], "it fell behind with the second message");
    }
}
