//! From one state to another: what every change of a message has in common.

use lanekeeper_storage::{
    Batch,
    key::MessageState,
    record::{DueEntry, LeaseRecord, MessageRecord, MessageStateRecord, WorkerLease},
};

use crate::queue::state::{
    message::stored_message::{MessageMeta, StoredMessage, Victim},
    order::position::Position,
    queue_state::{Blocked, QueueState},
};

/// What a scheduled message waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitState {
    pub(crate) ready_at_ms: u64,
    /// Since when.
    pub(crate) since_ms: u64,
    /// Whether an exclusive queue gives nothing else meanwhile.
    pub(crate) is_holding: bool,
}

impl QueueState {
    /// Puts a message that is in no state now to those that are ready. Its priority's count is
    /// known.
    pub(crate) fn enter_ready(
        &mut self,
        position: Position,
        stored: StoredMessage,
        batch: &mut Batch,
    ) {
        let message_meta = stored.message_meta();
        self.note_due(position, MessageState::Ready, message_meta.due_ms, batch);
        let payload_bytes = message_meta.payload_bytes;
        let record = stored.clone().into_record(MessageStateRecord::Ready).encode();
        // Shares the record's bytes, so that the request's own can go.
        let payload = record.slice(record.len() - payload_bytes..);
        let stored = StoredMessage { payload, ..stored };
        if let Some(aging_ms) = self.settings.aging_ms {
            if self.meta.ready_count == 0 {
                self.aging.begin();
            }
            let count = self.priority_counts.count(position.priority).unwrap_or(0);
            self.aging.offer(position, &stored, count, aging_ms);
        }
        if self.is_evicting() {
            self.tail_cache.offer(position, Victim::of(&stored));
        }
        self.head_cache.offer(position, stored);
        self.priority_counts.add(position.priority);
        self.fresh.push((position, record));
        self.meta.ready_count += 1;
        self.grow(payload_bytes);
    }

    /// Lets a message that is in no state now wait for its time.
    pub(crate) fn enter_scheduled(
        &mut self,
        position: Position,
        stored: StoredMessage,
        wait: WaitState,
        batch: &mut Batch,
    ) {
        let WaitState { ready_at_ms, since_ms, is_holding } = wait;
        self.meta.scheduled_count += 1;
        if is_holding {
            self.meta.holding_count += 1;
            self.meta.held_back_until_ms = self.meta.held_back_until_ms.max(ready_at_ms);
        }
        let state = MessageStateRecord::Scheduled { ready_at_ms, since_ms, is_holding };
        self.put(position, stored.into_record(state), batch);
    }

    /// Leases a message that is in no state now.
    pub(crate) fn enter_leased(
        &mut self,
        position: Position,
        stored: StoredMessage,
        lease: LeaseRecord,
        batch: &mut Batch,
    ) {
        self.meta.leased_count += 1;
        self.meta.locked_until_ms = self.meta.locked_until_ms.max(lease.expires_at_ms);
        if let Some(worker) = &lease.worker {
            let entry = WorkerLease { queue_id: self.id.to_string() };
            batch.add(position.worker_key(self.number(), worker), entry.encode());
        }
        self.put(position, stored.into_record(MessageStateRecord::Leased(lease)), batch);
    }

    /// Takes a ready message out of its state. Its priority's count is known.
    pub(crate) fn leave_ready(
        &mut self,
        position: Position,
        message_meta: MessageMeta,
        batch: &mut Batch,
    ) {
        match self.fresh.iter().position(|(fresh, _)| *fresh == position) {
            Some(index) => drop(self.fresh.swap_remove(index)),
            None => batch.delete(position.key(self.number(), MessageState::Ready)),
        }
        self.head_cache.remove(position);
        self.tail_cache.remove(position);
        self.priority_counts.remove(position.priority);
        if let Some(aging_ms) = self.settings.aging_ms {
            self.aging.remove(
                position,
                self.priority_counts.count(position.priority).unwrap_or(0),
                aging_ms,
            );
        }
        self.meta.ready_count = self.meta.ready_count.saturating_sub(1);
        self.forget_due(position, message_meta.due_ms, batch);
        self.shrink(message_meta.payload_bytes);
    }

    /// Takes a message out of its state, whichever that is, and with it all that the state brought
    /// along. If it is ready, its priority's count is known.
    pub(crate) fn leave(&mut self, position: Position, message: &MessageRecord, batch: &mut Batch) {
        if let MessageStateRecord::Leased(LeaseRecord { permit: Some(permit), .. }) = &message.state
        {
            self.freed.push(permit.clone());
        }
        self.leave_to_return(position, message, batch);
    }

    /// As [`QueueState::leave`], for a message that returns to its state in the same turn: its
    /// lease goes on, and keeps its permit.
    pub(crate) fn leave_to_return(
        &mut self,
        position: Position,
        message: &MessageRecord,
        batch: &mut Batch,
    ) {
        let due_ms = message.due_ms();
        let message_meta = MessageMeta { payload_bytes: message.payload.len(), due_ms };
        let count = match &message.state {
            MessageStateRecord::Ready => return self.leave_ready(position, message_meta, batch),
            MessageStateRecord::Scheduled { is_holding, .. } => {
                self.meta.holding_count -= u64::from(*is_holding).min(self.meta.holding_count);
                &mut self.meta.scheduled_count
            }
            MessageStateRecord::Leased(_) => &mut self.meta.leased_count,
        };
        *count = count.saturating_sub(1);
        let queue = self.number();
        if let MessageStateRecord::Leased(LeaseRecord { worker: Some(worker), .. }) = &message.state
        {
            batch.delete(position.worker_key(queue, worker));
        }
        batch.delete(position.key(queue, message.state.of_key()));
        self.forget_due(position, due_ms, batch);
        self.shrink(message_meta.payload_bytes);
        if self.meta.leased_count == 0 {
            self.meta.locked_until_ms = 0;
        }
        if self.meta.holding_count == 0 {
            self.meta.held_back_until_ms = 0;
        }
    }

    /// Makes sure that the counts of these messages' priorities can be changed.
    pub(crate) fn know_lanes_of<'a>(
        &mut self,
        messages: impl IntoIterator<Item = &'a (Position, MessageRecord)>,
    ) -> Result<(), Blocked> {
        let priorities = messages.into_iter().map(|(position, _)| position.priority);
        let unknown = self.priority_counts.unknown(priorities);
        self.know_lanes(unknown)
    }

    fn put(&mut self, position: Position, message: MessageRecord, batch: &mut Batch) {
        let state = message.state.of_key();
        self.note_due(position, state, message.due_ms(), batch);
        self.grow(message.payload.len());
        batch.add(position.key(self.number(), state), message.encode());
    }

    fn note_due(
        &mut self,
        position: Position,
        state: MessageState,
        due_ms: Option<u64>,
        batch: &mut Batch,
    ) {
        let Some(due_ms) = due_ms else { return };
        let entry = DueEntry::new(position.priority, state);
        self.put_due(due_ms, position.due_key(self.number(), due_ms), entry.encode(), batch);
    }

    fn forget_due(&mut self, position: Position, due_ms: Option<u64>, batch: &mut Batch) {
        if let Some(due_ms) = due_ms {
            batch.delete(position.due_key(self.number(), due_ms));
        }
    }

    fn grow(&mut self, payload_bytes: usize) {
        self.meta.bytes += payload_bytes as u64;
        self.is_meta_changed = true;
    }

    fn shrink(&mut self, payload_bytes: usize) {
        self.meta.bytes = self.meta.bytes.saturating_sub(payload_bytes as u64);
        self.is_meta_changed = true;
    }
}
