//! The address of a stream.

use std::{fmt, sync::Arc};

use crate::{
    actor::{
        actor_ref::ActorRef,
        id::{InvalidId, check_id},
        virtual_actor::{Handler, Request},
    },
    node::lifecycle::Node,
    queue::api::item::IntoItem,
    stream::{
        actor::StreamActor,
        api::{
            config::{StreamConfig, StreamLimits},
            error::StreamError,
            metrics::Tally,
            priority_class::Class,
            requests::{Publish, Subscribe},
            stats::{StreamStats, StreamTotals},
            subscriber::Subscriber,
        },
        verb::handler::{Configure, ReadConfig, ReadStats, SettleExits},
    },
};

/// The address of a stream: no I/O to make, cheap to clone. The stream always exists.
///
/// What is published goes to everyone who is subscribed at that moment, and to nobody else unless
/// the stream [retains](StreamConfig::retain). A publish never waits for a reader. Common to all
/// verbs are the errors [`StreamError::InvalidId`] and [`StreamError::Ask`].
#[derive(Clone)]
pub struct Topic(Arc<Address>);

struct Address {
    id: Arc<str>,
    actor: Result<ActorRef<StreamActor>, InvalidId>,
    limits: StreamLimits,
}

impl Topic {
    /// The id it was asked for with, valid or not.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Subscribes: await what this returns.
    ///
    /// # Errors
    /// [`StreamError::InvalidQueueMax`], [`StreamError::TooManySubscribers`].
    pub fn subscribe(&self) -> Subscribe {
        Subscribe::new(self.clone())
    }

    /// Publishes one JSON object to all subscribers, or to [one](Publish::to): await what this
    /// returns. It answers what became of the message; if the stream keeps it in the store, once
    /// that is as durable as promised, while subscribers may see it before.
    ///
    /// # Errors
    /// [`StreamError::InvalidData`], [`StreamError::TooLarge`],
    /// [`StreamError::SubscriberNotFound`].
    pub fn publish(&self, class: Class, data: impl IntoItem) -> Publish {
        Publish::new(self.clone(), class, data.into_item())
    }

    /// Unsubscribes and waits until the stream knows. Dropping the subscriber is enough otherwise.
    ///
    /// # Errors
    /// The common ones; it is unsubscribed all the same.
    pub async fn unsubscribe(&self, subscriber: Subscriber) -> Result<(), StreamError> {
        drop(subscriber);
        self.ask(SettleExits).await
    }

    /// The settings in force.
    ///
    /// # Errors
    /// The common ones.
    pub async fn config(&self) -> Result<StreamConfig, StreamError> {
        self.ask(ReadConfig).await
    }

    /// Replaces the settings; answers what is in force now. It takes effect at once, also for those
    /// who are subscribed, and survives a restart.
    ///
    /// # Errors
    /// [`StreamError::InvalidConfig`].
    pub async fn configure(&self, config: StreamConfig) -> Result<StreamConfig, StreamError> {
        self.ask(Configure(config)).await?
    }

    /// The stream in numbers: zeros if it was never used.
    ///
    /// # Errors
    /// The common ones.
    pub async fn stats(&self) -> Result<StreamStats, StreamError> {
        self.ask(ReadStats).await
    }

    /// Puts the stream's activation away if nobody is subscribed and nothing is kept in memory
    /// alone, and returns once it is gone: true if there was one.
    pub async fn passivate(&self) -> bool {
        match &self.0.actor {
            Ok(actor) => actor.passivate().await,
            Err(_) => false,
        }
    }

    pub(crate) fn actor(&self) -> Result<&ActorRef<StreamActor>, StreamError> {
        self.0.actor.as_ref().map_err(|&error| error.into())
    }

    pub(crate) fn limits(&self) -> &StreamLimits {
        &self.0.limits
    }

    pub(crate) async fn ask<R: Request>(&self, request: R) -> Result<R::Reply, StreamError>
    where
        StreamActor: Handler<R>,
    {
        Ok(self.actor()?.ask(request).await?)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", self.id())
    }
}

impl Node {
    /// The address of a stream. A text that is no id is reported by each of the stream's verbs.
    pub fn stream(&self, topic: &str) -> Topic {
        let actor = check_id(topic).map(|()| self.runtime().actor(topic));
        Topic(Arc::new(Address { id: topic.into(), actor, limits: self.stream_limits() }))
    }

    /// All streams of this node together, in numbers.
    pub fn stream_totals(&self) -> StreamTotals {
        self.runtime().shared.get::<Tally>().totals()
    }
}
