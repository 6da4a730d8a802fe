//! Verbs with options: what is set before they are awaited, and awaiting them.

use std::future::IntoFuture;

use crate::{
    queue::api::item::{InvalidItem, Item},
    runtime::mailbox::BoxFuture,
    stream::{
        api::{
            error::StreamError, event::SubscriberId, handle::Topic, priority_class::Class,
            stats::Published, subscriber::Subscriber,
        },
        state::numbering::EventId,
        verb::handler::{AddSubscriber, PublishOne},
    },
};

/// A publish that was not sent yet: await it.
#[must_use = "nothing is published before it is awaited"]
#[derive(Debug)]
pub struct Publish {
    topic: Topic,
    class: Class,
    data: Result<Item, InvalidItem>,
    to: Option<SubscriberId>,
}

impl Publish {
    pub(crate) fn new(topic: Topic, class: Class, data: Result<Item, InvalidItem>) -> Self {
        Self { topic, class, data, to: None }
    }

    /// To this subscriber alone; it is not retained.
    pub fn to(mut self, subscriber: SubscriberId) -> Self {
        self.to = Some(subscriber);
        self
    }
}

impl IntoFuture for Publish {
    type Output = Result<Published, StreamError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { topic, class, data, to } = self;
        Box::pin(async move {
            let actor = topic.actor()?;
            let data = data?;
            let (bytes, bytes_max) = (data.size_bytes(), topic.limits().data_bytes_max);
            if bytes > bytes_max {
                return Err(StreamError::TooLarge { bytes, bytes_max });
            }
            actor.ask(PublishOne { class, data, to }).await?
        })
    }
}

/// A subscription that was not asked for yet: await it.
#[must_use = "nothing is subscribed before it is awaited"]
#[derive(Debug)]
pub struct Subscribe {
    topic: Topic,
    queue_max: usize,
    after: Option<EventId>,
}

impl Subscribe {
    pub(crate) fn new(topic: Topic) -> Self {
        let queue_max = topic.limits().queue_default;
        Self { topic, queue_max, after: None }
    }

    /// Goes on after this message: what is retained of those after it comes first, and before it
    /// how many are not there any more
    /// ([`Notice::Missed`](crate::stream::api::event::Notice::Missed)). If the stream counts anew
    /// since, everything that is retained comes, after a `Missed` of unknown size.
    pub fn after(mut self, last: EventId) -> Self {
        self.after = Some(last);
        self
    }

    /// Messages that may wait for it: 1 to 100,000, 1,000 by default.
    pub fn queue_max(mut self, count: usize) -> Self {
        self.queue_max = count;
        self
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<Subscriber, StreamError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { topic, queue_max, after } = self;
        Box::pin(async move {
            let actor = topic.actor()?;
            let most = topic.limits().queue_max;
            if !(1..=most).contains(&queue_max) {
                return Err(StreamError::InvalidQueueMax { count: queue_max, most });
            }
            actor.ask(AddSubscriber { queue_max, after }).await?
        })
    }
}
