//! Looking at a gate without changing it.

use std::time::Duration;

use crate::{
    gate::{
        api::stats::{AGES_S, AgeCount, GateStats, Ticket, TicketState},
        state::{
            entry::{Entry, EntryState, NEVER},
            gate_state::GateState,
        },
    },
    time::clock::from_unix_ms,
};

impl GateState {
    /// What an owner has.
    pub(crate) fn ticket(&self, owner: &str, now_ms: u64) -> Option<Ticket> {
        let index = self.find(owner)?;
        let wait_queue = self.wait_queue.as_ref()?;
        let position = || wait_queue.position(index);
        Some(self.ticket_of(&wait_queue.entries[index], position, now_ms))
    }

    /// What the one has that has just come: nobody came after it.
    pub(crate) fn newcomer(&self, index: u32, now_ms: u64) -> Option<Ticket> {
        let wait_queue = self.wait_queue.as_ref()?;
        let entry = &wait_queue.entries[index];
        let is_last = entry.arrival + 1 == self.enqueued_total;
        let position = || {
            if is_last {
                wait_queue.waiting_up_to(entry.priority)
            } else {
                wait_queue.position(index)
            }
        };
        Some(self.ticket_of(entry, position, now_ms))
    }

    fn ticket_of(&self, entry: &Entry, position: impl Fn() -> u32, now_ms: u64) -> Ticket {
        let owner = entry.owner.to_string();
        match entry.state {
            EntryState::Held { waited_ms } => Ticket {
                owner,
                state: TicketState::Granted,
                waited: Duration::from_millis(waited_ms.into()),
                expires_at: (entry.due_ms != NEVER).then(|| from_unix_ms(entry.due_ms)),
            },
            EntryState::Waiting { .. } => {
                let position = position();
                let eta = self.eta(position, now_ms);
                let blocked_by = self.holds_up();
                let waited = Duration::from_millis(now_ms.saturating_sub(entry.since_ms));
                let state = TicketState::Queued { position, eta, blocked_by };
                Ticket { owner, state, waited, expires_at: None }
            }
        }
    }

    /// The gate in numbers.
    pub(crate) fn stats(&self, now_ms: u64) -> GateStats {
        let extras = self.rare_totals();
        let mut ages = [0; AGES_S.len() + 1];
        let mut oldest_ms = None;
        for (_, entry) in self.wait_queue.iter().flat_map(|wait_queue| wait_queue.entries.iter()) {
            if !entry.is_held() {
                let age_ms = now_ms.saturating_sub(entry.since_ms);
                ages[AGES_S.partition_point(|&up_to| up_to * 1_000 < age_ms)] += 1;
                oldest_ms = Some(oldest_ms.unwrap_or(u64::MAX).min(entry.since_ms));
            }
        }
        let bounds = AGES_S.iter().map(|&up_to| Some(Duration::from_secs(up_to))).chain([None]);
        let waiting = self.waiting_count();
        let urgency = lanekeeper_storage::key::Priority::default().get();
        let ahead =
            self.wait_queue.as_ref().map_or(0, |wait_queue| wait_queue.waiting_up_to(urgency));
        let release_rate = f64::from(self.release_rate().interval_us);
        GateStats {
            queue_length: u64::from(waiting),
            active_count: u64::from(self.held_count()),
            max_concurrent: self.applied.policy.max_concurrent,
            oldest_enqueued_at: oldest_ms.map(from_unix_ms),
            total_enqueued: self.enqueued_total,
            total_granted: self.granted_total,
            total_completed: self.completed_total,
            total_expired: extras.expired,
            total_timed_out: extras.timed_out,
            total_cancelled: extras.cancelled,
            total_evicted: extras.evicted,
            total_rejected: extras.rejected,
            last_updated: (self.updated_at_ms > 0).then(|| from_unix_ms(self.updated_at_ms)),
            waits: self.wait_histogram.stats(self.buckets(), now_ms),
            ages: bounds.zip(ages).map(|(up_to, count)| AgeCount { up_to, count }).collect(),
            releases_per_second: (release_rate > 0.0).then(|| 1e6 / release_rate),
            eta: self.eta(ahead + 1, now_ms),
            policy: self.applied.source.clone(),
            is_paused: self.is_paused,
        }
    }
}
