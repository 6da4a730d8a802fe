//! What a subscriber gets.

use std::{fmt, sync::Arc};

use super::Class;
use crate::queue::Item;

/// A message of a stream; its subscribers share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How urgent it is.
    pub class: Class,
    /// Its number among the messages of its stream. A subscriber sees them out of order where
    /// classes overtake each other, and misses those that went to another subscriber alone.
    pub seq: u64,
    /// Its payload: one JSON object, byte for byte.
    pub data: Item,
}

/// What a subscriber gets, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A message.
    Message(Arc<Message>),
    /// Here messages of a class are missing: they gave way or were refused.
    Gap(Gap),
    /// The stream has something to say of the subscriber itself.
    Notice(Notice),
}

/// Messages that are missing between what came before of their class and what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Their class.
    pub class: Class,
    /// How many there were.
    pub count: u64,
}

/// What a subscriber is told of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It is taken for slow.
    SlowConsumer {
        /// Slow sends in a row.
        slow_events: u64,
    },
    /// It keeps up again.
    Recovered,
}

/// Why there is nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The subscriber asked for it.
    Finished,
    /// The node is shutting down.
    ShuttingDown,
    /// It was slow, and the stream disconnects those.
    SlowConsumer,
    /// A send to it took longer than any may.
    SendTimeout,
    /// More control messages waited for it than may.
    ControlOverflow,
    /// The stream's activation was lost: a write of it was refused, or its handler panicked.
    Lost,
}

impl End {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Finished,
        Self::ShuttingDown,
        Self::SlowConsumer,
        Self::SendTimeout,
        Self::ControlOverflow,
        Self::Lost,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::ShuttingDown => "shutting_down",
            Self::SlowConsumer => "slow_consumer",
            Self::SendTimeout => "send_timeout",
            Self::ControlOverflow => "control_overflow",
            Self::Lost => "lost",
        }
    }

    /// Whether what waits is still delivered.
    pub(super) fn is_graceful(self) -> bool {
        matches!(self, Self::Finished | Self::ShuttingDown)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number of a subscriber, unique in its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriberId(pub u64);

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
