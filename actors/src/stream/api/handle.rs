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
            metrics::StreamMetrics,
            priority_class::Class,
            requests::{Publish, Subscribe},
            stats::{StreamStats, StreamTotals},
            subscriber::Subscriber,
        },
        verb::handler::{Configure, ReadConfig, ReadStats, RemoveClosed},
    },
};

/// The address of a stream. Cheap to make and to clone, without I/O. The stream always exists.
///
/// A message goes to all present subscribers, and to later ones only if the stream
/// [retains](StreamConfig::retain) it. A publish never waits for a reader. All verbs can fail with
/// [`StreamError::InvalidId`] and [`StreamError::Ask`].
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

    /// Subscribes; await the result.
    ///
    /// # Errors
    /// [`StreamError::InvalidQueueMax`], [`StreamError::TooManySubscribers`].
    pub fn subscribe(&self) -> Subscribe {
        Subscribe::new(self.clone())
    }

    /// Publishes one JSON object to all subscribers, or to [one](Publish::to); await the result,
    /// which has the numbers of subscribers reached. If the stream persists messages, it returns
    /// once the message is as durable as promised; subscribers may see it earlier.
    ///
    /// # Errors
    /// [`StreamError::InvalidData`], [`StreamError::TooLarge`],
    /// [`StreamError::SubscriberNotFound`].
    pub fn publish(&self, class: Class, data: impl IntoItem) -> Publish {
        Publish::new(self.clone(), class, data.into_item())
    }

    /// Unsubscribes and waits until the stream has removed the subscriber. Dropping it is enough
    /// otherwise.
    ///
    /// # Errors
    /// The common ones; it is unsubscribed in any case.
    pub async fn unsubscribe(&self, subscriber: Subscriber) -> Result<(), StreamError> {
        drop(subscriber);
        self.ask(RemoveClosed).await
    }

    /// The settings in force.
    ///
    /// # Errors
    /// The common ones.
    pub async fn config(&self) -> Result<StreamConfig, StreamError> {
        self.ask(ReadConfig).await
    }

    /// Replaces the settings and returns those in force. They take effect at once, also for present
    /// subscribers, and survive a restart.
    ///
    /// # Errors
    /// [`StreamError::InvalidConfig`].
    pub async fn configure(&self, config: StreamConfig) -> Result<StreamConfig, StreamError> {
        self.ask(Configure(config)).await?
    }

    /// The counts and totals of the stream: zeros if it was never used.
    ///
    /// # Errors
    /// The common ones.
    pub async fn stats(&self) -> Result<StreamStats, StreamError> {
        self.ask(ReadStats).await
    }

    /// Passivates the stream if it has no subscribers and no messages in memory only, and returns
    /// true once it has left memory; false if it was not in memory.
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
    /// The address of a stream. An invalid id is reported by each of its verbs.
    pub fn stream(&self, topic: &str) -> Topic {
        let actor = check_id(topic).map(|()| self.runtime().actor(topic));
        Topic(Arc::new(Address { id: topic.into(), actor, limits: self.stream_limits() }))
    }

    /// The totals of all streams of this node together.
    pub fn stream_totals(&self) -> StreamTotals {
        self.runtime().shared.get::<StreamMetrics>().totals()
    }
}
