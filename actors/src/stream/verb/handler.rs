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
        state::{numbering::EventId, shared_buffer::Inbox, subscriber_state::Outlet},
    },
};

/// Offer a message to all subscribers, or to one.
pub(crate) struct PublishOne {
    pub(crate) class: Class,
    pub(crate) data: Item,
    pub(crate) to: Option<SubscriberId>,
}

/// Take a subscriber in.
pub(crate) struct TakeIn {
    /// Messages that may wait for it.
    pub(crate) queue_max: usize,
    /// The last message that it has.
    pub(crate) after: Option<EventId>,
}

/// Forget those who have left.
pub(crate) struct SettleExits;

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
    fn resume(&self, after: EventId, outlet: &mut Outlet) {
        let is_known = self.numbering.is_known(after, self.seq_last);
        let after = if is_known { after.seq } else { 0 };
        let later = || self.retained.iter().filter(|message| message.seq > after);
        match (self.seq_last - after) - later().count() as u64 {
            _ if !is_known => outlet.missed(None),
            0 => {}
            missing => outlet.missed(Some(missing)),
        }
        later().for_each(|message| _ = outlet.put(message));
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

impl Request for TakeIn {
    type Reply = Result<Subscriber, StreamError>;
}

impl Handler<TakeIn> for StreamActor {
    async fn handle(
        &mut self,
        TakeIn { queue_max, after }: TakeIn,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Subscriber, StreamError> {
        self.settle_exits();
        let subscribers_max = self.limits.subscribers_max;
        if self.audience.len() >= subscribers_max {
            return Err(StreamError::TooManySubscribers { subscribers_max });
        }
        let mut outlet = Outlet::new(queue_max, self.config.on_slow, self.limits.slow_after);
        match after {
            None => self.retained.last(queue_max).for_each(|message| _ = outlet.put(message)),
            Some(after) => self.resume(after, &mut outlet),
        }
        let id = SubscriberId(self.tally.subscribed() + 1);
        let inbox = Arc::new(Inbox::new(id, outlet, Arc::clone(&self.tally)));
        let key = self.audience.insert(Arc::clone(&inbox));
        let clock = turn.meta.seat.kind.runtime.clock.clone();
        let exit = Exit { key, exits: Arc::clone(&self.exits) };
        let (numbering, tally) = (Arc::clone(&self.numbering), Arc::clone(&self.tally));
        Ok(Subscriber::new(inbox, exit, numbering, tally, clock))
    }
}

impl Request for SettleExits {
    type Reply = ();
}

impl Handler<SettleExits> for StreamActor {
    async fn handle(&mut self, _: SettleExits, _: &mut Turn<'_, Self>) {
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
        self.audience.iter().for_each(|inbox| inbox.on_slow(config.on_slow));
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
        self.audience.iter().for_each(|inbox| stats.add(inbox.stats()));
        stats
    }
}
