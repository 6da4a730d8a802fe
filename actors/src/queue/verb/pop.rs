//! Taking messages out: for good, by id, by the thousand.

use std::time::Duration;

use lanekeeper_storage::{
    Batch,
    key::Arrival,
    record::{KeyOutcome, MessageRecord, OnExpire, QueueMeta},
};

use crate::{
    queue::{
        api::{error::QueueError, message::Message},
        state::{
            message::stored_message::StoredMessage,
            order::position::Position,
            queue_state::{Blocked, QueueState},
        },
    },
    runtime::memory_budget::{COUNTED_BYTES, MemoryFull},
    time::clock::from_unix_ms,
};

/// Why a message dies whose time to live has ended.
const TTL_ENDED: &str = "its time to live ended";

/// When those who wait are looked at again if there was no memory for what they would be given.
const MEMORY_PAUSE: Duration = Duration::from_millis(100);

/// Whether somebody who waits can be given something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    Now,
    /// So much later.
    After(Duration),
    /// Not before something happens.
    Nothing,
}

/// Which messages are next.
enum Selection {
    /// So many of the first ones.
    First(usize),
    /// These, in this order: messages age.
    Aged(Vec<Position>),
}

impl Selection {
    fn len(&self) -> usize {
        match self {
            Self::First(count) => *count,
            Self::Aged(positions) => positions.len(),
        }
    }
}

impl QueueState {
    /// Takes the first messages, `depth` at most, in the order of priority and arrival.
    pub(crate) fn pop(
        &mut self,
        depth: usize,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<Vec<Message>, Blocked> {
        let taken = self.take_first(depth, "pop", now_ms, batch)?;
        self.meta.totals.popped += taken.len() as u64;
        for (position, stored) in &taken {
            self.end(*position, stored.note.as_deref(), KeyOutcome::Done, (now_ms, &mut *batch));
        }
        Ok(taken.into_iter().map(|(position, stored)| stored.into_message(position)).collect())
    }

    /// Takes the first messages out of their state, `depth` at most; those whose time to live has
    /// ended go their own way.
    pub(crate) fn take_first(
        &mut self,
        depth: usize,
        verb: &'static str,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<Vec<(Position, StoredMessage)>, Blocked> {
        if self.settings.is_pop_paused {
            return Err(QueueError::Paused { verb }.into());
        }
        self.check_unlocked(now_ms)?;
        let wanted = self.allowed_by_rate(depth, verb, now_ms)?;
        let selection = self.choose(wanted, now_ms)?;
        let unknown = match &selection {
            Selection::First(count) => {
                let first = self.head_cache.messages().take(*count);
                self.priority_counts.unknown(first.map(|(position, _)| position.priority))
            }
            Selection::Aged(positions) => {
                self.priority_counts.unknown(positions.iter().map(|position| position.priority))
            }
        };
        self.know_lanes(unknown)?;
        let mut taken = Vec::with_capacity(wanted.min(selection.len()));
        for index in 0..selection.len() {
            let (position, stored) = match &selection {
                Selection::First(_) => self.head_cache.take_first().expect("know_alive saw to it"),
                Selection::Aged(positions) => {
                    (positions[index], self.aged_message(positions[index]))
                }
            };
            self.leave_ready(position, stored.message_meta(), batch);
            if stored.is_expired(now_ms) {
                self.expire((position, stored), now_ms, batch);
            } else {
                taken.push((position, stored));
            }
        }
        if let Some(rate) = self.settings.pop_rate {
            // There are that many: they were counted above.
            let _ = self.pop_bucket.take(rate, taken.len() as u64, now_ms);
        }
        Ok(taken)
    }

    /// Whether somebody who waits can be given something now.
    pub(crate) fn may_give(&mut self, now_ms: u64) -> Result<Availability, Blocked> {
        if self.settings.is_pop_paused || self.meta.ready_count == 0 {
            return Ok(Availability::Nothing);
        }
        match self.check_unlocked(now_ms).and_then(|()| self.allowed_by_rate(1, "pop", now_ms)) {
            Ok(_) => {}
            Err(Blocked::Refuse(QueueError::RateLimited { retry_after, .. })) => {
                return Ok(Availability::After(retry_after));
            }
            Err(Blocked::Refuse(_)) => return Ok(Availability::Nothing),
            Err(stop) => return Err(stop),
        }
        let selection = match self.choose(1, now_ms) {
            Err(Blocked::Refuse(QueueError::NoMemory(_))) => {
                return Ok(Availability::After(MEMORY_PAUSE));
            }
            selection => selection?,
        };
        let is_alive = match selection {
            Selection::First(count) => {
                self.head_cache.messages().take(count).any(|(_, stored)| !stored.is_expired(now_ms))
            }
            Selection::Aged(positions) => {
                positions.iter().any(|&position| !self.aged_message(position).is_expired(now_ms))
            }
        };
        Ok(if is_alive { Availability::Now } else { Availability::Nothing })
    }

    /// A message whose time to live ended, and which was taken out of its state.
    pub(crate) fn expire(
        &mut self,
        (position, stored): (Position, StoredMessage),
        now_ms: u64,
        batch: &mut Batch,
    ) {
        self.meta.totals.expired += 1;
        match self.settings.on_expire {
            OnExpire::Drop => {
                self.meta.totals.dropped += 1;
                self.end(position, stored.note.as_deref(), KeyOutcome::Expired, (now_ms, batch));
            }
            OnExpire::DeadLetter => {
                self.bury((position, stored), TTL_ENDED.to_owned(), now_ms, batch);
            }
        }
    }

    /// The next messages, `wanted` of which are alive if there are so many.
    fn choose(&mut self, wanted: usize, now_ms: u64) -> Result<Selection, Blocked> {
        match self.settings.aging_ms.filter(|_| self.meta.ready_count > 0) {
            Some(aging_ms) => {
                let mut positions = self.plan_aged(wanted, aging_ms, now_ms)?;
                positions.truncate(self.fitting_of(&positions, now_ms)?);
                Ok(Selection::Aged(positions))
            }
            None => self.know_alive(wanted, now_ms).map(Selection::First),
        }
    }

    /// How many messages of the head to look at for `wanted` that are alive.
    fn know_alive(&self, wanted: usize, now_ms: u64) -> Result<usize, Blocked> {
        let ready_count = usize::try_from(self.meta.ready_count).unwrap_or(usize::MAX);
        let mut count = wanted.min(ready_count);
        loop {
            if let Some(fitting) = self.fitting(count, now_ms)? {
                return Ok(fitting);
            }
            self.know_head(count)?;
            let head = self.head_cache.messages().take(count);
            let expired = head.filter(|(_, stored)| stored.is_expired(now_ms)).count();
            let needed = (wanted + expired).min(ready_count);
            if needed == count {
                return Ok(count);
            }
            count = needed;
        }
    }

    /// How many of the first messages to look at so that those alive fit into an answer, if that is
    /// known and fewer than `count`: one is alive at least, or it is refused.
    fn fitting(&self, count: usize, now_ms: u64) -> Result<Option<usize>, Blocked> {
        if self.head_cache.bytes() <= self.give_bytes_max {
            return Ok(None);
        }
        let (mut bytes, mut alive) = (0_usize, 0);
        for (index, (_, stored)) in self.head_cache.messages().take(count).enumerate() {
            if stored.is_expired(now_ms) {
                continue;
            }
            bytes += stored.payload.len();
            if bytes > self.give_bytes_max {
                return match alive {
                    0 => self.afford(bytes).map(|()| Some(index + 1)),
                    _ => Ok(Some(index)),
                };
            }
            alive += 1;
        }
        Ok(None)
    }

    /// As [`QueueState::fitting`], of messages that age.
    fn fitting_of(&self, positions: &[Position], now_ms: u64) -> Result<usize, Blocked> {
        let (mut bytes, mut alive) = (0_usize, 0);
        for (index, &position) in positions.iter().enumerate() {
            let stored = self.aged_message(position);
            if stored.is_expired(now_ms) {
                continue;
            }
            bytes += stored.payload.len();
            if bytes > self.give_bytes_max {
                return match alive {
                    0 => self.afford(bytes).map(|()| index + 1),
                    _ => Ok(index),
                };
            }
            alive += 1;
        }
        Ok(positions.len())
    }

    /// Refuses a message that is large and does not fit.
    fn afford(&self, bytes: usize) -> Result<(), Blocked> {
        // The bound is half of what is left.
        if bytes < COUNTED_BYTES || bytes <= self.give_bytes_max.saturating_mul(2) {
            return Ok(());
        }
        let full = MemoryFull { wanted: bytes as u64, used: 0, bytes_max: 0 };
        Err(QueueError::NoMemory(full).into())
    }

    fn allowed_by_rate(
        &self,
        depth: usize,
        verb: &'static str,
        now_ms: u64,
    ) -> Result<usize, Blocked> {
        let Some(rate) = self.settings.pop_rate else { return Ok(depth) };
        let allowed = self.pop_bucket.available(rate, now_ms);
        if allowed == 0 && self.meta.ready_count > 0 {
            let mut asked = self.pop_bucket;
            let retry_after_ms = asked.take(rate, 1, now_ms).err().unwrap_or(1);
            let retry_after = Duration::from_millis(retry_after_ms);
            return Err(QueueError::RateLimited { verb, retry_after }.into());
        }
        Ok(depth.min(usize::try_from(allowed).unwrap_or(usize::MAX)))
    }

    /// Refuses while an exclusive queue has messages under work, or holds back for one of them.
    fn check_unlocked(&self, now_ms: u64) -> Result<(), Blocked> {
        let QueueMeta { leased_count, holding_count, .. } = self.meta;
        let until_ms = self.meta.locked_until_ms.max(self.meta.held_back_until_ms).max(now_ms);
        let is_locked = leased_count > 0 || holding_count > 0;
        if self.settings.is_exclusive && is_locked {
            return Err(QueueError::Locked { until: from_unix_ms(until_ms) }.into());
        }
        Ok(())
    }

    /// Takes one message out; `message` is what the store has at its place.
    pub(crate) fn cancel(
        &mut self,
        position: Position,
        message: &MessageRecord,
        batch: &mut Batch,
    ) -> Result<(), Blocked> {
        let unknown = self.priority_counts.unknown(std::iter::once(position.priority));
        self.know_lanes(unknown)?;
        self.leave(position, message, batch);
        self.forget_move(position, message.note.as_deref(), batch);
        self.meta.totals.cancelled += 1;
        Ok(())
    }

    /// Takes out those of the messages `found` in the store that arrived before `end`; answers how
    /// many.
    pub(crate) fn purge(
        &mut self,
        found: &[(Position, MessageRecord)],
        end: Arrival,
        batch: &mut Batch,
    ) -> Result<u64, Blocked> {
        let purged = || found.iter().filter(|(position, _)| position.arrival < end);
        self.know_lanes_of(purged())?;
        let mut count = 0;
        for (position, message) in purged() {
            self.leave(*position, message, batch);
            self.forget_move(*position, message.note.as_deref(), batch);
            count += 1;
        }
        self.meta.totals.purged += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use lanekeeper_storage::LoadError;

    use super::*;

    use crate::queue::{
        api::config::Paused,
        testing::test_harness::{TIGHT, TestHarness},
    };

    fn payloads(messages: Vec<Message>) -> Vec<String> {
        messages.into_iter().map(|message| message.item.as_str().to_owned()).collect()
    }

    #[test]
    fn messages_leave_by_priority_and_then_by_arrival() {
        let mut harness = TestHarness::new(TIGHT);
        harness.push(&[(2, "e"), (0, "a"), (1, "c"), (0, "b"), (1, "d")]).unwrap();
        assert_eq!(payloads(harness.pop(2).unwrap()), ["a", "b"]);
        harness.push(&[(0, "late")]).unwrap();
        assert_eq!(payloads(harness.pop(9).unwrap()), ["late", "c", "d", "e"]);
        assert_eq!(payloads(harness.pop(1).unwrap()), [""; 0]);
    }

    #[test]
    fn a_pop_reaches_beyond_what_is_in_memory() {
        let mut harness = TestHarness::new(TIGHT);
        let names: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        let messages: Vec<_> = names.iter().map(|name| (1, name.as_str())).collect();
        harness.push(&messages).unwrap();
        harness.reactivate();
        assert_eq!(payloads(harness.pop(20).unwrap()), names);
    }

    #[test]
    fn pops_of_a_deep_queue_read_the_disk_a_window_at_a_time() {
        let mut harness = TestHarness::new(TIGHT);
        harness.push(&vec![(1, "x"); 100]).unwrap();
        harness.reactivate();
        for _ in 0..100 {
            assert_eq!(harness.pop(1).unwrap().len(), 1);
        }
        assert_eq!(harness.scan_count, 100 / TIGHT.window_count_max);
    }

    #[test]
    fn a_message_is_given_with_when_it_was_accepted() {
        let mut harness = TestHarness::new(TIGHT);
        harness.now_ms = 1_800_000_000_123;
        let ids = harness.push(&[(3, "a")]).unwrap();
        harness.reactivate();
        let message = harness.pop(1).unwrap().remove(0);
        assert_eq!((message.id, message.priority, message.deliveries), (ids[0], 3, 0));
        assert_eq!(message.pushed_at, from_unix_ms(1_800_000_000_123));
    }

    #[test]
    fn a_message_handed_on_at_once_is_never_written() {
        let mut harness = TestHarness::new(TIGHT);
        let (ids, taken) = harness.push_to(&[(2, "a"), (1, "b"), (2, "c")], &[1, 1]).unwrap();
        assert_eq!(taken.iter().map(|message| message.id).collect::<Vec<_>>(), [ids[1], ids[0]]);
        assert_eq!(harness.write_count, 3, "one message, its priority's count, the metadata");
        harness.reactivate();
        assert_eq!(payloads(harness.pop(9).unwrap()), ["c"]);
    }

    #[test]
    fn a_paused_pop_takes_nothing() {
        let mut harness = TestHarness::new(TIGHT);
        harness.push(&[(1, "a")]).unwrap();
        harness.pause(Paused { push: false, pop: true });
        assert!(matches!(harness.pop(1), Err(QueueError::Paused { verb: "pop" })));
        harness.resume(Paused { push: false, pop: true });
        assert_eq!(payloads(harness.pop(1).unwrap()), ["a"]);
    }

    #[test]
    fn a_purge_keeps_what_arrived_after_it_began() {
        let mut harness = TestHarness::new(TIGHT);
        harness.push(&[(1, "a"), (1, "b")]).unwrap();
        let end = harness.rules.arrival_next();
        harness.push(&[(0, "c"), (1, "d")]).unwrap();
        let found = harness.stored_records();
        assert_eq!(harness.turn(|rules, batch| rules.purge(&found, end, batch)).unwrap(), 2);
        assert_eq!(harness.payloads(), ["c", "d"]);
    }

    #[test]
    fn a_queue_that_holds_less_than_it_counts_is_reported_as_damaged() {
        let mut harness = TestHarness::new(TIGHT);
        let ids = harness.push(&[(1, "a"), (1, "b")]).unwrap();
        harness.damage(ids[0]);
        harness.reactivate();
        assert!(matches!(harness.pop(2), Err(QueueError::Load(LoadError::Corrupt(_)))));
    }
}
