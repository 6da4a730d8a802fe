//! The actor of a stream: who is subscribed, and what is kept for those who come late.

use std::sync::Arc;

use lanekeeper_storage::{
    LoadError, ScanLimit, key,
    record::{RetainedMessage, StreamSettings},
};

use crate::{
    actor::{
        error::ActivateError,
        virtual_actor::{Actor, LoadContext},
    },
    queue::api::item::Item,
    runtime::turn::Turn,
    stream::{
        api::{
            config::{StreamConfig, StreamLimits},
            event::{End, Message, SubscriberId},
            metrics::StreamMetrics,
            priority_class::{Class, PerClass},
            stats::{Counts, Published},
            subscriber::ExitSignals,
        },
        state::{
            numbering::{EventId, Numbering},
            retained::Retained,
            subscriber_set::{OfferResult, SubscriberSet},
        },
    },
};

/// A stream in memory.
pub(crate) struct StreamActor {
    pub(crate) config: StreamConfig,
    pub(crate) limits: StreamLimits,
    pub(crate) metrics: Arc<StreamMetrics>,
    pub(crate) retained: Retained,
    pub(crate) subscriber_set: SubscriberSet,
    pub(crate) exit_signals: Arc<ExitSignals>,
    pub(crate) seq_last: u64,
    pub(crate) numbering: Arc<Numbering>,
    pub(crate) published: PerClass<u64>,
    /// Of the subscribers that have left.
    pub(crate) departed: Counts,
}

impl Actor for StreamActor {
    const KIND: &'static str = "stream";

    async fn load(from: &LoadContext<'_>) -> Result<Self, ActivateError> {
        let topic = &from.id().key;
        let config = match from.store().get(&key::stream_settings(topic))? {
            Some(settings) => StreamSettings::decode(&settings).map_err(LoadError::from)?.into(),
            None => StreamConfig::default(),
        };
        let (mut retained, mut kept) = (Retained::default(), Vec::new());
        if config.persist {
            let all = ScanLimit::count(config.retain as usize);
            let found = from.store().scan(key::stream_retained_all(topic), all).await?;
            for (key, record) in &found {
                let Some(seq) = key::stream_seq_of(key) else { continue };
                let record = RetainedMessage::decode(record).map_err(LoadError::from)?;
                kept.push(EventId { epoch: record.epoch, seq });
                retained.push(Arc::new(message_of(seq, &record)?));
            }
        }
        Ok(Self {
            config,
            limits: StreamLimits::default(),
            metrics: Arc::default(),
            seq_last: retained.iter().last().map_or(0, |last| last.seq),
            numbering: Arc::new(Numbering::new(kept.into_iter())),
            retained,
            subscriber_set: SubscriberSet::default(),
            exit_signals: Arc::default(),
            published: PerClass::default(),
            departed: Counts::default(),
        })
    }

    async fn on_activate(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), String> {
        let runtime = &turn.meta.guard.kind.runtime;
        self.limits = runtime.settings.get().copied().unwrap_or_default();
        self.metrics = runtime.shared.get();
        Ok(())
    }

    async fn on_passivate(&mut self, _turn: &mut Turn<'_, Self>) {
        self.close_all(End::ShuttingDown);
    }

    fn is_passivatable(&self) -> bool {
        let is_kept = self.retained.len() == 0 || self.config.persist;
        is_kept && self.subscriber_set.len() == self.exit_signals.lock().len()
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.retained.bytes() + self.subscriber_set.bytes()
    }
}

impl StreamActor {
    /// Offers a message to all subscribers.
    pub(crate) fn offer_to_all(&mut self, message: &Arc<Message>) -> Published {
        let done = self.subscriber_set.offer_to_all(message);
        self.count(&done)
    }

    /// Offers a message to one subscriber; `None` if there is no such one.
    pub(crate) fn offer_to(
        &mut self,
        message: &Arc<Message>,
        id: SubscriberId,
    ) -> Option<Published> {
        let done = self.subscriber_set.offer_to(message, id)?;
        Some(self.count(&done))
    }

    fn count(&mut self, done: &OfferResult) -> Published {
        *self.published.of_mut(done.class) += 1;
        self.metrics.published(done.class, &done.published, &done.evicted);
        done.published
    }

    /// Forgets the subscribers that have left.
    pub(crate) fn settle_exits(&mut self) {
        let exit_signals = std::mem::take(&mut *self.exit_signals.lock());
        for key in exit_signals {
            let shared_buffer = self.subscriber_set.remove(key);
            self.departed.add(&shared_buffer.counts());
        }
    }

    fn close_all(&self, end: End) {
        self.subscriber_set.iter().for_each(|shared_buffer| shared_buffer.close(end));
    }
}

impl Drop for StreamActor {
    /// An activation that is dropped instead of put away tells nobody else.
    fn drop(&mut self) {
        self.close_all(End::Lost);
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
pub(crate) fn record_of(message: &Message, numbering: &Numbering) -> RetainedMessage {
    RetainedMessage {
        class: message.class as u8,
        epoch: numbering.id(message.seq).epoch,
        data: message.data.as_bytes().clone(),
    }
}
