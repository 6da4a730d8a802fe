//! What happens by itself, when its time has come.

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, Key, KeyRange,
    key::{self, QueueNo},
    record::{MessageRecord, State},
};

use crate::queue::state::{
    message::stored_message::Held,
    order::position::Place,
    queue_state::{Rules, Stop},
    settle::NackTerms,
};

/// Where the store may hold what falls due in a queue, now or later. What lies before is done: a
/// look from the very beginning would have to pass all that was deleted there.
#[derive(Clone, Debug)]
pub(crate) struct DueRest {
    pub(crate) messages: KeyRange,
    pub(crate) dedup_keys: KeyRange,
}

impl DueRest {
    /// Everything, as long as nothing is known.
    fn unknown(queue: QueueNo) -> Self {
        Self { messages: key::dues(queue), dedup_keys: key::dedup_dues(queue) }
    }
}

/// What is due in a queue, as the store says.
#[derive(Debug, Default)]
pub(crate) struct Dues {
    /// Messages.
    pub(crate) messages: Vec<(Place, MessageRecord)>,
    /// Entries of messages that are not there, or not due then: to be removed.
    pub(crate) stale: Vec<Key>,
    /// Deduplication keys to be forgotten, with when.
    pub(crate) dedup_keys: Vec<(u64, String)>,
    /// When the next thing after these is due.
    pub(crate) next_ms: Option<u64>,
    /// Where the next look begins once these are done, if it was time that chose them.
    pub(crate) rest: Option<DueRest>,
}

impl Dues {
    /// Notes when something is due that is none of these.
    pub(crate) fn note_next(&mut self, due_ms: u64) {
        let next_ms = self.next_ms.get_or_insert(due_ms);
        *next_ms = due_ms.min(*next_ms);
    }
}

impl Rules {
    /// Where to look for what is due.
    pub(crate) fn due_rest(&self) -> Option<DueRest> {
        let queue = self.queue?;
        Some(self.due_rest.as_deref().map_or_else(|| DueRest::unknown(queue), DueRest::clone))
    }

    /// Has a message looked at at this time.
    pub(crate) fn put_due(&mut self, due_ms: u64, due: Key, entry: Bytes, batch: &mut Batch) {
        if let Some(DueRest { messages, .. }) = self.due_rest.as_deref_mut() {
            messages.reach_back_to(&due);
        }
        batch.add(due, entry);
        self.wake_by(due_ms);
    }

    /// Has a deduplication key forgotten at this time.
    pub(crate) fn put_dedup_due(&mut self, due_ms: u64, dedup_key: &str, batch: &mut Batch) {
        let due = key::dedup_due(self.number(), due_ms, dedup_key);
        if let Some(DueRest { dedup_keys, .. }) = self.due_rest.as_deref_mut() {
            dedup_keys.reach_back_to(&due);
        }
        batch.put(due, Bytes::new());
        self.wake_by(due_ms);
    }

    /// Has the queue woken at this time, if not before.
    pub(crate) fn wake_by(&mut self, due_ms: u64) {
        let wanted_ms = self.wake_wanted_ms.get_or_insert(due_ms);
        *wanted_ms = due_ms.min(*wanted_ms);
    }

    /// Does what is due: leases that ended return their messages, scheduled messages become ready,
    /// messages whose time to live ended go, deduplication keys are forgotten. A lease that ended
    /// counts as a delivery, also if nobody could settle it because the node was down: what ends
    /// its node is delivered no more often than anything else.
    pub(crate) fn fall_due(
        &mut self,
        dues: &Dues,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), Stop> {
        self.know_lanes_of(&dues.messages)?;
        // What falls due again while these are done moves it back.
        self.due_rest = dues.rest.clone().map(Box::new).or(self.due_rest.take());
        for (place, message) in &dues.messages {
            self.leave(*place, message, batch);
            let held = Held::of(message.clone());
            match &message.state {
                State::Leased(_) => {
                    self.meta.totals.expired += 1;
                    let terms = NackTerms { is_counted: true, ..NackTerms::default() };
                    self.give_back((*place, held), &terms, now_ms, batch);
                }
                State::Scheduled { .. } if !held.is_expired(now_ms) => {
                    self.enter_ready(*place, held, batch);
                }
                State::Scheduled { .. } | State::Ready => {
                    self.expire((*place, held), now_ms, batch);
                }
            }
        }
        for (due_ms, dedup_key) in &dues.dedup_keys {
            let queue = self.number();
            batch.delete(key::dedup(queue, dedup_key));
            batch.delete(key::dedup_due(queue, *due_ms, dedup_key));
        }
        self.is_meta_changed = true;
        dues.next_ms.into_iter().for_each(|due_ms| self.wake_by(due_ms));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    use crate::queue::{
        api::config::QueueConfig,
        testing::test_harness::{TIGHT, Trial, priority},
        verb::push::Incoming,
    };

    fn message(delay_ms: u64, dedup_key: Option<&str>) -> Incoming {
        let dedup_key = dedup_key.map(str::to_owned);
        Incoming { delay_ms, dedup_key, ..Incoming::new(priority(0), Bytes::from_static(b"{}")) }
    }

    /// A queue with so many messages that are due at 2,000, and one deduplication key at 3,000.
    fn with_due(count: usize) -> Trial {
        let mut trial = Trial::new(TIGHT);
        let config =
            QueueConfig { dedup_window: Some(Duration::from_secs(2)), ..QueueConfig::default() };
        trial.configure(&config).unwrap();
        trial.accept(&vec![message(1_000, None); count]);
        trial.accept(&[message(0, Some("first"))]);
        trial
    }

    #[test]
    fn a_slice_begins_behind_what_the_one_before_did() {
        let mut trial = with_due(1_000);
        trial.now_ms = 2_000;
        let mut done = 0;
        while done < 1_000 {
            let (count, _) = trial.fall_due();
            assert!(count > 0, "{done} messages were found");
            done += count;
            let rest = trial.rules.due_rest().unwrap().messages;
            let due = |arrival| key::due(trial.rules.number(), 2_000, key::Arrival(arrival));
            assert!(!rest.contains(&due(done as u64 - 1)), "{done} are to be passed again");
            assert!(rest.contains(&due(done as u64)), "one is passed over");
        }
        trial.now_ms = 3_000;
        assert_eq!(trial.fall_due(), (0, 1));
    }

    #[test]
    fn what_falls_due_before_the_next_look_was_to_begin_is_found() {
        let mut trial = with_due(1);
        trial.now_ms = 1_500;
        assert_eq!(trial.fall_due(), (0, 0), "now the next things are known to be later");
        trial.accept(&[message(100, None)]);
        let config = QueueConfig {
            dedup_window: Some(Duration::from_millis(100)),
            ..QueueConfig::default()
        };
        trial.configure(&config).unwrap();
        trial.accept(&[message(0, Some("second"))]);
        trial.now_ms = 1_600;
        assert_eq!(trial.fall_due(), (1, 1));
        trial.now_ms = 3_000;
        assert_eq!(trial.fall_due(), (1, 1));
    }
}
