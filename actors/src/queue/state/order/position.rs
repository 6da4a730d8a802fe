//! Where a message stands in its queue.

use lanekeeper_storage::{
    Key,
    key::{self, Arrival, MessageState, Priority, QueueNo},
};

use crate::queue::api::message::MessageId;

/// The place of a message in pop order: by priority, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) priority: Priority,
    pub(crate) arrival: Arrival,
}

impl Position {
    /// Behind every message of one priority.
    pub(crate) fn end_of(priority: Priority) -> Self {
        Self { priority, arrival: Arrival(u64::MAX) }
    }

    /// The place of a message's key, or `None` for any other key.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        key::place_of(key).map(|(priority, arrival)| Self { priority, arrival })
    }

    /// The key of the message at this place, in this state.
    pub(crate) fn key(self, queue: QueueNo, state: MessageState) -> Key {
        key::message(queue, state, self.priority, self.arrival)
    }

    /// The key of what is due for the message at this place.
    pub(crate) fn due_key(self, queue: QueueNo, due_ms: u64) -> Key {
        key::due(queue, due_ms, self.arrival)
    }

    /// The key of the message at this place in the index of the worker that has it.
    pub(crate) fn worker_key(self, queue: QueueNo, worker: &str) -> Key {
        key::worker_lease(worker, queue, self.priority, self.arrival)
    }
}

/// How far somebody is who goes through a queue a slice a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SliceCursor {
    /// What arrived from here on stays: it came after that began.
    pub(crate) end: Arrival,
    /// The last place looked at.
    pub(crate) after: Position,
}

impl From<MessageId> for Position {
    fn from(MessageId { arrival, priority }: MessageId) -> Self {
        Self { priority, arrival }
    }
}

impl From<Position> for MessageId {
    fn from(Position { priority, arrival }: Position) -> Self {
        Self { arrival, priority }
    }
}
