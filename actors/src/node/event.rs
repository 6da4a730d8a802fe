//! What happens in a node, told to whoever subscribes: tests wait for these facts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lanekeeper_storage::{CommitSeq, Durability, Maintenance};
use tokio::sync::broadcast;

use crate::actor::id::ActorId;

/// An event of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An actor was brought into memory.
    Activated {
        /// Which one.
        id: ActorId,
        /// The number of this activation, different for each.
        generation: u32,
    },
    /// An activation left memory, or was dropped after a panic or a refused commit.
    Passivated {
        /// Whose.
        id: ActorId,
        /// Its number.
        generation: u32,
    },
    /// A turn ended and its writes were handed to the commit.
    Turn {
        /// Whose.
        id: ActorId,
    },
    /// A turn's writes were handed over.
    Commit {
        /// Whose.
        id: ActorId,
        /// Their place in the order of commits.
        seq: CommitSeq,
        /// The durability asked for.
        durability: Durability,
    },
    /// A handler panicked.
    Panicked {
        /// Whose.
        id: ActorId,
    },
    /// A timer fired.
    TimerFired {
        /// Whose.
        id: ActorId,
        /// Its name.
        name: String,
    },
    /// The turn of a reminder ended.
    ReminderFired {
        /// Whose.
        id: ActorId,
        /// Its name.
        name: String,
    },
    /// A worker came online.
    WorkerOnline {
        /// Which one.
        worker: Arc<str>,
    },
    /// A worker was marked offline, or deregistered.
    WorkerOffline {
        /// Which one.
        worker: Arc<str>,
    },
    /// An actor received outbox messages.
    LettersTaken {
        /// Which one.
        id: ActorId,
    },
    /// The engine did its upkeep.
    Maintenance(Maintenance),
    /// The node accepts no more requests.
    Draining,
    /// The node has stopped.
    Stopped {
        /// The duration of the drain.
        took: Duration,
    },
}

/// Events that a slow subscriber may fall behind by before it misses some.
const BACKLOG_MAX: usize = 1 << 14;

#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<Event>,
    has_subscribers: AtomicBool,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(BACKLOG_MAX),
            has_subscribers: AtomicBool::new(false),
        }
    }

    pub(crate) fn subscribe(&self) -> EventReceiver {
        let receiver = self.sender.subscribe();
        self.has_subscribers.store(true, Ordering::Release);
        EventReceiver(receiver)
    }

    /// Tells an event. Costs one load while nobody listens and tracing is off.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        let is_heard = self.has_subscribers.load(Ordering::Relaxed);
        if is_heard || tracing::enabled!(tracing::Level::TRACE) {
            let event = event();
            tracing::trace!(?event);
            if is_heard && self.sender.send(event).is_err() {
                self.has_subscribers.store(false, Ordering::Relaxed);
            }
        }
    }
}

/// The events of a node from the subscription on.
#[derive(Debug)]
pub struct EventReceiver(broadcast::Receiver<Event>);

/// The reason why there is no next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The subscriber was too slow, and this number of events was dropped. The next call continues
    /// after them.
    #[error("{0} events were missed")]
    Missed(u64),
    /// The node is gone.
    #[error("the node is gone")]
    Closed,
}

impl EventReceiver {
    /// The next event. Dropping the future loses no event.
    ///
    /// # Errors
    /// [`EventError`].
    pub async fn next(&mut self) -> Result<Event, EventError> {
        self.0.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(count) => EventError::Missed(count),
            broadcast::error::RecvError::Closed => EventError::Closed,
        })
    }

    /// Waits for the first event that `is_wanted`, and returns it.
    ///
    /// # Errors
    /// [`EventError`].
    pub async fn until(&mut self, is_wanted: impl Fn(&Event) -> bool) -> Result<Event, EventError> {
        loop {
            let event = self.next().await?;
            if is_wanted(&event) {
                return Ok(event);
            }
        }
    }
}
