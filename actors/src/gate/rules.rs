//! The rules of a gate: what it knows, and how it changes. No clock, no I/O, no task.
//!
//! [`Rules::begin`] begins a turn: it ends what is over by now. [`Rules::settle`] ends it: it gives
//! every permit that is free, and writes. A verb in between either does all it should or refuses;
//! then it has changed nothing.

use std::sync::Arc;

use lanekeeper_storage::{
    key,
    record::{GateMeta, PlaceRecord, PlaceState},
};

use super::{
    AppliedPolicy, GateError,
    change::{Change, Decision},
    crowd::Crowd,
    place::{NEVER, Place, State},
    usage::Usage,
    waits::Waits,
};

/// How often at most the waits of the last minutes are written, with a commit that is made anyway.
const WAITS_WRITTEN_EVERY_MS: u64 = 10_000;

/// Totals that most gates never count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RareTotals {
    pub(super) timed_out: u64,
    pub(super) cancelled: u64,
    pub(super) evicted: u64,
    pub(super) expired: u64,
    pub(super) rejected: u64,
}

/// A gate in memory. Nobody waits who could run.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) applied: Arc<AppliedPolicy>,
    pub(super) crowd: Option<Box<Crowd>>,
    pub(super) usage: Option<Box<Usage>>,
    pub(super) waits: Waits,
    pub(super) rare: Option<Box<RareTotals>>,
    pub(super) arrival_next: u64,
    pub(super) enqueued_total: u64,
    pub(super) granted_total: u64,
    pub(super) completed_total: u64,
    pub(super) updated_at_ms: u64,
    /// When a permit ended last while somebody waited; 0 if nobody did.
    pub(super) ended_at_ms: u64,
    pub(super) end_interval_us: u32,
    /// When the waits were written last, in seconds.
    pub(super) waits_written_s: u32,
    pub(super) is_paused: bool,
    pub(super) is_changed: bool,
    /// Whether more is over, or can be let in, than the last turn could do.
    pub(super) is_behind: bool,
    pub(super) has_unwritten_refusals: bool,
    pub(super) has_unwritten_waits: bool,
}

impl Rules {
    /// A gate never used.
    pub(super) fn unused(applied: Arc<AppliedPolicy>) -> Self {
        Self {
            applied,
            crowd: None,
            usage: None,
            waits: Waits::default(),
            rare: None,
            arrival_next: 0,
            enqueued_total: 0,
            granted_total: 0,
            completed_total: 0,
            updated_at_ms: 0,
            ended_at_ms: 0,
            end_interval_us: 0,
            waits_written_s: 0,
            is_paused: false,
            is_changed: false,
            is_behind: false,
            has_unwritten_refusals: false,
            has_unwritten_waits: false,
        }
    }

    pub(super) fn waiting_count(&self) -> u32 {
        self.crowd.as_ref().map_or(0, |crowd| crowd.waiting_count)
    }

    pub(super) fn held_count(&self) -> u32 {
        self.crowd.as_ref().map_or(0, |crowd| crowd.held_count)
    }

    pub(super) fn find(&self, owner: &str) -> Option<u32> {
        self.crowd.as_ref()?.find(owner)
    }

    pub(super) fn rare(&mut self) -> &mut RareTotals {
        self.rare.get_or_insert_default()
    }

    /// The places; there are some.
    pub(super) fn crowd(&mut self) -> &mut Crowd {
        self.crowd.as_mut().expect("an owner at the gate is in its crowd")
    }

    /// When the gate has something to do by itself.
    pub(super) fn next_due_ms(&self, now_ms: u64) -> Option<u64> {
        if self.is_behind {
            return Some(now_ms);
        }
        self.crowd.as_ref()?.first_due().map(|(_, due_ms)| due_ms)
    }

    /// Ends what is over: permits whose ttl has passed, owners that have waited too long.
    pub(super) fn begin(&mut self, change: &mut Change<'_>) {
        self.is_behind = false;
        while let Some(crowd) = &self.crowd
            && let Some((index, due_ms)) = crowd.first_due()
            && due_ms <= change.now_ms
            && change.take_move()
        {
            if crowd.places[index].is_held() {
                self.rare().expired += 1;
                self.end_permit(index, change);
            } else {
                let since_ms = crowd.places[index].since_ms;
                let waited = change.now_ms.saturating_sub(since_ms);
                let waited = u32::try_from(waited).unwrap_or(u32::MAX);
                self.rare().timed_out += 1;
                self.send_away(index, Decision::TimedOut(waited), change);
            }
        }
        // Before a newcomer looks whether there is room: it must pass nobody.
        self.grant(change);
    }

    /// Ends a permit.
    pub(super) fn release(&mut self, owner: &str, change: &mut Change<'_>) -> bool {
        let Some(index) = self.find(owner) else { return false };
        if !self.crowd().places[index].is_held() {
            return false;
        }
        self.completed_total += 1;
        self.end_permit(index, change);
        true
    }

    /// Takes a waiter out of the line.
    pub(super) fn cancel(&mut self, owner: &str, change: &mut Change<'_>) -> Result<(), GateError> {
        let index = self.find(owner).ok_or(GateError::TicketNotFound)?;
        if self.crowd().places[index].is_held() {
            return Err(GateError::Granted);
        }
        self.rare().cancelled += 1;
        self.send_away(index, Decision::Cancelled, change);
        Ok(())
    }

    /// Gives up what an acquire got for somebody who is not there any more.
    pub(super) fn abandon(&mut self, index: u32, change: &mut Change<'_>) {
        if self.crowd().places[index].is_held() {
            self.completed_total += 1;
            self.end_permit(index, change);
        } else {
            self.rare().cancelled += 1;
            self.send_away(index, Decision::Cancelled, change);
        }
    }

    /// Lets a permit end so much later than now; answers when.
    pub(super) fn extend(
        &mut self,
        owner: &str,
        ttl_ms: u64,
        change: &mut Change<'_>,
    ) -> Result<u64, GateError> {
        let index = self.find(owner).ok_or(GateError::PermitNotFound)?;
        if !self.crowd().places[index].is_held() {
            return Err(GateError::PermitNotFound);
        }
        let due_ms = change.now_ms + ttl_ms;
        self.crowd().move_deadline(index, due_ms);
        self.write_place(index, change);
        self.is_changed = true;
        Ok(due_ms)
    }

    /// Lets nobody in from now on, or again; answers whether that is new.
    pub(super) fn pause(&mut self, is_paused: bool) -> bool {
        let is_new = self.is_paused != is_paused;
        self.is_paused = is_paused;
        self.is_changed |= is_new;
        is_new
    }

    /// Goes by another policy from now on. Permits that are held stay held.
    pub(super) fn apply(&mut self, applied: Arc<AppliedPolicy>) {
        let has_other_groups = applied.policy.group != self.applied.policy.group;
        self.applied = applied;
        if let Some(crowd) = self.crowd.as_mut().filter(|_| has_other_groups) {
            crowd.regroup(&self.applied.policy.group);
        }
    }

    /// Ends a turn: gives the permits that are free, and writes what has changed.
    pub(super) fn settle(&mut self, change: &mut Change<'_>) {
        self.grant(change);
        if let Some(crowd) = &self.crowd
            && crowd.places.len() == 0
        {
            self.crowd = None;
        }
        if std::mem::take(&mut self.is_changed) {
            self.updated_at_ms = change.now_ms;
            self.has_unwritten_refusals = false;
            change.batch.put(key::gate_meta(change.gate), self.meta().encode());
            let now_s = (change.now_ms / 1_000) as u32;
            let is_due = now_s.abs_diff(self.waits_written_s) as u64 * 1_000;
            if self.has_unwritten_waits && is_due >= WAITS_WRITTEN_EVERY_MS {
                self.waits_written_s = now_s;
                self.write_waits(change);
            }
        }
    }

    /// Writes what no change has written yet: before the gate is put away.
    pub(super) fn settle_figures(&mut self, change: &mut Change<'_>) {
        if std::mem::take(&mut self.has_unwritten_refusals) && self.arrival_next > 0 {
            change.batch.put(key::gate_meta(change.gate), self.meta().encode());
        }
        if self.has_unwritten_waits && !self.waits.is_flat() {
            self.write_waits(change);
        }
    }

    fn write_waits(&mut self, change: &mut Change<'_>) {
        self.has_unwritten_waits = false;
        change.batch.put(key::gate_waits(change.gate), self.waits.record().encode());
    }

    /// Gives permits for as long as one is free and somebody can have it.
    fn grant(&mut self, change: &mut Change<'_>) {
        let Some(crowd) = self.crowd.as_mut().filter(|_| !self.is_paused) else { return };
        let max_concurrent = self.applied.policy.max_concurrent;
        let mut granted = Vec::new();
        while let Some(line) = crowd.next_line(max_concurrent) {
            if !change.take_move() {
                self.is_behind = true;
                break;
            }
            granted.push(crowd.grant_first(line, change.now_ms));
        }
        for index in granted {
            let place = &self.crowd().places[index];
            let State::Held { waited_ms } = place.state else { continue };
            change.granted.push(place.owner.to_string());
            change.decided.push((index, Decision::Granted(waited_ms)));
            self.note_granted(waited_ms, change);
            self.write_place(index, change);
        }
    }

    pub(super) fn note_granted(&mut self, waited_ms: u32, change: &Change<'_>) {
        self.granted_total += 1;
        self.waits.add(u64::from(waited_ms), change.now_ms);
        self.has_unwritten_waits |= waited_ms > 0;
        self.is_changed = true;
    }

    pub(super) fn end_permit(&mut self, index: u32, change: &mut Change<'_>) {
        let now_ms = change.now_ms;
        self.remove(index, change);
        if self.waiting_count() == 0 {
            self.ended_at_ms = 0;
        } else {
            if self.ended_at_ms > 0 {
                self.note_interval(now_ms.saturating_sub(self.ended_at_ms));
            }
            self.ended_at_ms = now_ms;
        }
        self.is_changed = true;
    }

    /// Smooths the time between two permits that end, as RFC 6298 smooths round trips.
    fn note_interval(&mut self, interval_ms: u64) {
        let interval_us = u32::try_from(interval_ms.saturating_mul(1_000)).unwrap_or(u32::MAX);
        let before = self.end_interval_us;
        let step = (i64::from(interval_us) - i64::from(before)) / 8;
        self.end_interval_us =
            if before == 0 { interval_us } else { (i64::from(before) + step) as u32 };
    }

    pub(super) fn send_away(&mut self, index: u32, decision: Decision, change: &mut Change<'_>) {
        self.remove(index, change);
        change.decided.push((index, decision));
        self.is_changed = true;
    }

    fn remove(&mut self, index: u32, change: &mut Change<'_>) {
        let crowd = self.crowd();
        let worker = crowd.worker_of(index).map(str::to_owned);
        let gone = crowd.remove(index);
        change.batch.delete(key::gate_place(change.gate, &gone.owner));
        if let Some(worker) = worker {
            change.batch.delete(key::worker_place(&worker, change.gate, &gone.owner));
        }
        change.batch.frees_space();
    }

    /// Writes a place as it is now.
    pub(super) fn write_place(&mut self, index: u32, change: &mut Change<'_>) {
        let crowd = self.crowd();
        let Place { owner, arrival, priority, since_ms, due_ms, state, .. } = &crowd.places[index];
        let (since_ms, due_ms) = (*since_ms, *due_ms);
        let state = match *state {
            State::Waiting { ttl_ms, .. } => PlaceState::Waiting { since_ms, due_ms, ttl_ms },
            State::Held { waited_ms } => {
                let due_ms = (due_ms != NEVER).then_some(due_ms);
                PlaceState::Held { since_ms, due_ms, waited_ms: u64::from(waited_ms) }
            }
        };
        let group = crowd.group_of(index).pairs();
        let worker = crowd.worker_of(index).map(str::to_owned);
        let record =
            PlaceRecord { arrival: *arrival, priority: *priority, group, worker, state }.encode();
        change.batch.put(key::gate_place(change.gate, owner), record);
    }

    pub(super) fn meta(&self) -> GateMeta {
        let rare = self.rare.as_deref().copied().unwrap_or_default();
        GateMeta {
            arrival_next: self.arrival_next,
            waiting_count: u64::from(self.waiting_count()),
            held_count: u64::from(self.held_count()),
            is_paused: self.is_paused,
            enqueued_total: self.enqueued_total,
            granted_total: self.granted_total,
            completed_total: self.completed_total,
            expired_total: rare.expired,
            timed_out_total: rare.timed_out,
            cancelled_total: rare.cancelled,
            evicted_total: rare.evicted,
            rejected_total: rare.rejected,
            updated_at_ms: self.updated_at_ms,
            end_interval_us: u64::from(self.end_interval_us),
            ended_at_ms: self.ended_at_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::gate::{
        GatePolicy, GroupLimit,
        acquire::{Admission, Wanted},
        trial::{Trial, tenant, wanted},
    };

    #[test]
    fn a_verb_writes_what_it_changes_and_the_totals() {
        let mut trial = Trial::new(GatePolicy::concurrent(1));
        trial.acquire("a").unwrap();
        assert_eq!(trial.write_count, 2, "the permit, the totals");
        trial.acquire("b").unwrap();
        assert_eq!(trial.write_count, 2, "the place, the totals");
        trial.acquire("b").unwrap();
        assert_eq!(trial.write_count, 0, "nothing has changed");
        assert!(trial.release("a"));
        assert_eq!(trial.write_count, 3, "the permit that ended, the one that began, the totals");
        assert_eq!(trial.granted, ["b"]);
        assert!(!trial.release("a"));
        assert_eq!(trial.write_count, 0);
    }

    #[test]
    fn waits_are_written_with_a_commit_that_is_made_anyway_and_seldom() {
        let mut trial = Trial::new(GatePolicy::concurrent(1));
        let mut written = 0;
        for n in 0..100 {
            trial.acquire(&format!("o{n}")).unwrap();
        }
        for n in 0..99 {
            trial.advance(Duration::from_secs(1));
            assert_eq!(trial.write_count, 0, "time alone writes nothing");
            trial.release(&format!("o{n}"));
            written += trial.write_count - 3;
        }
        assert!((9..=11).contains(&written), "{written} times in 99 s");
        trial.reactivate();
        let count = trial.rules.stats(trial.now_ms).waits.count;
        assert!((89..=99).contains(&count), "{count} are known after a crash");
    }

    #[test]
    fn a_gate_that_nobody_is_at_keeps_no_crowd() {
        let mut trial = Trial::new(GatePolicy::concurrent(1));
        trial.acquire("a").unwrap();
        let mut try_only = wanted("b");
        try_only.timeout_ms = Some(0);
        assert!(trial.ask(&try_only).is_err());
        assert!(trial.rules.crowd.is_some());
        trial.release("a");
        assert!(trial.rules.crowd.is_none());
    }

    #[test]
    fn one_held_up_by_its_group_stands_aside_and_keeps_its_place() {
        let group = vec![GroupLimit { name: "tenant".into(), max_concurrent: 1 }];
        let mut trial = Trial::new(GatePolicy { group, ..GatePolicy::concurrent(2) });
        let of = |owner: &str, value: &str| Wanted { group: tenant(value), ..wanted(owner) };
        let granted = Admission::Granted { waited_ms: 0 };
        assert_eq!(trial.ask(&of("a1", "a")).unwrap(), granted);
        assert!(matches!(trial.ask(&of("a2", "a")), Ok(Admission::Waiting(_))));
        assert_eq!(trial.ask(&of("b1", "b")).unwrap(), granted, "it goes past a2");
        assert!(matches!(trial.ask(&of("a3", "a")), Ok(Admission::Waiting(_))));
        assert!(matches!(trial.ask(&of("c1", "c")), Ok(Admission::Waiting(_))));
        trial.release("b1");
        assert_eq!(trial.granted, ["c1"], "a2 and a3 still wait for their tenant");
        trial.release("a1");
        assert_eq!(trial.granted, ["a2"]);
        trial.release("a2");
        assert_eq!(trial.granted, ["a3"]);
    }
}
