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
            push::PushRequest,
        },
    },
    runtime::shared_state::Runtime,
};

/// The address of a queue. Cheap to make and to clone, without I/O, and valid across passivation
/// and restart. The queue always exists; its first push or setting writes it to the store, a read
/// or a pop does not.
///
/// Messages leave in strict order: a lower priority number first, and by arrival inside one
/// priority. Payloads are kept byte for byte.
///
/// Every verb returns once its changes are as durable as promised. Dropping a verb's future before
/// its first poll has no effect; dropping it later gives up the answer, not the request, unless
/// documented otherwise. All verbs can fail with [`QueueError::InvalidId`], [`QueueError::Load`]
/// and [`QueueError::Ask`].
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

    /// Pushes one message, with priority 1 unless set by [`Push::priority`]; await the result. If
    /// pops are waiting, the first of them gets it at once.
    ///
    /// # Errors
    /// [`QueueError::InvalidItem`], [`QueueError::InvalidPriority`], [`QueueError::InvalidDelay`],
    /// [`QueueError::InvalidMessageTtl`], [`QueueError::InvalidKey`], [`QueueError::TooLarge`],
    /// [`QueueError::Paused`], [`QueueError::Full`], [`QueueError::RateLimited`].
    pub fn push(&self, item: impl IntoItem) -> Push {
        Push::new(self.clone(), item.into_item())
    }

    /// As [`Queue::push`], with a prepared message.
    pub fn push_message(&self, message: NewMessage) -> Push {
        Push::of(self.clone(), message)
    }

    /// Pushes all messages or none, in the order given, and returns the outcome of each in that
    /// order. A message with a deduplication key that the queue remembers is a duplicate: its
    /// outcome is the id and the state of the original, and it changes nothing.
    ///
    /// A full queue that evicts removes as many of its messages as needed, but only if each of them
    /// is less urgent than every message given; otherwise it is full.
    ///
    /// # Errors
    /// [`QueueError::InvalidItems`], and as [`Queue::push`].
    pub async fn push_all(&self, messages: Vec<NewMessage>) -> Result<Vec<Pushed>, QueueError> {
        let actor = self.actor()?;
        let (count, count_max) = (messages.len(), self.limits().items_max);
        if !(1..=count_max).contains(&count) {
            return Err(QueueError::InvalidItems { count, count_max });
        }
        let request = messages.into_iter().map(|message| self.request(message));
        actor.ask(PushAll(request.collect::<Result<_, _>>()?)).await?
    }

    /// Takes up to `depth` of the first messages for good; await the result. An empty queue returns
    /// none, unless [`Pop::wait`] is set.
    ///
    /// # Errors
    /// [`QueueError::InvalidDepth`], [`QueueError::InvalidWait`], [`QueueError::Paused`],
    /// [`QueueError::Locked`], [`QueueError::RateLimited`].
    pub fn pop(&self, depth: usize) -> Pop {
        Pop::new(self.clone(), depth)
    }

    /// Shows up to `depth` of the first messages without taking them; await the result.
    /// [`Peek::priority`] and [`Peek::after`] select them.
    ///
    /// It is the order of priority and arrival, in which a page can follow another. Where messages
    /// [rise](crate::queue::api::config::QueueConfig::aging) while they wait, which of them is
    /// popped first depends on the moment: a peek does not show that.
    ///
    /// # Errors
    /// [`QueueError::InvalidDepth`], [`QueueError::InvalidPriority`].
    pub fn peek(&self, depth: usize) -> Peek {
        Peek::new(self.clone(), depth)
    }

    /// Shows one message.
    ///
    /// # Errors
    /// [`QueueError::MessageNotFound`] once it has left the queue.
    pub async fn message(&self, id: MessageId) -> Result<(Message, MessageState), QueueError> {
        self.ask(Find(id)).await?
    }

    /// Removes a message at any position. Its deduplication key can be used again, as can those of
    /// purged messages.
    ///
    /// # Errors
    /// [`QueueError::MessageNotFound`] once it has left the queue; [`QueueError::Leased`]
    /// while it is leased.
    pub async fn cancel(&self, id: MessageId) -> Result<(), QueueError> {
        self.ask(Cancel(id)).await?
    }

    /// Makes a scheduled message ready now, at its own position by priority and arrival. Returns
    /// false for a message that was ready already.
    ///
    /// # Errors
    /// [`QueueError::MessageNotFound`] once it has left the queue; [`QueueError::Leased`]
    /// while it is leased.
    pub async fn promote(&self, id: MessageId) -> Result<bool, QueueError> {
        self.ask(Promote(id)).await?
    }

    /// Gives a ready or scheduled message another priority: 0 (most urgent) to 2,147,483,647. It
    /// keeps its id and its arrival, and is ordered among the messages of its new priority as if it
    /// had been pushed with it. Returns the message and its state.
    ///
    /// # Errors
    /// [`QueueError::InvalidPriority`]; [`QueueError::MessageNotFound`] once it has left the
    /// queue; [`QueueError::Leased`] while it is leased.
    pub async fn reprioritise(
        &self,
        id: MessageId,
        priority: u32,
    ) -> Result<(Message, MessageState), QueueError> {
        let priority = checked_priority(priority)?;
        self.ask(Reprioritise { id, priority }).await?
    }

    /// Removes every ready or scheduled message (of one priority) present at its beginning, and
    /// returns their number. Leased messages, and messages pushed meanwhile, stay.
    ///
    /// It works in slices of at most 1,000 messages, each durable by itself, so that other requests
    /// are served in between. A message popped meanwhile is not counted. Dropping the future, or an
    /// error, ends it after the current slice.
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

    /// Pauses the verbs that are `true`, keeps the others as they are, and returns the verbs paused
    /// now. Waiting pops get [`QueueError::Paused`]. A pause lasts until it is resumed, also over
    /// restarts.
    ///
    /// # Errors
    /// The common ones.
    pub async fn pause(&self, verbs: Paused) -> Result<Paused, QueueError> {
        self.ask(Pause { verbs, is_resume: false, node: self.node_durability() }).await
    }

    /// Resumes the verbs that are `true`, keeps the others as they are, and returns the verbs
    /// paused now.
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

    /// Replaces the configuration and returns the one in force. It takes effect at once and
    /// survives a restart. A capacity below the present number of messages removes nothing: pushes
    /// are refused until there is room.
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

    /// The counts and totals of the queue: zeros if it was never used.
    ///
    /// # Errors
    /// The common ones.
    pub async fn stats(&self) -> Result<QueueStats, QueueError> {
        let flush_interval = self.runtime().store.engine().status().flush_interval;
        self.ask(ReadStats { node: self.node_durability(), flush_interval }).await?
    }

    /// Passivates the queue if it is in memory, idle and without waiting calls, and returns true
    /// once it has left memory; false if it was not in memory. The queue still exists. Dropping the
    /// future does not stop this.
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
    pub(crate) fn request(&self, message: NewMessage) -> Result<PushRequest, QueueError> {
        message.check()?;
        let NewMessage { item, priority, delay, ttl, key: dedup_key } = message;
        let priority = checked_priority(priority)?;
        let (bytes, bytes_max) = (item.size_bytes(), self.limits().item_bytes_max);
        if bytes > bytes_max {
            return Err(QueueError::TooLarge { bytes, bytes_max });
        }
        Ok(PushRequest {
            delay_ms: delay.as_millis() as u64,
            ttl_ms: ttl.map(|ttl| ttl.as_millis() as u64),
            dedup_key,
            ..PushRequest::new(priority, item.as_bytes().clone())
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
    /// The address of a queue. An invalid id is reported by each of its verbs.
    pub fn queue(&self, id: &str) -> Queue {
        Queue::at(id, Arc::clone(self.runtime()), self.queue_limits())
    }
}
