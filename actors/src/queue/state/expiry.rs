//! What happens by itself, when its time has come.

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, Key, KeyRange,
    key::{self, QueueNo},
    record::{MessageRecord, MessageStateRecord},
};

use crate::queue::state::{
    message::stored_message::StoredMessage,
    order::position::Position,
    queue_state::{Blocked, QueueState},
    settle::NackRequest,
};

/// Where the store may hold what falls due in a queue, now or later. What lies before is done: a
/// look from the very beginning would have to pass all that was deleted there.
#[derive(Clone, Debug)]
pub(crate) struct ExpiryRest {
    pub(crate) messages: KeyRange,
    pub(crate) dedup_keys: KeyRange,
}

impl ExpiryRest {
    /// Everything, as long as nothing is known.
    fn unknown(queue: QueueNo) -> Self {
        Self { messages: key::dues(queue), dedup_keys: key::dedup_dues(queue) }
    }
}

/// What is due in a queue, as the store says.
#[derive(Debug, Default)]
pub(crate) struct DueBatch {
    /// Messages.
    pub(crate) messages: Vec<(Position, MessageRecord)>,
    /// Entries of messages that are not there, or not due then: to be removed.
    pub(crate) stale: Vec<Key>,
    /// Deduplication keys to be forgotten, with when.
    pub(crate) dedup_keys: Vec<(u64, String)>,
    /// When the next thing after these is due.
    pub(crate) next_ms: Option<u64>,
    /// Where the next look begins once these are done, if it was time that chose them.
    pub(crate) rest: Option<ExpiryRest>,
}

impl DueBatch {
    /// Notes when something is due that is none of these.
    pub(crate) fn note_next(&mut self, due_ms: u64) {
        let next_ms = self.next_ms.get_or_insert(due_ms);
        *next_ms = due_ms.min(*next_ms);
    }
}

impl QueueState {
    /// Where to look for what is due.
    pub(crate) fn expiry_rest(&self) -> Option<ExpiryRest> {
        let queue = self.queue?;
        Some(
            self.expiry_rest
                .as_deref()
                .map_or_else(|| ExpiryRest::unknown(queue), ExpiryRest::clone),
        )
    }

    /// Has a message looked at at this time.
    pub(crate) fn put_due(&mut self, due_ms: u64, due: Key, entry: Bytes, batch: &mut Batch) {
        if let Some(ExpiryRest { messages, .. }) = self.expiry_rest.as_deref_mut() {
            messages.reach_back_to(&due);
        }
        batch.add(due, entry);
        self.wake_by(due_ms);
    }

    /// Has a deduplication key forgotten at this time.
    pub(crate) fn put_dedup_due(&mut self, due_ms: u64, dedup_key: &str, batch: &mut Batch) {
        let due = key::dedup_due(self.number(), due_ms, dedup_key);
        if let Some(ExpiryRest { dedup_keys, .. }) = self.expiry_rest.as_deref_mut() {
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
    pub(crate) fn expire_due(
        &mut self,
        due_batch: &DueBatch,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), Blocked> {
        self.know_lanes_of(&due_batch.messages)?;
        // What falls due again while these are done moves it back.
        self.expiry_rest = due_batch.rest.clone().map(Box::new).or(self.expiry_rest.take());
        for (position, message) in &due_batch.messages {
            self.leave(*position, message, batch);
            let stored = StoredMessage::of(message.clone());
            match &message.state {
                MessageStateRecord::Leased(_) => {
                    self.meta.totals.expired += 1;
                    let options = NackRequest { is_counted: true, ..NackRequest::default() };
                    self.give_back((*position, stored), &options, now_ms, batch);
                }
                MessageStateRecord::Scheduled { .. } if !stored.is_expired(now_ms) => {
                    self.enter_ready(*position, stored, batch);
                }
                MessageStateRecord::Scheduled { .. } | MessageStateRecord::Ready => {
                    self.expire((*position, stored), now_ms, batch);
                }
            }
        }
        for (due_ms, dedup_key) in &due_batch.dedup_keys {
            let queue = self.number();
            batch.delete(key::dedup(queue, dedup_key));
            batch.delete(key::dedup_due(queue, *due_ms, dedup_key));
        }
        self.is_meta_changed = true;
        due_batch.next_ms.into_iter().for_each(|due_ms| self.wake_by(due_ms));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    use crate::queue::{
        api::config::QueueConfig,
        testing::test_harness::{TIGHT, TestHarness, priority},
        verb::push::PushRequest,
    };

    fn message(delay_ms: u64, dedup_key: Option<&str>) -> PushRequest {
        let dedup_key = dedup_key.map(str::to_owned);
        PushRequest {
            delay_ms,
            dedup_key,
            ..PushRequest::new(priority(0), Bytes::from_static(b"{}"))
        }
    }

    /// A queue with so many messages that are due at 2,000, and one deduplication key at 3,000.
    fn with_due(count: usize) -> TestHarness {
        let mut harness = TestHarness::new(TIGHT);
        let config =
            QueueConfig { dedup_window: Some(Duration::from_secs(2)), ..QueueConfig::default() };
        harness.configure(&config).unwrap();
        harness.accept(&vec![message(1_000, None); count]);
        harness.accept(&[message(0, Some("first"))]);
        harness
    }

    #[test]
    fn a_slice_begins_behind_what_the_one_before_did() {
        let mut harness = with_due(1_000);
        harness.now_ms = 2_000;
        let mut done = 0;
        while done < 1_000 {
            let (count, _) = harness.expire_due();
            assert!(count > 0, "{done} messages were found");
            done += count;
            let rest = harness.rules.expiry_rest().unwrap().messages;
            let due = |arrival| key::due(harness.rules.number(), 2_000, key::Arrival(arrival));
            assert!(!rest.contains(&due(done as u64 - 1)), "{done} are to be passed again");
            assert!(rest.contains(&due(done as u64)), "one is passed over");
        }
        harness.now_ms = 3_000;
        assert_eq!(harness.expire_due(), (0, 1));
    }

    #[test]
    fn what_falls_due_before_the_next_look_was_to_begin_is_found() {
        let mut harness = with_due(1);
        harness.now_ms = 1_500;
        assert_eq!(harness.expire_due(), (0, 0), "now the next things are known to be later");
        harness.accept(&[message(100, None)]);
        let config = QueueConfig {
            dedup_window: Some(Duration::from_millis(100)),
            ..QueueConfig::default()
        };
        harness.configure(&config).unwrap();
        harness.accept(&[message(0, Some("second"))]);
        harness.now_ms = 1_600;
        assert_eq!(harness.expire_due(), (1, 1));
        harness.now_ms = 3_000;
        assert_eq!(harness.expire_due(), (1, 1));
    }
}
