//! Accepting messages, and who gives way to them.

use bytes::Bytes;
use lanekeeper_storage::{
    Batch,
    key::{Arrival, Priority},
    record::{MessageRecord, OnFull},
};

use super::{
    QueueError,
    place::Place,
    rules::{Rules, Stop},
    window::Held,
};

/// A message on its way in, within the bounds.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) priority: Priority,
    pub(super) payload: Bytes,
}

impl Rules {
    /// Accepts all of `messages` or none, with consecutive arrival numbers; answers the first.
    ///
    /// A full queue refuses, or lets as many of its messages give way as it has no room for: the
    /// least urgent, the newest of them first, and only if each is less urgent than every newcomer.
    pub(super) fn push(
        &mut self,
        messages: &[Incoming],
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<Arrival, Stop> {
        if self.settings.is_push_paused {
            return Err(self.reject(messages.len(), QueueError::Paused { verb: "push" }));
        }
        let victims = self.victims(messages)?;
        let priorities = victims.iter().map(|(place, _)| place.priority);
        let priorities = priorities.chain(messages.iter().map(|message| message.priority));
        self.know_lanes(self.lanes.unknown(priorities))?;
        for &(place, payload_bytes) in &victims {
            self.forget(place, payload_bytes, batch);
        }
        self.meta.evicted_total += victims.len() as u64;
        let first = self.arrival_next();
        messages.iter().for_each(|message| self.accept(message, now_ms));
        Ok(first)
    }

    fn accept(&mut self, message: &Incoming, now_ms: u64) {
        let place = Place { priority: message.priority, arrival: self.arrival_next() };
        let payload_bytes = message.payload.len();
        let payload = message.payload.clone();
        let record = MessageRecord { pushed_at_ms: now_ms, deliveries: 0, payload }.encode();
        // Shares the record's bytes, so that the request's own can go.
        let payload = record.slice(record.len() - payload_bytes..);
        self.window.offer(place, Held { pushed_at_ms: now_ms, deliveries: 0, payload });
        self.tail.offer(place, payload_bytes);
        self.lanes.add(place.priority);
        self.fresh.push((place, record));
        self.meta.arrival_next += 1;
        self.meta.pushed_total += 1;
        self.meta.ready_count += 1;
        self.meta.ready_bytes += payload_bytes as u64;
        self.is_meta_changed = true;
    }

    /// Who gives way to the newcomers, the last of the queue first.
    fn victims(&mut self, newcomers: &[Incoming]) -> Result<Vec<(Place, usize)>, Stop> {
        let Some(capacity) = self.settings.capacity else { return Ok(Vec::new()) };
        let current = self.meta.ready_count;
        let room = capacity.saturating_sub(current);
        let count = newcomers.len() as u64;
        if count <= room {
            return Ok(Vec::new());
        }
        let full = QueueError::Full { current, capacity };
        let excess = count - room;
        if self.settings.on_full == OnFull::Reject || excess > current {
            return Err(self.reject(newcomers.len(), full));
        }
        let excess = excess as usize;
        self.know_tail(excess)?;
        let victims: Vec<_> = self.tail.back().take(excess).collect();
        let least_urgent = newcomers.iter().map(|newcomer| newcomer.priority).max();
        let most_urgent = victims.last().map(|(place, _)| place.priority);
        if most_urgent <= least_urgent {
            return Err(self.reject(newcomers.len(), full));
        }
        Ok(victims)
    }

    fn reject(&mut self, count: usize, error: QueueError) -> Stop {
        self.meta.rejected_total += count as u64;
        self.has_unwritten_refusals = true;
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{
        Paused, QueueConfig,
        trial::{TIGHT, Trial},
    };

    fn is_full<T: std::fmt::Debug>(outcome: &Result<T, QueueError>, held: u64, bound: u64) -> bool {
        matches!(outcome, Err(QueueError::Full { current, capacity })
            if (*current, *capacity) == (held, bound))
    }

    #[test]
    fn messages_of_one_push_arrive_one_after_the_other_in_the_order_given() {
        let mut trial = Trial::new(TIGHT);
        let ids = trial.push(&[(5, "a"), (0, "b"), (5, "c")]).unwrap();
        let arrivals: Vec<_> = ids.iter().map(|id| id.arrival.0).collect();
        assert_eq!(arrivals, [0, 1, 2]);
        assert_eq!(trial.payloads(), ["b", "a", "c"]);
    }

    #[test]
    fn a_queue_takes_its_capacity_and_not_one_more() {
        let mut trial = Trial::bounded(2, OnFull::Reject);
        trial.push(&[(1, "a"), (1, "b")]).unwrap();
        assert!(is_full(&trial.push(&[(0, "c")]), 2, 2));
        trial.pop(1).unwrap();
        trial.push(&[(0, "c")]).unwrap();
        assert_eq!(trial.payloads(), ["c", "b"]);
    }

    #[test]
    fn a_push_of_many_is_taken_whole_or_not_at_all() {
        let mut trial = Trial::bounded(3, OnFull::Reject);
        trial.push(&[(1, "a")]).unwrap();
        assert!(is_full(&trial.push(&[(0, "b"), (0, "c"), (0, "d")]), 1, 3));
        assert_eq!(trial.payloads(), ["a"]);
        trial.push(&[(0, "b"), (0, "c")]).unwrap();
        assert_eq!(trial.payloads(), ["b", "c", "a"]);
    }

    #[test]
    fn refusals_are_counted_and_written_with_the_next_change() {
        let mut trial = Trial::bounded(1, OnFull::Reject);
        trial.push(&[(1, "a")]).unwrap();
        assert!(trial.push(&[(1, "b"), (1, "c")]).is_err());
        assert_eq!(trial.rules.meta.rejected_total, 2);
        assert_eq!(trial.stored_meta().rejected_total, 0);
        trial.pop(1).unwrap();
        assert_eq!(trial.stored_meta().rejected_total, 2);
    }

    #[test]
    fn the_newest_of_the_least_urgent_gives_way_to_a_more_urgent_newcomer() {
        let mut trial = Trial::bounded(4, OnFull::EvictLowest);
        trial.push(&[(9, "old"), (5, "x"), (9, "middle"), (9, "new")]).unwrap();
        trial.push(&[(8, "y")]).unwrap();
        assert_eq!(trial.payloads(), ["x", "y", "old", "middle"]);
        trial.push(&[(0, "z")]).unwrap();
        assert_eq!(trial.payloads(), ["z", "x", "y", "old"]);
        assert_eq!(trial.rules.meta.evicted_total, 2);
    }

    #[test]
    fn nothing_gives_way_to_an_equal_or_less_urgent_newcomer() {
        let mut trial = Trial::bounded(2, OnFull::EvictLowest);
        trial.push(&[(3, "a"), (5, "b")]).unwrap();
        assert!(is_full(&trial.push(&[(5, "c")]), 2, 2));
        assert!(is_full(&trial.push(&[(6, "c")]), 2, 2));
        trial.push(&[(4, "c")]).unwrap();
        assert_eq!(trial.payloads(), ["a", "c"]);
    }

    #[test]
    fn a_push_of_many_evicts_for_all_or_for_none() {
        let mut trial = Trial::bounded(4, OnFull::EvictLowest);
        trial.push(&[(2, "a"), (7, "b"), (7, "c"), (7, "d")]).unwrap();
        assert!(is_full(&trial.push(&[(0, "x"), (7, "y")]), 4, 4));
        assert!(is_full(&trial.push(&[(2, "w"), (2, "x"), (2, "y"), (2, "z")]), 4, 4));
        assert_eq!(trial.payloads(), ["a", "b", "c", "d"]);
        trial.push(&[(6, "x"), (0, "y"), (3, "z")]).unwrap();
        assert_eq!(trial.payloads(), ["y", "a", "z", "x"]);
    }

    #[test]
    fn more_newcomers_than_the_capacity_are_refused_even_when_others_could_give_way() {
        let mut trial = Trial::bounded(2, OnFull::EvictLowest);
        trial.push(&[(9, "a")]).unwrap();
        assert!(is_full(&trial.push(&[(0, "x"), (0, "y"), (0, "z")]), 1, 2));
    }

    #[test]
    fn a_capacity_below_what_is_held_drops_nothing() {
        for (on_full, outcome) in [(OnFull::Reject, false), (OnFull::EvictLowest, true)] {
            let mut trial = Trial::bounded(9, on_full);
            trial.push(&[(5, "a"), (5, "b"), (5, "c")]).unwrap();
            let config = QueueConfig { capacity: Some(1), on_full, durability: None };
            trial.configure(config).unwrap();
            assert_eq!(trial.payloads(), ["a", "b", "c"]);
            assert_eq!(trial.push(&[(1, "x")]).is_ok(), outcome, "one for one");
            assert_eq!(trial.payloads().len(), 3);
        }
    }

    #[test]
    fn a_full_queue_that_evicts_does_not_look_at_the_disk_for_each_push() {
        let mut trial = Trial::bounded(100, OnFull::EvictLowest);
        let filler = vec![(9, "x"); 100];
        trial.push(&filler).unwrap();
        trial.reactivate();
        for _ in 0..99 {
            trial.push(&[(1, "y")]).unwrap();
        }
        assert_eq!(trial.scan_count, 99 / TIGHT.tail_count_max);
    }

    #[test]
    fn a_paused_push_is_refused_and_counted() {
        let mut trial = Trial::new(TIGHT);
        trial.pause(Paused { push: true, pop: false });
        let refused = trial.push(&[(1, "a"), (1, "b")]);
        assert!(matches!(refused, Err(QueueError::Paused { verb: "push" })), "{refused:?}");
        assert_eq!(trial.rules.meta.rejected_total, 2);
        trial.resume(Paused { push: true, pop: false });
        trial.push(&[(1, "a")]).unwrap();
    }
}
