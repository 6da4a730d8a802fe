//! Acquiring: who runs at once, who waits, and who is refused.

use lanekeeper_storage::record::OnFullLine as OnFull;
use std::{sync::Arc, time::Duration};

use lanekeeper_storage::key;

use crate::gate::{
    api::{
        error::{BlockedBy, GateError},
        group::Group,
    },
    state::{
        entry::{EntryState, NEVER},
        gate_state::GateState,
        rate_limit::RateUsage,
        turn_context::{Decision, TurnContext},
        wait_queue::NewEntry,
    },
};

/// What an owner asks for, within the bounds.
#[derive(Clone, Debug)]
pub(crate) struct AcquireRequest {
    pub(crate) owner: Box<str>,
    pub(crate) priority: u32,
    pub(crate) group: Group,
    pub(crate) worker: Option<Box<str>>,
    /// How long to wait; as the policy has it if `None`, not at all if 0.
    pub(crate) timeout_ms: Option<u64>,
    /// How long the permit lasts; until it is released if 0.
    pub(crate) ttl_ms: u32,
    /// Which acquire gives the place up when it is dropped; 0 if none does.
    pub(crate) attempt: u32,
}

/// What an owner gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// A permit, for which it had waited so many milliseconds.
    Granted { waited_ms: u32 },
    /// A place in the line, by its number.
    Waiting(u32),
}

/// The wait that a full line is answered with while nothing is known of its pace.
const RETRY_UNKNOWN: Duration = Duration::from_secs(1);

impl GateState {
    /// Gives an owner a permit or a place in the line, or what it has already.
    ///
    /// Of several reasons to refuse, the first is told: pause, full, quota, rate, concurrency. (The
    /// node's drain comes before all of them and is told by the node.)
    pub(crate) fn acquire(
        &mut self,
        wanted: &AcquireRequest,
        change: &mut TurnContext<'_>,
    ) -> Result<Admission, GateError> {
        if let Some(index) = self.find(&wanted.owner) {
            return Ok(self.as_it_is(index, wanted.attempt));
        }
        let is_new = self.wait_queue.is_none();
        let limits = Arc::clone(&self.applied);
        let group_queue =
            self.wait_queue.get_or_insert_default().line_of(&wanted.group, &limits.policy.group);
        let admitted = self.decide(wanted, group_queue, change);
        if admitted.is_err() {
            self.wait_queue().tidy(group_queue);
            if is_new {
                self.wait_queue = None;
            }
            self.count().rejected += 1;
            self.has_unwritten_refusals = true;
        }
        admitted
    }

    /// What an owner has that is here already. Its place and its terms stay as they are; a permit
    /// is not given up with the acquire that got it from now on, nor a place that is taken to stay.
    fn as_it_is(&mut self, index: u32, attempt: u32) -> Admission {
        let entry = &mut self.wait_queue().entries[index];
        match entry.state {
            EntryState::Held { waited_ms } => {
                entry.attempt = 0;
                Admission::Granted { waited_ms }
            }
            EntryState::Waiting { .. } => {
                if attempt == 0 {
                    entry.attempt = 0;
                }
                Admission::Waiting(index)
            }
        }
    }

    fn decide(
        &mut self,
        wanted: &AcquireRequest,
        group_queue: u32,
        change: &mut TurnContext<'_>,
    ) -> Result<Admission, GateError> {
        let applied = Arc::clone(&self.applied);
        let policy = &applied.policy;
        if self.is_paused {
            return Err(GateError::Paused);
        }
        // While some are still to be let in, a newcomer would pass them.
        let has_room =
            !self.is_behind && self.wait_queue().has_room(group_queue, policy.max_concurrent);
        let waiting = self.waiting_count();
        let is_full = !has_room && waiting >= policy.queue_length_max;
        if is_full && policy.on_full == OnFull::Reject {
            let retry_after = self.eta(1, change.now_ms).unwrap_or(RETRY_UNKNOWN);
            let limit = policy.queue_length_max;
            return Err(GateError::Full { current: waiting, limit, retry_after });
        }
        self.check_usage(change.now_ms)?;
        if !has_room && wanted.timeout_ms == Some(0) {
            return Err(GateError::TimedOut { waited: Duration::ZERO });
        }
        if is_full {
            self.evict(policy.on_full, change);
        }
        self.count_usage(change);
        // The line may have been forgotten with the one that gave way.
        let group_queue = self.wait_queue().line_of(&wanted.group, &policy.group);
        Ok(self.enter(wanted, group_queue, has_room, change))
    }

    fn enter(
        &mut self,
        wanted: &AcquireRequest,
        group_queue: u32,
        has_room: bool,
        change: &mut TurnContext<'_>,
    ) -> Admission {
        let now_ms = change.now_ms;
        let timeout_ms =
            wanted.timeout_ms.unwrap_or_else(|| crate::gate::millis(self.applied.policy.timeout));
        let due_ms = match (has_room, wanted.ttl_ms) {
            (true, 0) => NEVER,
            (true, ttl_ms) => now_ms + u64::from(ttl_ms),
            (false, _) => now_ms + timeout_ms,
        };
        let new_entry = NewEntry {
            owner: wanted.owner.clone(),
            arrival: self.enqueued_total,
            priority: wanted.priority,
            since_ms: now_ms,
            due_ms,
            attempt: wanted.attempt,
        };
        self.enqueued_total += 1;
        let wait_queue = self.wait_queue();
        let index = if has_room {
            wait_queue.admit(new_entry, group_queue, 0)
        } else {
            wait_queue.join(new_entry, group_queue, wanted.ttl_ms)
        };
        if let Some(worker) = &wanted.worker {
            wait_queue.tie(index, worker.clone());
            let entry = key::worker_place(worker, change.gate, &wanted.owner);
            change.batch.add(entry, Vec::new());
        }
        self.add_place(index, change);
        self.is_changed = true;
        if has_room {
            self.note_granted(0, change);
            return Admission::Granted { waited_ms: 0 };
        }
        Admission::Waiting(index)
    }

    fn evict(&mut self, on_full: OnFull, change: &mut TurnContext<'_>) {
        let wait_queue = self.wait_queue();
        let victim = match on_full {
            OnFull::CancelOldest => wait_queue.oldest(),
            OnFull::CancelNewest | OnFull::Reject => wait_queue.newest(),
        };
        if let Some(index) = victim {
            self.count().evicted += 1;
            self.send_away(index, Decision::GaveWay, change);
        }
    }

    fn check_usage(&self, now_ms: u64) -> Result<(), GateError> {
        let policy = &self.applied.policy;
        let unused = RateUsage::default();
        let rate_usage =
            self.extras.as_ref().and_then(|extras| extras.rate_usage.as_ref()).unwrap_or(&unused);
        if let Some(quota) = policy.quota {
            let wait_ms = rate_usage.quota_wait_ms(quota, now_ms);
            if wait_ms > 0 {
                return Err(GateError::QuotaExceeded {
                    limit: quota.limit,
                    window: Duration::from_secs(u64::from(quota.per.seconds())),
                    retry_after: Duration::from_millis(wait_ms),
                });
            }
        }
        if let Some(rate) = policy.rate {
            let wait_ms = rate_usage.rate_wait_ms(rate, now_ms);
            if wait_ms > 0 {
                let retry_after = Duration::from_millis(wait_ms);
                return Err(GateError::RateLimited { rate, retry_after });
            }
        }
        Ok(())
    }

    fn count_usage(&mut self, change: &mut TurnContext<'_>) {
        let (rate, quota) = (self.applied.policy.rate, self.applied.policy.quota);
        if rate.is_none() && quota.is_none() {
            return;
        }
        let rate_usage = self.extras().rate_usage.get_or_insert_default();
        rate_usage.count(rate, quota, change.now_ms);
        change.batch.put(key::gate_usage(change.gate), rate_usage.record().encode());
    }

    /// When the one at a position is likely to be let in, by the pace at which permits end.
    pub(crate) fn eta(&self, position: u32, now_ms: u64) -> Option<Duration> {
        self.release_rate().eta(position, now_ms)
    }

    /// What keeps an owner in line.
    pub(crate) fn holds_up(&self) -> BlockedBy {
        if self.is_paused { BlockedBy::Pause } else { BlockedBy::Concurrency }
    }
}
