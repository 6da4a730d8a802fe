//! What a stream is asked, and how it answers.

use std::sync::Arc;

use lanekeeper_storage::key;

use crate::{
    actor::virtual_actor::{Handler, Request},
    queue::api::item::Item,
    runtime::turn::Turn,
    stream::{
        actor::{StreamActor, record_of},
        api::{
            config::StreamConfig,
            error::StreamError,
            event::{Message, SubscriberId},
            priority_class::Class,
            stats::{Published, StreamStats},
            subscriber::{Exit, Subscriber},
        },
        state::{
            numbering::EventId, shared_buffer::SharedBuffer, subscriber_state::SubscriberState,
        },
    },
};

/// Offer a message to all subscribers, or to one.
pub(crate) struct PublishOne {
    pub(crate) class: Class,
    pub(crate) data: Item,
    pub(crate) to: Option<SubscriberId>,
}

/// Take a subscriber in.
pub(crate) struct AddSubscriber {
    /// Messages that may wait for it.
    pub(crate) queue_max: usize,
    /// The last message that it has.
    pub(crate) after: Option<EventId>,
}

/// Forget those who have left.
pub(crate) struct RemoveClosed;

/// Change the settings.
pub(crate) struct Configure(pub(crate) StreamConfig);

/// The settings in force.
pub(crate) struct ReadConfig;

/// The stream in numbers.
pub(crate) struct ReadStats;

impl Request for PublishOne {
    type Reply = Result<Published, StreamError>;
}

impl Handler<PublishOne> for StreamActor {
    async fn handle(
        &mut self,
        PublishOne { class, data, to }: PublishOne,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Published, StreamError> {
        self.settle_exits();
        let data = turn.store().memory().counted(data.as_bytes().clone());
        let data = Item::from_store(data);
        let message = Arc::new(Message::new(class, self.seq_last + 1, data));
        let published = match to {
            None => self.offer_to_all(&message),
            Some(id) => {
                let done = self.offer_to(&message, id);
                done.ok_or(StreamError::SubscriberNotFound(id))?
            }
        };
        self.seq_last = message.seq;
        if to.is_none() && self.config.retain > 0 {
            self.retain(message, turn);
        }
        Ok(published)
    }
}

impl StreamActor {
    /// Gives what is retained of the messages after one, and says how many are not.
    fn resume(&self, after: EventId, subscriber_state: &mut SubscriberState) {
        let is_known = self.numbering.is_known(after, self.seq_last);
        let after = if is_known { after.seq } else { 0 };
        let later = || self.retained.iter().filter(|message| message.seq > after);
        match (self.seq_last - after) - later().count() as u64 {
            _ if !is_known => subscriber_state.missed(None),
            0 => {}
            missing => subscriber_state.missed(Some(missing)),
        }
        later().for_each(|message| _ = subscriber_state.put(message));
    }

    fn retain(&mut self, message: Arc<Message>, turn: &mut Turn<'_, Self>) {
        if self.config.persist {
            let key = key::stream_retained(&turn.id().key, message.seq);
            turn.batch().put(key, record_of(&message, &self.numbering).encode());
        }
        let bytes_before = self.retained.bytes();
        self.retained.push(message);
        let memory = turn.store().memory();
        // What is kept for late comers does not take the memory of requests: all streams together
        // grow up to a quarter of it.
        let has_room = memory.used() <= memory.bytes_max() / 4;
        self.trim(if has_room { usize::MAX } else { bytes_before }, turn);
    }

    /// Lets go what is kept beyond the settings, and beyond so many bytes.
    fn trim(&mut self, bytes_max: usize, turn: &mut Turn<'_, Self>) {
        let topic = turn.id().key;
        for seq in self.retained.trim(self.config.retain as usize, bytes_max) {
            if self.config.persist {
                turn.batch().delete(key::stream_retained(&topic, seq));
            }
        }
    }
}

impl Request for AddSubscriber {
    type Reply = Result<Subscriber, StreamError>;
}

impl Handler<AddSubscriber> for StreamActor {
    async fn handle(
        &mut self,
        AddSubscriber { queue_max, after }: AddSubscriber,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Subscriber, StreamError> {
        self.settle_exits();
        let subscribers_max = self.limits.subscribers_max;
        if self.subscriber_set.len() >= subscribers_max {
            return Err(StreamError::TooManySubscribers { subscribers_max });
        }
        let mut subscriber_state =
            SubscriberState::new(queue_max, self.config.on_slow, self.limits.slow_after);
        match after {
            None => {
                self.retained.last(queue_max).for_each(|message| _ = subscriber_state.put(message));
            }
            Some(after) => self.resume(after, &mut subscriber_state),
        }
        let id = SubscriberId(self.metrics.subscribed() + 1);
        let shared_buffer =
            Arc::new(SharedBuffer::new(id, subscriber_state, Arc::clone(&self.metrics)));
        let key = self.subscriber_set.insert(Arc::clone(&shared_buffer));
        let clock = turn.meta.guard.kind.runtime.clock.clone();
        let exit = Exit { key, exit_signals: Arc::clone(&self.exit_signals) };
        let (numbering, metrics) = (Arc::clone(&self.numbering), Arc::clone(&self.metrics));
        Ok(Subscriber::new(shared_buffer, exit, numbering, metrics, clock))
    }
}

impl Request for RemoveClosed {
    type Reply = ();
}

impl Handler<RemoveClosed> for StreamActor {
    async fn handle(&mut self, _: RemoveClosed, _: &mut Turn<'_, Self>) {
        self.settle_exits();
    }
}

impl Request for Configure {
    type Reply = Result<StreamConfig, StreamError>;
}

impl Handler<Configure> for StreamActor {
    async fn handle(
        &mut self,
        Configure(config): Configure,
        turn: &mut Turn<'_, Self>,
    ) -> Result<StreamConfig, StreamError> {
        config.check()?;
        if config == self.config {
            return Ok(config);
        }
        let topic = turn.id().key;
        self.trim_to(&config, turn);
        for message in self.retained.iter() {
            let key = key::stream_retained(&topic, message.seq);
            match (self.config.persist, config.persist) {
                (false, true) => {
                    turn.batch().put(key, record_of(message, &self.numbering).encode());
                }
                (true, false) => turn.batch().delete(key),
                _ => {}
            }
        }
        let settings = lanekeeper_storage::record::StreamSettings::from(config);
        turn.batch().put(key::stream_settings(&topic), settings.encode());
        self.subscriber_set.iter().for_each(|shared_buffer| shared_buffer.on_slow(config.on_slow));
        self.config = config;
        Ok(config)
    }
}

impl StreamActor {
    /// Lets go what will be too much, while it is still known whether that is in the store.
    fn trim_to(&mut self, config: &StreamConfig, turn: &mut Turn<'_, Self>) {
        self.config.retain = config.retain;
        self.trim(usize::MAX, turn);
    }
}

impl Request for ReadConfig {
    type Reply = StreamConfig;
}

impl Handler<ReadConfig> for StreamActor {
    async fn handle(&mut self, _: ReadConfig, _: &mut Turn<'_, Self>) -> StreamConfig {
        self.config
    }
}

impl Request for ReadStats {
    type Reply = StreamStats;
}

impl Handler<ReadStats> for StreamActor {
    async fn handle(&mut self, _: ReadStats, _: &mut Turn<'_, Self>) -> StreamStats {
        self.settle_exits();
        let mut stats = StreamStats {
            published: self.published,
            counts: self.departed,
            retained_count: self.retained.len() as u64,
            seq_last: self.seq_last,
            ..StreamStats::default()
        };
        self.subscriber_set.iter().for_each(|shared_buffer| stats.add(shared_buffer.stats()));
        stats
    }
}
