//! Accepting messages, and who gives way to them.

use std::time::Duration;

use bytes::Bytes;
use lanekeeper_storage::{
    Batch,
    key::{self, Arrival, Priority},
    record::{Annotation, DedupRecord, KeyOutcome, OnFull},
};

use crate::queue::{
    api::{
        error::QueueError,
        message::{MessageId, MessageState},
    },
    state::{
        message::{
            stored_message::{StoredMessage, Victim},
            transition::WaitState,
        },
        order::position::Position,
        queue_state::{Blocked, QueueState},
    },
};

/// How long a deduplication key is remembered if the queue does not say.
pub(crate) const DEDUP_WINDOW_MS: u64 = 300_000;

/// A message on its way in, within the bounds.
#[derive(Clone, Debug)]
pub(crate) struct PushRequest {
    pub(crate) priority: Priority,
    pub(crate) payload: Bytes,
    /// How long it waits before it is ready.
    pub(crate) delay_ms: u64,
    /// How long it lives, if not as the queue says.
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) dedup_key: Option<String>,
    /// When its key was to be forgotten that is known and no longer good.
    pub(crate) stale_dedup_ms: Option<u64>,
    /// What it is a repetition of, if it is one.
    pub(crate) duplicate: Option<Duplicate>,
}

/// What a message is a repetition of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duplicate {
    /// A message pushed before, which is in this state now.
    Earlier(MessageId, MessageState),
    /// The message of the same push that has this index.
    Same(usize),
}

impl PushRequest {
    /// A message with nothing special about it.
    pub(crate) fn new(priority: Priority, payload: Bytes) -> Self {
        Self {
            priority,
            payload,
            delay_ms: 0,
            ttl_ms: None,
            dedup_key: None,
            stale_dedup_ms: None,
            duplicate: None,
        }
    }
}

impl QueueState {
    /// Accepts all of `messages` that are no repetitions, or none, with consecutive arrival
    /// numbers; answers the first.
    ///
    /// A full queue refuses, or lets as many of its messages give way as it has no room for: the
    /// least urgent, the newest of them first, and only if each is less urgent than every newcomer.
    pub(crate) fn push(
        &mut self,
        messages: &[PushRequest],
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<Arrival, Blocked> {
        let newcomers = || messages.iter().filter(|message| message.duplicate.is_none());
        let count = newcomers().count();
        if self.settings.is_push_paused {
            return Err(self.reject(count, QueueError::Paused { verb: "push" }));
        }
        let least_urgent = newcomers().map(|newcomer| newcomer.priority).max();
        let victims = self.victims(count, least_urgent)?;
        let priorities = victims.iter().map(|(position, _)| position.priority);
        let priorities = priorities.chain(newcomers().map(|message| message.priority));
        let unknown = self.priority_counts.unknown(priorities);
        self.know_lanes(unknown)?;
        self.take_push_tokens(count, now_ms)?;
        for (position, Victim { message_meta, note }) in &victims {
            self.leave_ready(*position, *message_meta, batch);
            self.end(*position, note.as_deref(), KeyOutcome::Evicted, (now_ms, &mut *batch));
        }
        self.meta.totals.evicted += victims.len() as u64;
        if count < messages.len() {
            self.meta.totals.duplicates += (messages.len() - count) as u64;
            self.has_unwritten_refusals = true;
        }
        let first = self.arrival_next();
        newcomers().for_each(|message| self.accept(message, now_ms, batch));
        Ok(first)
    }

    fn accept(&mut self, message: &PushRequest, now_ms: u64, batch: &mut Batch) {
        let position = Position { priority: message.priority, arrival: self.arrival_next() };
        self.meta.arrival_next += 1;
        self.meta.totals.pushed += 1;
        let ttl_ms = message.ttl_ms.or(self.settings.message_ttl_ms);
        let note = message.dedup_key.as_ref().map(|dedup_key| {
            if let Some(stale_ms) = message.stale_dedup_ms {
                batch.delete(key::dedup_due(self.number(), stale_ms, dedup_key));
            }
            let forget_at_ms = self.remember(dedup_key, position, now_ms, batch);
            let dedup_key = Some(dedup_key.clone());
            Box::new(Annotation { dedup_key, forget_at_ms, ..Annotation::default() })
        });
        let stored = StoredMessage {
            expires_at_ms: ttl_ms.map(|ttl_ms| now_ms.saturating_add(ttl_ms)),
            note,
            ..StoredMessage::new(now_ms, message.payload.clone())
        };
        match message.delay_ms {
            0 => self.enter_ready(position, stored, batch),
            delay_ms => {
                let ready_at_ms = now_ms.saturating_add(delay_ms);
                let wait = WaitState { ready_at_ms, since_ms: now_ms, is_holding: false };
                self.enter_scheduled(position, stored, wait, batch);
            }
        }
    }

    /// How long a deduplication key is remembered.
    pub(crate) fn dedup_window_ms(&self) -> u64 {
        self.settings.dedup_window_ms.unwrap_or(DEDUP_WINDOW_MS)
    }

    /// Remembers a key, and says until when.
    fn remember(
        &mut self,
        dedup_key: &str,
        position: Position,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Option<u64> {
        let window_ms = self.dedup_window_ms();
        if window_ms == 0 {
            return None;
        }
        let (queue, forget_at_ms) = (self.number(), now_ms.saturating_add(window_ms));
        let record = DedupRecord::new(position.priority, position.arrival, forget_at_ms);
        batch.put(key::dedup(queue, dedup_key), record.encode());
        self.put_dedup_due(forget_at_ms, dedup_key, batch);
        Some(forget_at_ms)
    }

    /// Who gives way to so many newcomers, the last of the queue first.
    fn victims(
        &mut self,
        count: usize,
        least_urgent: Option<Priority>,
    ) -> Result<Vec<(Position, Victim)>, Blocked> {
        let Some(capacity) = self.settings.capacity else { return Ok(Vec::new()) };
        let current = self.held_count();
        let room = capacity.saturating_sub(current);
        if count as u64 <= room {
            return Ok(Vec::new());
        }
        let full = QueueError::Full { current, capacity };
        let excess = count as u64 - room;
        if self.settings.on_full == OnFull::Reject || excess > self.meta.ready_count {
            return Err(self.reject(count, full));
        }
        let excess = excess as usize;
        self.know_tail(excess)?;
        let victims: Vec<_> = self.tail_cache.back().take(excess).collect();
        let most_urgent = victims.last().map(|(position, _)| position.priority);
        if most_urgent <= least_urgent {
            return Err(self.reject(count, full));
        }
        Ok(victims)
    }

    fn take_push_tokens(&mut self, count: usize, now_ms: u64) -> Result<(), Blocked> {
        let Some(rate) = self.settings.push_rate else { return Ok(()) };
        let taken = self.push_bucket.take(rate, count as u64, now_ms);
        taken.map_err(|retry_after_ms| {
            let retry_after = Duration::from_millis(retry_after_ms);
            self.reject(count, QueueError::RateLimited { verb: "push", retry_after })
        })
    }

    fn reject(&mut self, count: usize, error: QueueError) -> Blocked {
        self.meta.totals.rejected += count as u64;
        self.has_unwritten_refusals = true;
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::queue::{
        api::config::{Paused, QueueConfig},
        testing::test_harness::{TIGHT, TestHarness},
    };

    fn is_full<T: std::fmt::Debug>(
        outcome: &Result<T, QueueError>,
        stored: u64,
        bound: u64,
    ) -> bool {
        matches!(outcome, Err(QueueError::Full { current, capacity })
            if (*current, *capacity) == (stored, bound))
    }

    #[test]
    fn messages_of_one_push_arrive_one_after_the_other_in_the_order_given() {
        let mut harness = TestHarness::new(TIGHT);
        let ids = harness.push(&[(5, "a"), (0, "b"), (5, "c")]).unwrap();
        let arrivals: Vec<_> = ids.iter().map(|id| id.arrival.0).collect();
        assert_eq!(arrivals, [0, 1, 2]);
        assert_eq!(harness.payloads(), ["b", "a", "c"]);
    }

    #[test]
    fn a_queue_takes_its_capacity_and_not_one_more() {
        let mut harness = TestHarness::bounded(2, OnFull::Reject);
        harness.push(&[(1, "a"), (1, "b")]).unwrap();
        assert!(is_full(&harness.push(&[(0, "c")]), 2, 2));
        harness.pop(1).unwrap();
        harness.push(&[(0, "c")]).unwrap();
        assert_eq!(harness.payloads(), ["c", "b"]);
    }

    #[test]
    fn a_push_of_many_is_taken_whole_or_not_at_all() {
        let mut harness = TestHarness::bounded(3, OnFull::Reject);
        harness.push(&[(1, "a")]).unwrap();
        assert!(is_full(&harness.push(&[(0, "b"), (0, "c"), (0, "d")]), 1, 3));
        assert_eq!(harness.payloads(), ["a"]);
        harness.push(&[(0, "b"), (0, "c")]).unwrap();
        assert_eq!(harness.payloads(), ["b", "c", "a"]);
    }

    #[test]
    fn refusals_are_counted_and_written_with_the_next_change() {
        let mut harness = TestHarness::bounded(1, OnFull::Reject);
        harness.push(&[(1, "a")]).unwrap();
        assert!(harness.push(&[(1, "b"), (1, "c")]).is_err());
        assert_eq!(harness.rules.meta.totals.rejected, 2);
        assert_eq!(harness.stored_meta().totals.rejected, 0);
        harness.pop(1).unwrap();
        assert_eq!(harness.stored_meta().totals.rejected, 2);
    }

    #[test]
    fn the_newest_of_the_least_urgent_gives_way_to_a_more_urgent_newcomer() {
        let mut harness = TestHarness::bounded(4, OnFull::EvictLowest);
        harness.push(&[(9, "old"), (5, "x"), (9, "middle"), (9, "new")]).unwrap();
        harness.push(&[(8, "y")]).unwrap();
        assert_eq!(harness.payloads(), ["x", "y", "old", "middle"]);
        harness.push(&[(0, "z")]).unwrap();
        assert_eq!(harness.payloads(), ["z", "x", "y", "old"]);
        assert_eq!(harness.rules.meta.totals.evicted, 2);
    }

    #[test]
    fn nothing_gives_way_to_an_equal_or_less_urgent_newcomer() {
        let mut harness = TestHarness::bounded(2, OnFull::EvictLowest);
        harness.push(&[(3, "a"), (5, "b")]).unwrap();
        assert!(is_full(&harness.push(&[(5, "c")]), 2, 2));
        assert!(is_full(&harness.push(&[(6, "c")]), 2, 2));
        harness.push(&[(4, "c")]).unwrap();
        assert_eq!(harness.payloads(), ["a", "c"]);
    }

    #[test]
    fn a_push_of_many_evicts_for_all_or_for_none() {
        let mut harness = TestHarness::bounded(4, OnFull::EvictLowest);
        harness.push(&[(2, "a"), (7, "b"), (7, "c"), (7, "d")]).unwrap();
        assert!(is_full(&harness.push(&[(0, "x"), (7, "y")]), 4, 4));
        assert!(is_full(&harness.push(&[(2, "w"), (2, "x"), (2, "y"), (2, "z")]), 4, 4));
        assert_eq!(harness.payloads(), ["a", "b", "c", "d"]);
        harness.push(&[(6, "x"), (0, "y"), (3, "z")]).unwrap();
        assert_eq!(harness.payloads(), ["y", "a", "z", "x"]);
    }

    #[test]
    fn more_newcomers_than_the_capacity_are_refused_even_when_others_could_give_way() {
        let mut harness = TestHarness::bounded(2, OnFull::EvictLowest);
        harness.push(&[(9, "a")]).unwrap();
        assert!(is_full(&harness.push(&[(0, "x"), (0, "y"), (0, "z")]), 1, 2));
    }

    #[test]
    fn a_capacity_below_what_is_held_drops_nothing() {
        for (on_full, outcome) in [(OnFull::Reject, false), (OnFull::EvictLowest, true)] {
            let mut harness = TestHarness::bounded(9, on_full);
            harness.push(&[(5, "a"), (5, "b"), (5, "c")]).unwrap();
            let config = QueueConfig { capacity: Some(1), on_full, ..QueueConfig::default() };
            harness.configure(&config).unwrap();
            assert_eq!(harness.payloads(), ["a", "b", "c"]);
            assert_eq!(harness.push(&[(1, "x")]).is_ok(), outcome, "one for one");
            assert_eq!(harness.payloads().len(), 3);
        }
    }

    #[test]
    fn a_full_queue_that_evicts_does_not_look_at_the_disk_for_each_push() {
        let mut harness = TestHarness::bounded(100, OnFull::EvictLowest);
        let filler = vec![(9, "x"); 100];
        harness.push(&filler).unwrap();
        harness.reactivate();
        for _ in 0..99 {
            harness.push(&[(1, "y")]).unwrap();
        }
        assert_eq!(harness.scan_count, 99 / TIGHT.tail_count_max);
    }

    #[test]
    fn a_paused_push_is_refused_and_counted() {
        let mut harness = TestHarness::new(TIGHT);
        harness.pause(Paused { push: true, pop: false });
        let refused = harness.push(&[(1, "a"), (1, "b")]);
        assert!(matches!(refused, Err(QueueError::Paused { verb: "push" })), "{refused:?}");
        assert_eq!(harness.rules.meta.totals.rejected, 2);
        harness.resume(Paused { push: true, pop: false });
        harness.push(&[(1, "a")]).unwrap();
    }
}
