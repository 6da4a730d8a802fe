//! The least urgent messages of a queue, as far as evictions need them.

use std::collections::BTreeMap;

use crate::queue::state::{message::stored_message::Victim, order::position::Place};

/// How far a tail is exact: it knows every ready message from there to the end of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    All,
    From(Place),
    Nothing,
}

/// The end of a queue that evicts: where its last messages stand and what it takes to take them
/// out, so that an eviction need not look at the disk. Bounded in count.
#[derive(Debug)]
pub(crate) struct Tail {
    known: BTreeMap<Place, Victim>,
    reach: Reach,
    count_max: usize,
}

impl Tail {
    /// A tail that knows nothing yet.
    pub(crate) fn new(count_max: usize) -> Self {
        Self { known: BTreeMap::new(), reach: Reach::Nothing, count_max }
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Where reading on must begin: before this place, or at the end if `None`.
    pub(crate) fn start(&self) -> Option<Place> {
        match self.reach {
            Reach::From(place) => Some(place),
            Reach::All | Reach::Nothing => None,
        }
    }

    /// The last messages, the very last first.
    pub(crate) fn back(&self) -> impl Iterator<Item = (Place, Victim)> {
        self.known.iter().rev().map(|(&place, victim)| (place, victim.clone()))
    }

    /// Sees a new message.
    pub(crate) fn offer(&mut self, place: Place, victim: Victim) {
        if Reach::From(place) >= self.reach {
            self.known.insert(place, victim);
        }
    }

    /// Adds the messages read before [`Tail::start`], the last first.
    pub(crate) fn extend(&mut self, messages: impl IntoIterator<Item = (Place, Victim)>) {
        for (place, victim) in messages {
            self.known.insert(place, victim);
            self.reach = Reach::From(place);
        }
    }

    /// Forgets a message that is gone from the queue.
    pub(crate) fn remove(&mut self, place: Place) {
        self.known.remove(&place);
    }

    /// Ends a turn: the queue holds `ready_count` messages now, and what is beyond the bound gives
    /// way, the most urgent first.
    pub(crate) fn settle(&mut self, ready_count: u64) {
        if self.known.len() as u64 == ready_count {
            self.reach = Reach::All;
        }
        while self.known.len() > self.count_max {
            self.known.pop_first();
            self.reach = match self.known.first_key_value() {
                Some((&first, _)) => Reach::From(first),
                None => Reach::Nothing,
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

    use crate::queue::state::message::stored_message::Extent;

    fn place(arrival: u64) -> Place {
        Place { priority: Priority::default(), arrival: Arrival(arrival) }
    }

    const VICTIM: Victim = Victim { extent: Extent { payload_bytes: 1, due_ms: None }, note: None };

    fn arrivals(tail: &Tail) -> Vec<u64> {
        tail.back().map(|(place, _)| place.arrival.0).collect()
    }

    #[test]
    fn a_tail_at_its_bound_lets_the_most_urgent_give_way() {
        let mut tail = Tail::new(2);
        tail.settle(0);
        (0..4).for_each(|arrival| tail.offer(place(arrival), VICTIM));
        tail.settle(4);
        assert_eq!((arrivals(&tail), tail.start()), (vec![3, 2], Some(place(2))));
    }

    #[test]
    fn a_tail_learns_of_messages_within_its_reach_alone() {
        let mut tail = Tail::new(2);
        tail.offer(place(9), VICTIM);
        assert_eq!(arrivals(&tail), [0_u64; 0]);
        tail.extend([(place(7), VICTIM), (place(5), VICTIM)]);
        tail.offer(place(4), VICTIM);
        tail.offer(place(6), VICTIM);
        assert_eq!(arrivals(&tail), [7, 6, 5]);
    }
}
