//! What the rules write: places, the gate in figures, and how long owners waited.

use bytes::Bytes;
use lanekeeper_storage::{
    Key, key,
    record::{EntryRecord, GateMeta, StoredEntryState},
};

use crate::gate::state::{
    entry::{Entry, EntryState, NEVER},
    gate_state::GateState,
    turn_context::TurnContext,
};

/// How often at most the waits of the last minutes are written, with a commit that is made anyway.
const WAITS_WRITTEN_EVERY_MS: u64 = 10_000;

impl GateState {
    /// Writes the figures that have changed, and now and then the waits with them.
    pub(crate) fn write_figures(&mut self, change: &mut TurnContext<'_>) {
        change.batch.put(key::gate_meta(change.gate), self.meta().encode());
        if !self.has_unwritten_waits {
            return;
        }
        let now_s = (change.now_ms / 1_000) as u32;
        let is_due = u64::from(now_s.abs_diff(self.extras().waits_written_s)) * 1_000;
        if is_due >= WAITS_WRITTEN_EVERY_MS {
            self.extras().waits_written_s = now_s;
            self.write_waits(change);
        }
    }

    /// Writes what no change has written yet: before the gate is put away.
    pub(crate) fn settle_figures(&mut self, change: &mut TurnContext<'_>) {
        if std::mem::take(&mut self.has_unwritten_refusals) && self.enqueued_total > 0 {
            change.batch.put(key::gate_meta(change.gate), self.meta().encode());
        }
        if self.has_unwritten_waits && self.buckets().is_some() {
            self.write_waits(change);
        }
    }

    fn write_waits(&mut self, change: &mut TurnContext<'_>) {
        self.has_unwritten_waits = false;
        let record = self.wait_histogram.record(self.buckets());
        change.batch.put(key::gate_waits(change.gate), record.encode());
    }

    /// Writes a place that has changed.
    pub(crate) fn write_place(&mut self, index: u32, change: &mut TurnContext<'_>) {
        let (key, record) = self.place_record(index, change);
        change.batch.put(key, record);
    }

    /// Writes the place of a newcomer.
    pub(crate) fn add_place(&mut self, index: u32, change: &mut TurnContext<'_>) {
        let (key, record) = self.place_record(index, change);
        change.batch.add(key, record);
    }

    fn place_record(&mut self, index: u32, change: &TurnContext<'_>) -> (Key, Bytes) {
        let wait_queue = self.wait_queue();
        let Entry { owner, arrival, priority, since_ms, due_ms, state, .. } =
            &wait_queue.entries[index];
        let (since_ms, due_ms) = (*since_ms, *due_ms);
        let state = match *state {
            EntryState::Waiting { ttl_ms, .. } => {
                StoredEntryState::Waiting { since_ms, due_ms, ttl_ms }
            }
            EntryState::Held { waited_ms } => {
                let due_ms = (due_ms != NEVER).then_some(due_ms);
                StoredEntryState::Held { since_ms, due_ms, waited_ms: u64::from(waited_ms) }
            }
        };
        let group = wait_queue.group_of(index).pairs();
        let worker = wait_queue.worker_of(index).map(str::to_owned);
        let record = EntryRecord { arrival: *arrival, priority: *priority, group, worker, state };
        (key::gate_place(change.gate, owner), record.encode())
    }

    fn meta(&self) -> GateMeta {
        let (extras, release_rate) = (self.rare_totals(), self.release_rate());
        GateMeta {
            arrival_next: self.enqueued_total,
            waiting_count: u64::from(self.waiting_count()),
            held_count: u64::from(self.held_count()),
            is_paused: self.is_paused,
            enqueued_total: self.enqueued_total,
            granted_total: self.granted_total,
            completed_total: self.completed_total,
            expired_total: extras.expired,
            timed_out_total: extras.timed_out,
            cancelled_total: extras.cancelled,
            evicted_total: extras.evicted,
            rejected_total: extras.rejected,
            updated_at_ms: self.updated_at_ms,
            end_interval_us: u64::from(release_rate.interval_us),
            ended_at_ms: release_rate.ended_at_ms,
        }
    }
}
