//! The rules of a gate: what it knows, and how it changes. No clock, no I/O, no task.
//!
//! [`GateState::begin`] begins a turn: it ends what is over by now. [`GateState::settle`] ends it:
//! it gives every permit that is free, and writes. A verb in between either does all it should or
//! refuses; then it has changed nothing.

use std::sync::Arc;

use lanekeeper_storage::key;

use crate::gate::{
    api::{error::GateError, policy::AppliedPolicy},
    state::{
        entry::EntryState,
        extras::{ExtraTotals, Extras},
        release_rate::ReleaseRate,
        turn_context::{Decision, TurnContext},
        wait_histogram::{Buckets, WaitHistogram},
        wait_queue::WaitQueue,
    },
};

/// A gate in memory. Nobody waits who could run.
///
/// Kept small, since there may be a million of them at which nobody is: what only some have is in a
/// box of its own.
#[derive(Debug)]
pub(crate) struct GateState {
    pub(crate) applied: Arc<AppliedPolicy>,
    pub(crate) wait_queue: Option<Box<WaitQueue>>,
    pub(crate) extras: Option<Box<Extras>>,
    /// Owners accepted so far: also the arrival of the next one.
    pub(crate) enqueued_total: u64,
    pub(crate) granted_total: u64,
    pub(crate) completed_total: u64,
    pub(crate) updated_at_ms: u64,
    pub(crate) wait_histogram: WaitHistogram,
    /// The change of policies up to which `applied` was looked up.
    pub(crate) resolved: u32,
    pub(crate) is_paused: bool,
    pub(crate) is_changed: bool,
    /// Whether more is over, or can be let in, than the last turn could do.
    pub(crate) is_behind: bool,
    pub(crate) has_unwritten_refusals: bool,
    pub(crate) has_unwritten_waits: bool,
}

impl GateState {
    /// A gate never used.
    pub(crate) fn unused(applied: Arc<AppliedPolicy>) -> Self {
        Self {
            applied,
            wait_queue: None,
            extras: None,
            enqueued_total: 0,
            granted_total: 0,
            completed_total: 0,
            updated_at_ms: 0,
            wait_histogram: WaitHistogram::default(),
            resolved: 0,
            is_paused: false,
            is_changed: false,
            is_behind: false,
            has_unwritten_refusals: false,
            has_unwritten_waits: false,
        }
    }

    pub(crate) fn waiting_count(&self) -> u32 {
        self.wait_queue.as_ref().map_or(0, |wait_queue| wait_queue.waiting_count)
    }

    pub(crate) fn held_count(&self) -> u32 {
        self.wait_queue.as_ref().map_or(0, |wait_queue| wait_queue.held_count)
    }

    /// Bytes of memory held by what most gates never have.
    pub(crate) fn rare_bytes(&self) -> usize {
        let extras = self.extras.as_ref().map_or(0, |_| size_of::<Extras>());
        extras + self.buckets().map_or(0, size_of_val)
    }

    pub(crate) fn find(&self, owner: &str) -> Option<u32> {
        self.wait_queue.as_ref()?.find(owner)
    }

    /// What most gates never have, made if it is missing.
    pub(crate) fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// Totals that most gates never count, to be counted.
    pub(crate) fn count(&mut self) -> &mut ExtraTotals {
        &mut self.extras().totals
    }

    pub(crate) fn rare_totals(&self) -> ExtraTotals {
        self.extras.as_ref().map_or_else(ExtraTotals::default, |extras| extras.totals)
    }

    pub(crate) fn release_rate(&self) -> ReleaseRate {
        self.extras.as_ref().map_or_else(ReleaseRate::default, |extras| extras.release_rate)
    }

    /// The waits of those who did wait.
    pub(crate) fn buckets(&self) -> Option<&Buckets> {
        self.extras.as_ref()?.wait_histogram.as_deref()
    }

    /// The places; there are some.
    pub(crate) fn wait_queue(&mut self) -> &mut WaitQueue {
        self.wait_queue.as_mut().expect("an owner at the gate is in its crowd")
    }

    /// When the gate has something to do by itself.
    pub(crate) fn next_due_ms(&self, now_ms: u64) -> Option<u64> {
        if self.is_behind {
            return Some(now_ms);
        }
        self.wait_queue.as_ref()?.first_due().map(|(_, due_ms)| due_ms)
    }

    /// Ends what is over: permits whose ttl has passed, owners that have waited too long.
    pub(crate) fn begin(&mut self, change: &mut TurnContext<'_>) {
        self.is_behind = false;
        while let Some(wait_queue) = &self.wait_queue
            && let Some((index, due_ms)) = wait_queue.first_due()
            && due_ms <= change.now_ms
            && change.take_move()
        {
            if wait_queue.entries[index].is_held() {
                self.count().expired += 1;
                self.end_permit(index, change);
            } else {
                let since_ms = wait_queue.entries[index].since_ms;
                let waited = change.now_ms.saturating_sub(since_ms);
                let waited = u32::try_from(waited).unwrap_or(u32::MAX);
                self.count().timed_out += 1;
                self.send_away(index, Decision::TimedOut(waited), change);
            }
        }
        // Before a newcomer looks whether there is room: it must pass nobody.
        self.grant(change);
    }

    /// Ends a permit.
    pub(crate) fn release(&mut self, owner: &str, change: &mut TurnContext<'_>) -> bool {
        let Some(index) = self.find(owner) else { return false };
        if !self.wait_queue().entries[index].is_held() {
            return false;
        }
        self.completed_total += 1;
        self.end_permit(index, change);
        true
    }

    /// Takes a waiter out of the line.
    pub(crate) fn cancel(
        &mut self,
        owner: &str,
        change: &mut TurnContext<'_>,
    ) -> Result<(), GateError> {
        let index = self.find(owner).ok_or(GateError::TicketNotFound)?;
        if self.wait_queue().entries[index].is_held() {
            return Err(GateError::Granted);
        }
        self.count().cancelled += 1;
        self.send_away(index, Decision::Cancelled, change);
        Ok(())
    }

    /// Gives up what an acquire got for somebody who is not there any more.
    pub(crate) fn cancel_wait(&mut self, index: u32, change: &mut TurnContext<'_>) {
        if self.wait_queue().entries[index].is_held() {
            self.completed_total += 1;
            self.end_permit(index, change);
        } else {
            self.count().cancelled += 1;
            self.send_away(index, Decision::Cancelled, change);
        }
    }

    /// Lets a permit end so much later than now; answers when.
    pub(crate) fn extend(
        &mut self,
        owner: &str,
        ttl_ms: u64,
        change: &mut TurnContext<'_>,
    ) -> Result<u64, GateError> {
        let index = self.find(owner).ok_or(GateError::PermitNotFound)?;
        if !self.wait_queue().entries[index].is_held() {
            return Err(GateError::PermitNotFound);
        }
        let due_ms = change.now_ms + ttl_ms;
        self.wait_queue().move_deadline(index, due_ms);
        self.write_place(index, change);
        self.is_changed = true;
        Ok(due_ms)
    }

    /// Lets nobody in from now on, or again; answers whether that is new.
    pub(crate) fn pause(&mut self, is_paused: bool) -> bool {
        let is_new = self.is_paused != is_paused;
        self.is_paused = is_paused;
        self.is_changed |= is_new;
        is_new
    }

    /// Goes by another policy from now on. Permits that are held stay held.
    pub(crate) fn apply(&mut self, applied: Arc<AppliedPolicy>) {
        let has_other_groups = applied.policy.group != self.applied.policy.group;
        self.applied = applied;
        if let Some(wait_queue) = self.wait_queue.as_mut().filter(|_| has_other_groups) {
            wait_queue.regroup(&self.applied.policy.group);
        }
    }

    /// Ends a turn: gives the permits that are free, and writes what has changed.
    pub(crate) fn settle(&mut self, change: &mut TurnContext<'_>) {
        self.grant(change);
        if let Some(wait_queue) = &self.wait_queue
            && wait_queue.entries.len() == 0
        {
            self.wait_queue = None;
        }
        if std::mem::take(&mut self.is_changed) {
            self.updated_at_ms = change.now_ms;
            self.has_unwritten_refusals = false;
            self.write_figures(change);
        }
    }

    /// Gives permits for as long as one is free and somebody can have it.
    fn grant(&mut self, change: &mut TurnContext<'_>) {
        let Some(wait_queue) = self.wait_queue.as_mut().filter(|_| !self.is_paused) else { return };
        let max_concurrent = self.applied.policy.max_concurrent;
        let mut granted = Vec::new();
        while let Some(group_queue) = wait_queue.next_line(max_concurrent) {
            if !change.take_move() {
                self.is_behind = true;
                break;
            }
            granted.push(wait_queue.grant_first(group_queue, change.now_ms));
        }
        for index in granted {
            let entry = &self.wait_queue().entries[index];
            let EntryState::Held { waited_ms } = entry.state else { continue };
            change.granted.push(entry.owner.to_string());
            change.decided.push((index, Decision::Granted(waited_ms)));
            self.note_granted(waited_ms, change);
            self.write_place(index, change);
        }
    }

    pub(crate) fn note_granted(&mut self, waited_ms: u32, change: &TurnContext<'_>) {
        self.granted_total += 1;
        // Whoever did not wait is counted without a box.
        let extras = match waited_ms {
            0 => self.extras.as_mut(),
            _ => Some(self.extras.get_or_insert_default()),
        };
        let mut none = None;
        let buckets = extras.map_or(&mut none, |extras| &mut extras.wait_histogram);
        self.wait_histogram.add(u64::from(waited_ms), change.now_ms, buckets);
        self.has_unwritten_waits |= waited_ms > 0;
        self.is_changed = true;
    }

    pub(crate) fn end_permit(&mut self, index: u32, change: &mut TurnContext<'_>) {
        let now_ms = change.now_ms;
        self.remove(index, change);
        if self.waiting_count() > 0 {
            self.extras().release_rate.note_end(now_ms);
        } else if let Some(extras) = &mut self.extras {
            extras.release_rate.pause();
        }
        self.is_changed = true;
    }

    pub(crate) fn send_away(
        &mut self,
        index: u32,
        decision: Decision,
        change: &mut TurnContext<'_>,
    ) {
        self.remove(index, change);
        change.decided.push((index, decision));
        self.is_changed = true;
    }

    fn remove(&mut self, index: u32, change: &mut TurnContext<'_>) {
        let wait_queue = self.wait_queue();
        let worker = wait_queue.worker_of(index).map(str::to_owned);
        let gone = wait_queue.remove(index);
        change.batch.delete(key::gate_place(change.gate, &gone.owner));
        if let Some(worker) = worker {
            change.batch.delete(key::worker_place(&worker, change.gate, &gone.owner));
        }
        change.batch.frees_space();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::gate::{
        api::policy::{GatePolicy, GroupLimit},
        testing::test_harness::{TestHarness, tenant, wanted},
        verb::acquire::{AcquireRequest, Admission},
    };

    #[test]
    fn a_verb_writes_what_it_changes_and_the_totals() {
        let mut harness = TestHarness::new(GatePolicy::concurrent(1));
        harness.acquire("a").unwrap();
        assert_eq!(harness.write_count, 2, "the permit, the totals");
        harness.acquire("b").unwrap();
        assert_eq!(harness.write_count, 2, "the place, the totals");
        harness.acquire("b").unwrap();
        assert_eq!(harness.write_count, 0, "nothing has changed");
        assert!(harness.release("a"));
        assert_eq!(harness.write_count, 3, "the permit that ended, the one that began, the totals");
        assert_eq!(harness.granted, ["b"]);
        assert!(!harness.release("a"));
        assert_eq!(harness.write_count, 0);
    }

    #[test]
    fn waits_are_written_with_a_commit_that_is_made_anyway_and_seldom() {
        let mut harness = TestHarness::new(GatePolicy::concurrent(1));
        let mut written = 0;
        for n in 0..100 {
            harness.acquire(&format!("o{n}")).unwrap();
        }
        for n in 0..99 {
            harness.advance(Duration::from_secs(1));
            assert_eq!(harness.write_count, 0, "time alone writes nothing");
            harness.release(&format!("o{n}"));
            written += harness.write_count - 3;
        }
        assert!((9..=11).contains(&written), "{written} times in 99 s");
        harness.reactivate();
        let count = harness.rules.stats(harness.now_ms).waits.count;
        assert!((89..=99).contains(&count), "{count} are known after a crash");
    }

    #[test]
    fn a_gate_that_nobody_is_at_keeps_no_crowd() {
        let mut harness = TestHarness::new(GatePolicy::concurrent(1));
        harness.acquire("a").unwrap();
        let mut try_only = wanted("b");
        try_only.timeout_ms = Some(0);
        assert!(harness.ask(&try_only).is_err());
        assert!(harness.rules.wait_queue.is_some());
        harness.release("a");
        assert!(harness.rules.wait_queue.is_none());
    }

    #[test]
    fn one_held_up_by_its_group_stands_aside_and_keeps_its_place() {
        let group = vec![GroupLimit { name: "tenant".into(), max_concurrent: 1 }];
        let mut harness = TestHarness::new(GatePolicy { group, ..GatePolicy::concurrent(2) });
        let of =
            |owner: &str, value: &str| AcquireRequest { group: tenant(value), ..wanted(owner) };
        let granted = Admission::Granted { waited_ms: 0 };
        assert_eq!(harness.ask(&of("a1", "a")).unwrap(), granted);
        assert!(matches!(harness.ask(&of("a2", "a")), Ok(Admission::Waiting(_))));
        assert_eq!(harness.ask(&of("b1", "b")).unwrap(), granted, "it goes past a2");
        assert!(matches!(harness.ask(&of("a3", "a")), Ok(Admission::Waiting(_))));
        assert!(matches!(harness.ask(&of("c1", "c")), Ok(Admission::Waiting(_))));
        harness.release("b1");
        assert_eq!(harness.granted, ["c1"], "a2 and a3 still wait for their tenant");
        harness.release("a1");
        assert_eq!(harness.granted, ["a2"]);
        harness.release("a2");
        assert_eq!(harness.granted, ["a3"]);
    }
}
