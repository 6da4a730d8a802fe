//! Verbs with options: what is set before they are awaited, and awaiting them.

use std::{future::IntoFuture, pin::pin, time::Duration};

use lanekeeper_storage::key::Priority;

use super::{
    InvalidItem, Item, Message, MessageId, NewMessage, Page, Queue, QueueError,
    actor::{Taken, Waiting},
    handle::{BoxFuture, checked_priority},
    handler::{PopSome, Popped, PushOne},
    survey::PeekPage,
};
use crate::{AskError, NotExecuted, clock::Sleep};

/// A push that was not sent yet: await it.
#[must_use = "nothing is pushed before it is awaited"]
#[derive(Debug)]
pub struct Push {
    queue: Queue,
    item: Result<Item, InvalidItem>,
    priority: u32,
}

impl Push {
    pub(super) fn new(queue: Queue, item: Result<Item, InvalidItem>) -> Self {
        Self { queue, item, priority: Priority::default().get() }
    }

    /// Sets the priority: 0 (most urgent) to 2,147,483,647. The bound is checked when awaited.
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }
}

impl IntoFuture for Push {
    type Output = Result<MessageId, QueueError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { queue, item, priority } = self;
        Box::pin(async move {
            let actor = queue.actor()?;
            let message = queue.incoming(NewMessage { item: item?, priority })?;
            actor.ask(PushOne(message)).await?
        })
    }
}

/// A pop that was not sent yet: await it.
///
/// Dropping its future while it waits takes nothing, unless messages are being handed to it in that
/// very moment: as with any pop, what was taken for an asker that is gone is gone too.
#[must_use = "nothing is popped before it is awaited"]
#[derive(Debug)]
pub struct Pop {
    queue: Queue,
    depth: usize,
    wait: Duration,
}

impl Pop {
    pub(super) fn new(queue: Queue, depth: usize) -> Self {
        Self { queue, depth, wait: Duration::ZERO }
    }

    /// Waits so long for the first message if there is none, in line with the others who wait:
    /// first come, first served. Not at all by default.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

impl IntoFuture for Pop {
    type Output = Result<Vec<Message>, QueueError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { queue, depth, wait } = self;
        Box::pin(async move {
            let actor = queue.actor()?;
            let depth = queue.checked_depth(depth)?;
            let wait_max = queue.limits().wait_max;
            if wait > wait_max {
                return Err(QueueError::InvalidWait { wait, wait_max });
            }
            let clock = &queue.runtime().clock;
            let until = clock.elapsed() + wait;
            loop {
                let left = until.saturating_sub(clock.elapsed());
                let may_wait = left > Duration::ZERO;
                let waiting = match actor.ask(PopSome { depth, may_wait }).await?? {
                    Popped::Now(messages) => return Ok(messages),
                    Popped::Later(waiting) => waiting,
                };
                if let Some(taken) = wait_in_line(waiting, clock.sleep(left)).await? {
                    return taken;
                }
            }
        })
    }
}

/// Waits for messages or for the end of the sleep; `None` if the line is gone, with all who waited.
async fn wait_in_line(waiting: Waiting, sleep: Sleep) -> Result<Option<Taken>, QueueError> {
    let Waiting { place, taken } = waiting;
    let mut taken = pin!(taken.wait());
    let first = tokio::select! {
        biased;
        answer = &mut taken => Some(answer),
        () = sleep => None,
    };
    let answer = match first {
        Some(answer) => answer,
        None if place.leave() => return Ok(Some(Ok(Vec::new()))),
        // The queue was first: the answer is on its way.
        None => taken.await,
    };
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(AskError::NotExecuted(NotExecuted::ShuttingDown)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A look at a queue that was not sent yet: await it.
#[must_use = "nothing is looked at before it is awaited"]
#[derive(Debug)]
pub struct Peek {
    queue: Queue,
    depth: usize,
    priority: Option<u32>,
    after: Option<MessageId>,
}

impl Peek {
    pub(super) fn new(queue: Queue, depth: usize) -> Self {
        Self { queue, depth, priority: None, after: None }
    }

    /// Only messages of this priority.
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Only messages whose place is behind this one's, whether or not it is still there.
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
