//! Verbs with options: what is set before they are awaited, and awaiting them.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use crate::{
    actor::caller::{Caller, CallerRef},
    queue::{
        api::{
            error::QueueError,
            handle::{Queue, checked_priority},
            item::{InvalidItem, Item},
            long_poll::{LongPoll, WaitResult},
            message::{Message, MessageId, NewMessage, Page, Pushed},
        },
        verb::{
            handler::{Delivered, PopSome, PushOne},
            peek::PeekPage,
        },
    },
    runtime::mailbox::BoxFuture,
};

/// A push that was not sent yet; await it to send it.
#[must_use = "nothing is pushed before it is awaited"]
#[derive(Debug)]
pub struct Push {
    queue: Queue,
    message: Result<NewMessage, InvalidItem>,
}

impl Push {
    pub(crate) fn new(queue: Queue, item: Result<Item, InvalidItem>) -> Self {
        Self { queue, message: item.map(NewMessage::of) }
    }

    pub(crate) fn of(queue: Queue, message: NewMessage) -> Self {
        Self { queue, message: Ok(message) }
    }

    /// Sets the priority: 0 (most urgent) to 2,147,483,647. The bound is checked when awaited.
    pub fn priority(self, priority: u32) -> Self {
        self.with(|message| message.priority(priority))
    }

    /// As [`NewMessage::delay`].
    pub fn delay(self, delay: Duration) -> Self {
        self.with(|message| message.delay(delay))
    }

    /// As [`NewMessage::ttl`].
    pub fn ttl(self, ttl: Duration) -> Self {
        self.with(|message| message.ttl(ttl))
    }

    /// As [`NewMessage::key`].
    pub fn key(self, key: impl Into<String>) -> Self {
        self.with(|message| message.key(key))
    }

    fn with(self, change: impl FnOnce(NewMessage) -> NewMessage) -> Self {
        let Self { queue, message } = self;
        Self { queue, message: message.map(change) }
    }

    /// As awaiting it, with the outcome for a duplicate.
    ///
    /// # Errors
    /// As [`Queue::push`].
    pub async fn report(self) -> Result<Pushed, QueueError> {
        let actor = self.queue.actor()?;
        let message = self.queue.request(self.message?)?;
        actor.ask(PushOne(message)).await?
    }
}

impl IntoFuture for Push {
    /// The id of the message, or of the one it repeats.
    type Output = Result<MessageId, QueueError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.report().await?.id) })
    }
}

/// A pop that was not sent yet; await it to send it.
///
/// Dropping its future while it waits takes nothing, unless messages are being handed to it at that
/// moment: those are lost, as with any pop.
#[must_use = "nothing is popped before it is awaited"]
#[derive(Debug)]
pub struct Pop {
    queue: Queue,
    depth: usize,
    wait: Duration,
    caller: CallerRef,
}

impl Pop {
    pub(crate) fn new(queue: Queue, depth: usize) -> Self {
        Self { queue, depth, wait: Duration::ZERO, caller: CallerRef::default() }
    }

    /// The time to wait for the first message if there is none, or if a rate or a lock holds it
    /// back. Waiting pops are served in the order of arrival. No wait by default.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Says for whom it waits: the turn that would hand messages to it asks whether they are gone,
    /// and then takes none.
    pub fn caller(mut self, caller: Arc<dyn Caller>) -> Self {
        self.caller = CallerRef::new(caller);
        self
    }
}

impl IntoFuture for Pop {
    type Output = Result<Vec<Message>, QueueError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { queue, depth, wait, caller } = self;
        Box::pin(async move {
            let actor = queue.actor()?;
            let depth = queue.checked_depth(depth)?;
            let mut long_poll = LongPoll::new(&queue, wait)?;
            loop {
                let (caller, may_wait) = (caller.clone(), long_poll.is_left());
                let waiting = match actor.ask(PopSome { depth, caller, may_wait }).await?? {
                    Delivered::Now(messages) => return Ok(messages),
                    Delivered::Later(waiting) => waiting,
                };
                match long_poll.wait(waiting).await? {
                    WaitResult::Given(taken) => return taken,
                    WaitResult::InVain => return Ok(Vec::new()),
                    WaitResult::LineGone => {}
                }
            }
        })
    }
}

/// A peek that was not sent yet; await it to send it.
#[must_use = "nothing is looked at before it is awaited"]
#[derive(Debug)]
pub struct Peek {
    queue: Queue,
    depth: usize,
    priority: Option<u32>,
    after: Option<MessageId>,
}

impl Peek {
    pub(crate) fn new(queue: Queue, depth: usize) -> Self {
        Self { queue, depth, priority: None, after: None }
    }

    /// Only messages of this priority.
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Only messages after the position of this one, which need not exist any more.
    pub fn after(mut self, id: MessageId) -> Self {
        self.after = Some(id);
        self
    }
}

impl IntoFuture for Peek {
    type Output = Result<Page, QueueError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { queue, depth, priority, after } = self;
        Box::pin(async move {
            let actor = queue.actor()?;
            let depth = queue.checked_depth(depth)?;
            let priority = priority.map(checked_priority).transpose()?;
            actor.ask(PeekPage { depth, priority, after }).await?
        })
    }
}
