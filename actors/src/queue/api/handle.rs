//! The address of a queue.

use std::{fmt, sync::Arc};

use lanekeeper_storage::{
    Durability,
    key::{MessageState as State, Priority},
};

use crate::{
    actor::{
        actor_ref::ActorRef,
        id::{InvalidId, check_id},
        virtual_actor::{Handler, Request},
    },
    node::lifecycle::Node,
    queue::{
        actor::QueueActor,
        api::{
            config::{Paused, QueueConfig, QueueLimits},
            error::QueueError,
            item::IntoItem,
            message::{Message, MessageId, MessageState, NewMessage, Pushed},
            requests::{Peek, Pop, Push},
            stats::QueueStats,
        },
        setting::change_config,
        verb::{
            change_message::{Promote, Reprioritise},
            handler::{Cancel, Configure, Pause, PurgeSlice, PushAll},
            peek::{Find, ReadConfig, ReadStats},
            push::Incoming,
        },
    },
    runtime::shared_state::Runtime,
};

/// The address of a queue: no I/O to make, cheap to clone, valid across passivation and restart.
/// The queue always exists; its first push or setting makes a place for it in the store, reading
/// from it or popping from it does not.
///
/// Messages leave in strict order: a lower priority number first, and first-in-first-out inside one
/// priority, always by arrival. Payloads are kept byte for byte.
///
/// Every verb answers once what it did is as durable as promised. Dropping a verb's future before
/// its first poll does nothing at all; dropping it later gives up the answer, not the request,
/// unless the verb says otherwise. Common to all verbs are the errors [`QueueError::InvalidId`],
/// [`QueueError::Load`] and [`QueueError::Ask`].
#[derive(Clone)]
pub struct Queue(Arc<Address>);

struct Address {
    id: Arc<str>,
    actor: Result<ActorRef<QueueActor>, InvalidId>,
    runtime: Arc<Runtime>,
    limits: QueueLimits,
}

impl Queue {
    /// The id it was asked for with, valid or not.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Accepts one message, of priority 1 unless [`Push::priority`] says otherwise: await what this
    /// returns. If pops wait, it goes to the first of them at once.
    ///
    /// # Errors
    /// [`QueueError::InvalidItem`], [`QueueError::InvalidPriority`], [`QueueError::InvalidDelay`],
    /// [`QueueError::InvalidMessageTtl`], [`QueueError::InvalidKey`], [`QueueError::TooLarge`],
    /// [`QueueError::Paused`], [`QueueError::Full`], [`QueueError::RateLimited`].
    pub fn push(&self, item: impl IntoItem) -> Push {
        Push::new(self.clone(), item.into_item())
    }

    /// As [`Queue::push`], of a message made before.
    pub fn push_message(&self, message: NewMessage) -> Push {
        Push::of(self.clone(), message)
    }

    /// Accepts all messages or none, in the order given; answers in that order what became of
    /// each. A message with a key that the queue remembers is a repetition of the one it was pushed
    /// with: it is answered with that one's id and state, and changes nothing.
    ///
    /// A queue that evicts lets as many of its own messages give way as it has no room for, and
    /// only if each of those is less urgent than every message given; else it is full.
    ///
    /// # Errors
    /// [`QueueError::InvalidItems`], and as [`Queue::push`].
    pub async fn push_all(&self, messages: Vec<NewMessage>) -> Result<Vec<Pushed>, QueueError> {
        let actor = self.actor()?;
        let (count, count_max) = (messages.len(), self.limits().items_max);
        if !(1..=count_max).contains(&count) {
            return Err(QueueError::InvalidItems { count, count_max });
        }
        let incoming = messages.into_iter().map(|message| self.incoming(message));
        actor.ask(PushAll(incoming.collect::<Result<_, _>>()?)).await?
    }

    /// Takes the first messages for good, `depth` at most: await what this returns. An empty queue
    /// gives none, unless [`Pop::wait`] says to wait.
    ///
    /// # Errors
    /// [`QueueError::InvalidDepth`], [`QueueError::InvalidWait`], [`QueueError::Paused`],
    /// [`QueueError::Locked`], [`QueueError::RateLimited`].
    pub fn pop(&self, depth: usize) -> Pop {
        Pop::new(self.clone(), depth)
    }

    /// Looks at the first messages in pop order, `depth` at most, and takes none: await what this
    /// returns. [`Peek::priority`] and [`Peek::after`] choose which.
    ///
    /// It is the order of priority and arrival, in which a page can follow another. Where messages
    /// [rise](crate::queue::api::config::QueueConfig::aging) while they wait, which of them is popped first depends on
    /// the moment: a peek does not show that.
    ///
    /// # Errors
    /// [`QueueError::InvalidDepth`], [`QueueError::InvalidPriority`].
    pub fn peek(&self, depth: usize) -> Peek {
        Peek::new(self.clone(), depth)
    }

    /// Looks a message up.
    ///
    /// # Errors
    /// [`QueueError::MessageNotFound`] once it is gone, by whatever way.
    pub async fn message(&self, id: MessageId) -> Result<(Message, MessageState), QueueError> {
        self.ask(Find(id)).await?
    }

    /// Takes a message out, whatever its place. Its key, if it had one, can be used again; so can
    /// those of purged messages.
    ///
    /// # Errors
    /// [`QueueError::MessageNotFound`] once it is gone, by whatever way; [`QueueError::Leased`]
    /// while it is leased.
    pub async fn cancel(&self, id: MessageId) -> Result<(), QueueError> {
        self.ask(Cancel(id)).await?
    }

    /// Makes a scheduled message ready now, at its own place, by priority and arrival; answers
    /// whether it was scheduled. One that is ready stays as it is.
    ///
    /// # Errors
    /// [`QueueError::MessageNotFound`] once it is gone, by whatever way; [`QueueError::Leased`]
    /// while it is leased.
    pub async fn promote(&self, id: MessageId) -> Result<bool, QueueError> {
        self.ask(Promote(id)).await?
    }

    /// Gives a ready or scheduled message another priority: 0 (most urgent) to 2,147,483,647.
    /// It keeps its id and its arrival, so that it stands among the messages of its new priority
    /// as if it had been pushed with that. Answers the message and its state.
    ///
    /// # Errors
    /// [`QueueError::InvalidPriority`]; [`QueueError::MessageNotFound`] once it is gone, by
    /// whatever way; [`QueueError::Leased`] while it is leased.
    pub async fn reprioritise(
        &self,
        id: MessageId,
        priority: u32,
    ) -> Result<(Message, MessageState), QueueError> {
        let priority = checked_priority(priority)?;
        self.ask(Reprioritise { id, priority }).await?
    }

    /// Takes out every ready or scheduled message (of one priority) that is there when it begins;
    /// answers how many. What is pushed meanwhile stays, and so does what is leased: who holds the
    /// lease settles it.
    ///
    /// It goes on in slices of at most 1,000 messages, each durable by itself, so that other
    /// requests are served in between. A message that somebody pops meanwhile is theirs and not
    /// counted. Dropping the future, or an error, ends it after the slice under way.
    ///
    /// # Errors
    /// [`QueueError::InvalidPriority`].
    pub async fn purge(&self, priority: Option<u32>) -> Result<u64, QueueError> {
        let priority = priority.map(checked_priority).transpose()?;
        let (mut state, mut cursor) = (State::Ready, None);
        let mut purged = 0;
        loop {
            let (count, next) = self.ask(PurgeSlice { state, priority, cursor }).await??;
            purged += count;
            match (next, state) {
                (Some(_), _) => cursor = next,
                (None, State::Ready) => (state, cursor) = (State::Scheduled, None),
                (None, _) => return Ok(purged),
            }
        }
    }

    /// Pauses the verbs that are `true` and leaves the others as they are; answers what is paused
    /// now. Pops that wait are told [`QueueError::Paused`]. It lasts until it is resumed, restarts
    /// included.
    ///
    /// # Errors
    /// The common ones.
    pub async fn pause(&self, verbs: Paused) -> Result<Paused, QueueError> {
        self.ask(Pause { verbs, is_resume: false, node: self.node_durability() }).await
    }

    /// Resumes the verbs that are `true` and leaves the others as they are; answers what is paused
    /// now.
    ///
    /// # Errors
    /// The common ones.
    pub async fn resume(&self, verbs: Paused) -> Result<Paused, QueueError> {
        self.ask(Pause { verbs, is_resume: true, node: self.node_durability() }).await
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// The common ones.
    pub async fn config(&self) -> Result<QueueConfig, QueueError> {
        self.ask(ReadConfig).await
    }

    /// Replaces the configuration; answers what is in force now. It takes effect at once and
    /// survives a restart. A capacity below what the queue holds drops nothing: it refuses until
    /// there is room.
    ///
    /// # Errors
    /// [`QueueError::InvalidConfig`]; [`QueueError::NoDeadLetterId`] if messages could die and the
    /// id is too long for a dead-letter queue; [`QueueError::NotEmpty`] if the durability would
    /// enter or leave [`Durability::Memory`] while there are messages.
    pub async fn configure(&self, config: QueueConfig) -> Result<QueueConfig, QueueError> {
        if config.has_dead_letters() {
            self.dead_letter_id()?;
        }
        self.ask(Configure { config, node: self.node_durability() }).await?
    }

    /// The queue in numbers: zeros if it was never used.
    ///
    /// # Errors
    /// The common ones.
    pub async fn stats(&self) -> Result<QueueStats, QueueError> {
        let flush_interval = self.runtime().store.engine().status().flush_interval;
        self.ask(ReadStats { node: self.node_durability(), flush_interval }).await?
    }

    /// Puts the queue's activation away if it is idle and nobody waits for a message, and returns
    /// once it is gone: true if there was one. The queue goes on existing. Dropping the future
    /// does not stop it.
    pub async fn passivate(&self) -> bool {
        match &self.0.actor {
            Ok(actor) => actor.passivate().await,
            Err(_) => false,
        }
    }

    pub(crate) fn actor(&self) -> Result<&ActorRef<QueueActor>, QueueError> {
        self.0.actor.as_ref().map_err(|&error| error.into())
    }

    /// Another queue of the same node.
    pub(crate) fn sibling(&self, id: &str) -> Self {
        Self::at(id, Arc::clone(self.runtime()), *self.limits())
    }

    pub(crate) fn at(id: &str, runtime: Arc<Runtime>, limits: QueueLimits) -> Self {
        let actor = check_id(id).map(|()| runtime.actor(id));
        Self(Arc::new(Address { id: id.into(), actor, runtime, limits }))
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.0.runtime
    }

    pub(crate) fn limits(&self) -> &QueueLimits {
        &self.0.limits
    }

    /// A message on its way in, if it is within the bounds.
    pub(crate) fn incoming(&self, message: NewMessage) -> Result<Incoming, QueueError> {
        message.check()?;
        let NewMessage { item, priority, delay, ttl, key: dedup_key } = message;
        let priority = checked_priority(priority)?;
        let (bytes, bytes_max) = (item.size_bytes(), self.limits().item_bytes_max);
        if bytes > bytes_max {
            return Err(QueueError::TooLarge { bytes, bytes_max });
        }
        Ok(Incoming {
            delay_ms: delay.as_millis() as u64,
            ttl_ms: ttl.map(|ttl| ttl.as_millis() as u64),
            dedup_key,
            ..Incoming::new(priority, item.as_bytes().clone())
        })
    }

    /// A number of messages to take or to look at, if it is within the bounds.
    pub(crate) fn checked_depth(&self, depth: usize) -> Result<usize, QueueError> {
        let depth_max = self.limits().depth_max;
        let is_within = (1..=depth_max).contains(&depth);
        if is_within { Ok(depth) } else { Err(QueueError::InvalidDepth { depth, depth_max }) }
    }

    /// The id of the queue that this one's dead letters go to.
    ///
    /// # Errors
    /// [`QueueError::NoDeadLetterId`].
    pub fn dead_letter_id(&self) -> Result<String, QueueError> {
        change_config::dead_letter_id(self.id())
    }

    pub(crate) async fn ask<R: Request>(&self, request: R) -> Result<R::Reply, QueueError>
    where
        QueueActor: Handler<R>,
    {
        Ok(self.actor()?.ask(request).await?)
    }

    fn node_durability(&self) -> Durability {
        self.runtime().options.durability
    }
}

pub(crate) fn checked_priority(number: u32) -> Result<Priority, QueueError> {
    Priority::new(number).ok_or(QueueError::InvalidPriority { number })
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({:?})", self.id())
    }
}

impl Node {
    /// The address of a queue. A text that is no id is reported by each of the queue's verbs.
    pub fn queue(&self, id: &str) -> Queue {
        Queue::at(id, Arc::clone(self.runtime()), self.queue_limits())
    }
}
