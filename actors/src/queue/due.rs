//! What happens by itself, when its time has come.

use lanekeeper_storage::{
    Batch, key,
    record::{MessageRecord, State},
};

use super::{
    held::Held,
    place::Place,
    rules::{Rules, Stop},
    settle::NackTerms,
};

/// What is due in a queue, as the store says.
#[derive(Debug, Default)]
pub(super) struct Dues {
    /// Messages.
    pub(super) messages: Vec<(Place, MessageRecord)>,
    /// Deduplication keys to be forgotten, with when.
    pub(super) dedup_keys: Vec<(u64, String)>,
    /// When the next thing after these is due.
    pub(super) next_ms: Option<u64>,
}

impl Dues {
    /// Notes when something is due that is none of these.
    pub(super) fn note_next(&mut self, due_ms: u64) {
        let next_ms = self.next_ms.get_or_insert(due_ms);
        *next_ms = due_ms.min(*next_ms);
    }
}

impl Rules {
    /// Does what is due: leases that ended return their messages, scheduled messages become ready,
    /// messages whose time to live ended go, deduplication keys are forgotten. A lease that ended
    /// before `opened_at_ms`, while nobody could settle it, counts as no delivery.
    pub(super) fn fall_due(
        &mut self,
        dues: &Dues,
        now_ms: u64,
        opened_at_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), Stop> {
        self.know_lanes_of(&dues.messages)?;
        for (place, message) in &dues.messages {
            self.leave_leased(*place, message, batch);
            let held = Held::of(message.clone());
            match &message.state {
                State::Leased(lease) => {
                    self.meta.totals.expired += 1;
                    let is_counted = lease.expires_at_ms > opened_at_ms;
                    let terms = NackTerms { is_counted, ..NackTerms::default() };
                    self.give_back((*place, held), &terms, now_ms, batch);
                }
                State::Scheduled { .. } if !held.is_expired(now_ms) => {
                    self.enter_ready(*place, held, batch);
                }
                State::Scheduled { .. } | State::Ready => self.expire(*place, held),
            }
        }
        for (due_ms, dedup_key) in &dues.dedup_keys {
            let queue = self.number();
            batch.delete(key::dedup(queue, dedup_key));
            batch.delete(key::dedup_due(queue, *due_ms, dedup_key));
        }
        self.is_meta_changed = true;
        let held_back = Some(self.meta.held_back_until_ms).filter(|&until_ms| until_ms > now_ms);
        dues.next_ms.into_iter().chain(held_back).for_each(|due_ms| self.wake_by(due_ms));
        Ok(())
    }
}
