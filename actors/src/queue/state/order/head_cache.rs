//! The most urgent messages of a queue, in memory.

use std::collections::BTreeMap;

use crate::queue::state::{message::stored_message::StoredMessage, order::position::Position};

/// How far a window is exact: it holds every ready message up to there and none behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Coverage {
    Nothing,
    To(Position),
    All,
}

/// The head of a queue: the first ready messages in pop order, bounded in count and bytes, so that
/// pops find theirs in memory and a queue of any depth costs the same memory.
#[derive(Debug)]
pub(crate) struct HeadCache {
    stored: BTreeMap<Position, StoredMessage>,
    bytes: usize,
    reach: Coverage,
    count_max: usize,
    bytes_max: usize,
}

impl HeadCache {
    /// A window that knows nothing yet. It keeps at least one message, whatever its size.
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Self {
        let stored = BTreeMap::new();
        Self { stored, bytes: 0, reach: Coverage::Nothing, count_max: count_max.max(1), bytes_max }
    }

    pub(crate) fn len(&self) -> usize {
        self.stored.len()
    }

    /// Bytes held, with what the entries themselves take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where reading on must begin: behind this place, or at the head if `None`.
    pub(crate) fn end(&self) -> Option<Position> {
        match self.reach {
            Coverage::To(position) => Some(position),
            Coverage::Nothing | Coverage::All => None,
        }
    }

    /// The first messages.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (Position, &StoredMessage)> {
        self.stored.iter().map(|(&position, stored)| (position, stored))
    }

    /// Sees a new message: keeps it if it stands within the reach.
    pub(crate) fn offer(&mut self, position: Position, message: StoredMessage) {
        if Coverage::To(position) <= self.reach {
            self.insert(position, message);
        }
    }

    /// Appends the messages read behind [`HeadCache::end`].
    pub(crate) fn extend(&mut self, messages: impl IntoIterator<Item = (Position, StoredMessage)>) {
        for (position, message) in messages {
            self.insert(position, message);
            self.reach = Coverage::To(position);
        }
    }

    /// As [`HeadCache::extend`], with messages that the store does not have yet. Nothing read means
    /// that it holds nothing behind.
    pub(crate) fn extend_with(
        &mut self,
        messages: Vec<(Position, StoredMessage)>,
        fresh: impl IntoIterator<Item = (Position, StoredMessage)>,
    ) {
        if messages.is_empty() {
            self.reach = Coverage::All;
        }
        self.extend(messages);
        for (position, message) in fresh {
            if !self.stored.contains_key(&position) {
                self.offer(position, message);
            }
        }
    }

    /// Takes the first message.
    pub(crate) fn take_first(&mut self) -> Option<(Position, StoredMessage)> {
        let (position, message) = self.stored.pop_first()?;
        self.bytes -= message.memory_bytes();
        Some((position, message))
    }

    /// Forgets a message that is gone from the queue.
    pub(crate) fn remove(&mut self, position: Position) {
        if let Some(message) = self.stored.remove(&position) {
            self.bytes -= message.memory_bytes();
        }
    }

    /// Ends a turn: the queue holds `ready_count` messages now, and what is beyond the bounds gives
    /// way, the least urgent first.
    pub(crate) fn settle(&mut self, ready_count: u64) {
        if self.stored.len() as u64 == ready_count {
            self.reach = Coverage::All;
        }
        while self.is_over() {
            if let Some((_, message)) = self.stored.pop_last() {
                self.bytes -= message.memory_bytes();
            }
            self.reach = match self.stored.last_key_value() {
                Some((&last, _)) => Coverage::To(last),
                None => Coverage::Nothing,
            };
        }
    }

    fn is_over(&self) -> bool {
        let count = self.stored.len();
        count > self.count_max || (count > 1 && self.bytes > self.bytes_max)
    }

    fn insert(&mut self, position: Position, message: StoredMessage) {
        self.bytes += message.memory_bytes();
        self.stored.insert(position, message);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lanekeeper_storage::key::{Arrival, Priority};

    use super::*;

    fn position(priority: u32, arrival: u64) -> Position {
        let priority = Priority::new(priority).expect("in bounds");
        Position { priority, arrival: Arrival(arrival) }
    }

    fn message(bytes: usize) -> StoredMessage {
        StoredMessage::new(0, Bytes::from(vec![b'x'; bytes]))
    }

    /// A window of two messages that knows of a queue with three.
    fn full() -> HeadCache {
        let mut head_cache = HeadCache::new(2, usize::MAX);
        head_cache.settle(0);
        for arrival in 0..3 {
            head_cache.offer(position(5, arrival), message(1));
        }
        head_cache.settle(3);
        head_cache
    }

    fn positions(head_cache: &HeadCache) -> Vec<(u32, u64)> {
        head_cache
            .messages()
            .map(|(position, _)| (position.priority.get(), position.arrival.0))
            .collect()
    }

    #[test]
    fn a_window_that_knows_nothing_keeps_nothing() {
        let mut head_cache = HeadCache::new(2, usize::MAX);
        head_cache.offer(position(0, 0), message(1));
        assert_eq!((head_cache.len(), head_cache.end()), (0, None));
    }

    #[test]
    fn a_window_at_its_count_lets_the_least_urgent_give_way() {
        let mut head_cache = full();
        assert_eq!(
            (positions(&head_cache), head_cache.end()),
            (vec![(5, 0), (5, 1)], Some(position(5, 1)))
        );
        head_cache.offer(position(4, 3), message(1));
        head_cache.settle(4);
        assert_eq!(
            (positions(&head_cache), head_cache.end()),
            (vec![(4, 3), (5, 0)], Some(position(5, 0)))
        );
    }

    #[test]
    fn a_message_behind_the_reach_is_not_kept() {
        let mut head_cache = full();
        head_cache.take_first();
        head_cache.offer(position(5, 3), message(1));
        head_cache.settle(3);
        assert_eq!(positions(&head_cache), [(5, 1)]);
    }

    #[test]
    fn a_window_that_holds_every_message_reaches_to_the_end() {
        let mut head_cache = full();
        head_cache.take_first();
        head_cache.take_first();
        head_cache.extend([(position(5, 2), message(1))]);
        head_cache.settle(1);
        head_cache.offer(position(9, 4), message(1));
        assert_eq!(positions(&head_cache), [(5, 2), (9, 4)]);
    }

    #[test]
    fn a_window_is_bounded_in_bytes_and_keeps_at_least_one_message() {
        let each = message(100).memory_bytes();
        for (bytes_max, kept) in [(0, 1), (2 * each - 1, 1), (2 * each, 2), (3 * each, 3)] {
            let mut head_cache = HeadCache::new(10, bytes_max);
            head_cache.settle(0);
            for arrival in 0..3 {
                head_cache.offer(position(1, arrival), message(100));
            }
            head_cache.settle(3);
            assert_eq!((head_cache.len(), head_cache.bytes()), (kept, kept * each), "{bytes_max}");
        }
    }
}
