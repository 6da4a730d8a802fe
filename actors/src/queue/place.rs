//! Where a message stands in its queue.

use lanekeeper_storage::{
    Key,
    key::{self, Arrival, MessageState, Priority, QueueNo},
};

use super::MessageId;

/// The place of a message in pop order: by priority, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) priority: Priority,
    pub(super) arrival: Arrival,
}

impl Place {
    /// Behind every message of one priority.
    pub(super) fn end_of(priority: Priority) -> Self {
        Self { priority, arrival: Arrival(u64::MAX) }
    }

    /// The place of a ready message's key, or `None` if it is no such key.
    pub(super) fn of(key: &Key) -> Option<Self> {
        key::place_of(key).map(|(priority, arrival)| Self { priority, arrival })
    }

    /// The key of the ready message at this place.
    pub(super) fn key(self, queue: QueueNo) -> Key {
        key::message(queue, MessageState::Ready, self.priority, self.arrival)
    }
}

impl From<MessageId> for Place {
    fn from(MessageId { arrival, priority }: MessageId) -> Self {
        Self { priority, arrival }
    }
}

impl From<Place> for MessageId {
    fn from(Place { priority, arrival }: Place) -> Self {
        Self { arrival, priority }
    }
}
