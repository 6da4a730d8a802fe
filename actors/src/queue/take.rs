//! Taking messages out: for good, by id, by the thousand.

use lanekeeper_storage::{Batch, key::Arrival};

use super::{
    Message, QueueError,
    place::Place,
    rules::{Rules, Stop},
    window::Held,
};

impl Rules {
    /// Takes the first messages, `depth` at most, in the order of priority and arrival.
    pub(super) fn pop(&mut self, depth: usize, batch: &mut Batch) -> Result<Vec<Message>, Stop> {
        if self.settings.is_pop_paused {
            return Err(QueueError::Paused { verb: "pop" }.into());
        }
        let ready_count = usize::try_from(self.meta.ready_count).unwrap_or(usize::MAX);
        let count = depth.min(ready_count);
        self.know_head(count)?;
        let priorities = self.window.places().take(count).map(|place| place.priority);
        self.know_lanes(self.lanes.unknown(priorities))?;
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            let (place, held) = self.window.take_first().expect("know_head saw to it");
            self.forget(place, held.payload.len(), batch);
            messages.push(held.into_message(place));
        }
        self.meta.popped_total += count as u64;
        Ok(messages)
    }

    /// Takes one message out by its place; `message` is what the store has there.
    pub(super) fn cancel(
        &mut self,
        place: Place,
        message: &Held,
        batch: &mut Batch,
    ) -> Result<(), Stop> {
        self.know_lanes(self.lanes.unknown(std::iter::once(place.priority)))?;
        self.forget(place, message.payload.len(), batch);
        self.meta.cancelled_total += 1;
        Ok(())
    }

    /// Takes out those of the messages `found` in the store that arrived before `end`; answers how
    /// many.
    pub(super) fn purge(
        &mut self,
        found: &[(Place, Held)],
        end: Arrival,
        batch: &mut Batch,
    ) -> Result<u64, Stop> {
        let purged = || found.iter().filter(|(place, _)| place.arrival < end);
        self.know_lanes(self.lanes.unknown(purged().map(|(place, _)| place.priority)))?;
        let mut count = 0;
        for (place, held) in purged() {
            self.forget(*place, held.payload.len(), batch);
            count += 1;
        }
        self.meta.purged_total += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use lanekeeper_storage::LoadError;

    use super::*;
    use crate::queue::{
        Paused,
        trial::{TIGHT, Trial},
    };

    fn payloads(messages: Vec<Message>) -> Vec<String> {
        messages.into_iter().map(|message| message.item.as_str().to_owned()).collect()
    }

    #[test]
    fn messages_leave_by_priority_and_then_by_arrival() {
        let mut trial = Trial::new(TIGHT);
        trial.push(&[(2, "e"), (0, "a"), (1, "c"), (0, "b"), (1, "d")]).unwrap();
        assert_eq!(payloads(trial.pop(2).unwrap()), ["a", "b"]);
        trial.push(&[(0, "late")]).unwrap();
        assert_eq!(payloads(trial.pop(9).unwrap()), ["late", "c", "d", "e"]);
        assert_eq!(payloads(trial.pop(1).unwrap()), [""; 0]);
    }

    #[test]
    fn a_pop_reaches_beyond_what_is_in_memory() {
        let mut trial = Trial::new(TIGHT);
        let names: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        let messages: Vec<_> = names.iter().map(|name| (1, name.as_str())).collect();
        trial.push(&messages).unwrap();
        trial.reactivate();
        assert_eq!(payloads(trial.pop(20).unwrap()), names);
    }

    #[test]
    fn pops_of_a_deep_queue_read_the_disk_a_window_at_a_time() {
        let mut trial = Trial::new(TIGHT);
        trial.push(&vec![(1, "x"); 100]).unwrap();
        trial.reactivate();
        for _ in 0..100 {
            assert_eq!(trial.pop(1).unwrap().len(), 1);
        }
        assert_eq!(trial.scan_count, 100 / TIGHT.window_count_max);
    }

    #[test]
    fn a_message_is_given_with_when_it_was_accepted() {
        let mut trial = Trial::new(TIGHT);
        trial.now_ms = 1_800_000_000_123;
        let ids = trial.push(&[(3, "a")]).unwrap();
        trial.reactivate();
        let message = trial.pop(1).unwrap().remove(0);
        assert_eq!((message.id, message.priority, message.deliveries), (ids[0], 3, 0));
        assert_eq!(message.pushed_at, crate::clock::from_unix_ms(1_800_000_000_123));
    }

    #[test]
    fn a_message_handed_on_at_once_is_never_written() {
        let mut trial = Trial::new(TIGHT);
        let (ids, taken) = trial.push_to(&[(2, "a"), (1, "b"), (2, "c")], &[1, 1]).unwrap();
        assert_eq!(taken.iter().map(|message| message.id).collect::<Vec<_>>(), [ids[1], ids[0]]);
        assert_eq!(trial.write_count, 3, "one message, its priority's count, the metadata");
        trial.reactivate();
        assert_eq!(payloads(trial.pop(9).unwrap()), ["c"]);
    }

    #[test]
    fn a_paused_pop_takes_nothing() {
        let mut trial = Trial::new(TIGHT);
        trial.push(&[(1, "a")]).unwrap();
        trial.pause(Paused { push: false, pop: true });
        assert!(matches!(trial.pop(1), Err(QueueError::Paused { verb: "pop" })));
        trial.resume(Paused { push: false, pop: true });
        assert_eq!(payloads(trial.pop(1).unwrap()), ["a"]);
    }

    #[test]
    fn a_purge_keeps_what_arrived_after_it_began() {
        let mut trial = Trial::new(TIGHT);
        trial.push(&[(1, "a"), (1, "b")]).unwrap();
        let end = trial.rules.arrival_next();
        trial.push(&[(0, "c"), (1, "d")]).unwrap();
        let found = trial.stored();
        assert_eq!(trial.turn(|rules, batch| rules.purge(&found, end, batch)).unwrap(), 2);
        assert_eq!(trial.payloads(), ["c", "d"]);
    }

    #[test]
    fn a_queue_that_holds_less_than_it_counts_is_reported_as_damaged() {
        let mut trial = Trial::new(TIGHT);
        let ids = trial.push(&[(1, "a"), (1, "b")]).unwrap();
        trial.damage(ids[0]);
        trial.reactivate();
        assert!(matches!(trial.pop(2), Err(QueueError::Load(LoadError::Corrupt(_)))));
    }
}
