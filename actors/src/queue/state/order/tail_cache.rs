//! The least urgent messages of a queue, as far as evictions need them.

use std::collections::BTreeMap;

use crate::queue::state::{message::stored_message::Victim, order::position::Position};

/// How far a tail is exact: it knows every ready message from there to the end of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TailCoverage {
    All,
    From(Position),
    Nothing,
}

/// The end of a queue that evicts: where its last messages stand and what it takes to take them
/// out, so that an eviction need not look at the disk. Bounded in count.
#[derive(Debug)]
pub(crate) struct TailCache {
    known: BTreeMap<Position, Victim>,
    reach: TailCoverage,
    count_max: usize,
}

impl TailCache {
    /// A tail that knows nothing yet.
    pub(crate) fn new(count_max: usize) -> Self {
        Self { known: BTreeMap::new(), reach: TailCoverage::Nothing, count_max }
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Where reading on must begin: before this place, or at the end if `None`.
    pub(crate) fn start(&self) -> Option<Position> {
        match self.reach {
            TailCoverage::From(position) => Some(position),
            TailCoverage::All | TailCoverage::Nothing => None,
        }
    }

    /// The last messages, the very last first.
    pub(crate) fn back(&self) -> impl Iterator<Item = (Position, Victim)> {
        self.known.iter().rev().map(|(&position, victim)| (position, victim.clone()))
    }

    /// Sees a new message.
    pub(crate) fn offer(&mut self, position: Position, victim: Victim) {
        if TailCoverage::From(position) >= self.reach {
            self.known.insert(position, victim);
        }
    }

    /// Adds the messages read before [`TailCache::start`], the last first.
    pub(crate) fn extend(&mut self, messages: impl IntoIterator<Item = (Position, Victim)>) {
        for (position, victim) in messages {
            self.known.insert(position, victim);
            self.reach = TailCoverage::From(position);
        }
    }

    /// Forgets a message that is gone from the queue.
    pub(crate) fn remove(&mut self, position: Position) {
        self.known.remove(&position);
    }

    /// Ends a turn: the queue holds `ready_count` messages now, and what is beyond the bound gives
    /// way, the most urgent first.
    pub(crate) fn settle(&mut self, ready_count: u64) {
        if self.known.len() as u64 == ready_count {
            self.reach = TailCoverage::All;
        }
        while self.known.len() > self.count_max {
            self.known.pop_first();
            self.reach = match self.known.first_key_value() {
                Some((&first, _)) => TailCoverage::From(first),
                None => TailCoverage::Nothing,
            };
        }
    }

    /// Forgets everything: the queue evicts no more.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.count_max);
    }
}

#[cfg(test)]
mod tests {
    use lanekeeper_storage::key::{Arrival, Priority};

    use super::*;

    use crate::queue::state::message::stored_message::MessageMeta;

    fn position(arrival: u64) -> Position {
        Position { priority: Priority::default(), arrival: Arrival(arrival) }
    }

    const VICTIM: Victim =
        Victim { message_meta: MessageMeta { payload_bytes: 1, due_ms: None }, note: None };

    fn arrivals(tail_cache: &TailCache) -> Vec<u64> {
        tail_cache.back().map(|(position, _)| position.arrival.0).collect()
    }

    #[test]
    fn a_tail_at_its_bound_lets_the_most_urgent_give_way() {
        let mut tail_cache = TailCache::new(2);
        tail_cache.settle(0);
        (0..4).for_each(|arrival| tail_cache.offer(position(arrival), VICTIM));
        tail_cache.settle(4);
        assert_eq!((arrivals(&tail_cache), tail_cache.start()), (vec![3, 2], Some(position(2))));
    }

    #[test]
    fn a_tail_learns_of_messages_within_its_reach_alone() {
        let mut tail_cache = TailCache::new(2);
        tail_cache.offer(position(9), VICTIM);
        assert_eq!(arrivals(&tail_cache), [0_u64; 0]);
        tail_cache.extend([(position(7), VICTIM), (position(5), VICTIM)]);
        tail_cache.offer(position(4), VICTIM);
        tail_cache.offer(position(6), VICTIM);
        assert_eq!(arrivals(&tail_cache), [7, 6, 5]);
    }
}
