//! The actor of a stream: who is subscribed, and what is kept for those who come late.

use std::{sync::Arc, task::Waker};

use lanekeeper_storage::{
    LoadError, ScanLimit, key,
    record::{RetainedMessage, StreamSettings},
};
use slab::Slab;

use super::{
    Class, End, Message, Published, StreamConfig, StreamLimits, SubscriberId, backlog::Offered,
    class::PerClass, inbox::Inbox, retained::Retained, stats::Counts, subscriber::Exits,
    tally::Tally,
};
use crate::{ActivateError, Actor, Origin, Turn, queue::Item};

/// A stream in memory.
pub(super) struct StreamActor {
    pub(super) config: StreamConfig,
    pub(super) limits: StreamLimits,
    pub(super) tally: Arc<Tally>,
    pub(super) retained: Retained,
    pub(super) subscribers: Slab<Arc<Inbox>>,
    pub(super) exits: Arc<Exits>,
    pub(super) seq_last: u64,
    pub(super) published: PerClass<u64>,
    /// Of the subscribers that have left.
    pub(super) departed: Counts,
    /// Who is to be woken at the end of the turn; empty between turns.
    wakers: Vec<Waker>,
}

impl Actor for StreamActor {
    const KIND: &'static str = "stream";

    async fn load(from: &Origin<'_>) -> Result<Self, ActivateError> {
        let topic = &from.id().key;
        let config = match from.store().get(&key::stream_settings(topic))? {
            Some(settings) => StreamSettings::decode(&settings).map_err(LoadError::from)?.into(),
            None => StreamConfig::default(),
        };
        let mut retained = Retained::default();
        if config.persist {
            let all = ScanLimit::count(config.retain as usize);
            let found = from.store().scan(key::stream_retained_all(topic), all).await?;
            for (key, record) in &found {
                let Some(seq) = key::stream_seq_of(key) else { continue };
                let record = RetainedMessage::decode(record).map_err(LoadError::from)?;
                retained.push(Arc::new(message_of(seq, &record)?));
            }
        }
        Ok(Self {
            config,
            limits: StreamLimits::default(),
            tally: Arc::default(),
            seq_last: retained.iter().last().map_or(0, |last| last.seq),
            retained,
            subscribers: Slab::new(),
            exits: Arc::default(),
            published: PerClass::default(),
            departed: Counts::default(),
            wakers: Vec::new(),
        })
    }

    async fn on_activate(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), String> {
        let runtime = &turn.meta.seat.kind.runtime;
        self.limits = runtime.settings.get().copied().unwrap_or_default();
        self.tally = runtime.shared.get();
        Ok(())
    }

    async fn on_passivate(&mut self, _turn: &mut Turn<'_, Self>) {
        self.close_all(End::ShuttingDown);
    }

    fn is_passivatable(&self) -> bool {
        let is_kept = self.retained.len() == 0 || self.config.persist;
        is_kept && self.subscribers.len() == self.exits.lock().len()
    }

    fn memory_bytes(&self) -> usize {
        let subscribers = self.subscribers.capacity() * size_of::<Inbox>();
        size_of::<Self>() + self.retained.bytes() + subscribers
    }
}

impl StreamActor {
    /// Offers a message to all subscribers; whoever waits for one is woken once all have it.
    pub(super) fn offer_to_all(&mut self, message: &Arc<Message>) -> Published {
        let mut done = Offers::new(message);
        for (_, inbox) in &self.subscribers {
            done.add(inbox.offer(message, &mut self.wakers));
        }
        self.end(&done)
    }

    /// Offers a message to one subscriber; `None` if there is no such one.
    pub(super) fn offer_to(
        &mut self,
        message: &Arc<Message>,
        id: SubscriberId,
    ) -> Option<Published> {
        let (_, inbox) = self.subscribers.iter().find(|(_, inbox)| inbox.id == id)?;
        let mut done = Offers::new(message);
        done.add(Some(inbox.offer(message, &mut self.wakers)?));
        Some(self.end(&done))
    }

    fn end(&mut self, done: &Offers) -> Published {
        self.wakers.drain(..).for_each(Waker::wake);
        *self.published.of_mut(done.class) += 1;
        self.tally.published(done.class, &done.published, &done.evicted);
        done.published
    }

    /// Forgets the subscribers that have left.
    pub(super) fn settle_exits(&mut self) {
        let exits = std::mem::take(&mut *self.exits.lock());
        for key in exits {
            let inbox = self.subscribers.remove(key);
            self.departed.add(&inbox.counts());
        }
        if self.subscribers.is_empty() {
            self.subscribers.shrink_to_fit();
        }
    }

    fn close_all(&self, end: End) {
        self.subscribers.iter().for_each(|(_, inbox)| inbox.close(end));
    }
}

impl Drop for StreamActor {
    /// An activation that is dropped instead of put away tells nobody else.
    fn drop(&mut self) {
        self.close_all(End::Lost);
    }
}

/// What the offers of one message came to so far.
struct Offers {
    class: Class,
    published: Published,
    evicted: PerClass<u64>,
}

impl Offers {
    fn new(message: &Message) -> Self {
        let published = Published { seq: message.seq, ..Published::default() };
        Self { class: message.class, published, evicted: PerClass::default() }
    }

    fn add(&mut self, offered: Option<Offered>) {
        let Some(offered) = offered else { return };
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

/// A message read back from the store.
fn message_of(seq: u64, record: &RetainedMessage) -> Result<Message, LoadError> {
    let class = Class::ALL.get(usize::from(record.class)).copied();
    let class =
        class.ok_or_else(|| LoadError::Corrupt("a retained message has no class".into()))?;
    Ok(Message::new(class, seq, Item::from_store(record.data.clone())))
}

/// A message as the store keeps it.
pub(super) fn record_of(message: &Message) -> RetainedMessage {
    RetainedMessage { class: message.class as u8, data: message.data.as_bytes().clone() }
}
