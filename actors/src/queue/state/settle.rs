//! Settling leases: done, given back, prolonged, given up.

use lanekeeper_storage::{
    Batch,
    record::{Annotation, KeyOutcome, MessageRecord, MessageStateRecord},
};

use crate::queue::state::{
    message::{stored_message::StoredMessage, transition::WaitState},
    order::position::Position,
    queue_state::{Blocked, QueueState},
};

/// Why a message dies that was delivered too often.
const TOO_OFTEN: &str = "max_deliveries";

/// The options of a nack.
#[derive(Clone, Debug, Default)]
pub(crate) struct NackRequest {
    pub(crate) delay_ms: u64,
    pub(crate) reason: Option<String>,
    /// Whether the delivery counts.
    pub(crate) is_counted: bool,
}

impl QueueState {
    /// The work on these messages is done: they are gone.
    pub(crate) fn ack(
        &mut self,
        leased: &[(Position, MessageRecord)],
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), Blocked> {
        for (position, message) in leased {
            self.leave(*position, message, batch);
            self.end(*position, message.note.as_deref(), KeyOutcome::Done, (now_ms, &mut *batch));
        }
        self.meta.totals.acked += leased.len() as u64;
        Ok(())
    }

    /// These messages return to their places, at once or after a delay; those that were delivered
    /// too often die.
    pub(crate) fn nack(
        &mut self,
        leased: &[(Position, MessageRecord)],
        options: &NackRequest,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), Blocked> {
        self.know_lanes_of(leased)?;
        for (position, message) in leased {
            self.leave(*position, message, batch);
            let mut stored = StoredMessage::of(message.clone());
            if let Some(reason) = &options.reason {
                stored.note.get_or_insert_default().reason = Some(reason.clone());
            }
            self.meta.totals.nacked += 1;
            self.give_back((*position, stored), options, now_ms, batch);
        }
        Ok(())
    }

    /// A message whose lease ended returns to its place, or dies.
    pub(crate) fn give_back(
        &mut self,
        (position, mut stored): (Position, StoredMessage),
        options: &NackRequest,
        now_ms: u64,
        batch: &mut Batch,
    ) {
        if !options.is_counted {
            stored.deliveries = stored.deliveries.saturating_sub(1);
        }
        let deliveries_max = self.settings.deliveries_max.filter(|_| options.is_counted);
        if deliveries_max.is_some_and(|deliveries_max| stored.deliveries >= deliveries_max) {
            let reason = match stored.note.as_deref() {
                Some(Annotation { reason: Some(reason), .. }) => format!("{TOO_OFTEN}: {reason}"),
                _ => TOO_OFTEN.to_owned(),
            };
            self.bury((position, stored), reason, now_ms, batch);
        } else if stored.is_expired(now_ms) {
            self.expire((position, stored), now_ms, batch);
        } else if options.delay_ms == 0 {
            self.enter_ready(position, stored, batch);
        } else {
            let ready_at_ms = now_ms.saturating_add(options.delay_ms);
            // What came later must not pass it in an exclusive queue: all wait with it.
            let is_holding = self.settings.is_exclusive;
            let wait = WaitState { ready_at_ms, since_ms: now_ms, is_holding };
            self.enter_scheduled(position, stored, wait, batch);
        }
    }

    /// The leases of these messages end at `until_ms` now.
    pub(crate) fn extend(
        &mut self,
        leased: &[(Position, MessageRecord)],
        until_ms: u64,
        batch: &mut Batch,
    ) {
        for (position, message) in leased {
            let MessageStateRecord::Leased(lease) = &message.state else { continue };
            self.leave_to_return(*position, message, batch);
            let mut lease = lease.clone();
            lease.expires_at_ms = until_ms;
            self.enter_leased(*position, StoredMessage::of(message.clone()), lease, batch);
        }
    }

    /// The work on these messages is given up: they die.
    pub(crate) fn dead_letter(
        &mut self,
        leased: &[(Position, MessageRecord)],
        reason: &str,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), Blocked> {
        for (position, message) in leased {
            self.leave(*position, message, batch);
            let stored = StoredMessage::of(message.clone());
            self.bury((*position, stored), reason.to_owned(), now_ms, batch);
        }
        Ok(())
    }
}
