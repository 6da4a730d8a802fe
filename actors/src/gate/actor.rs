//! The actor around the rules: resolves the policy, commits what the rules write, tells who waits.

use lanekeeper_storage::LoadError;
use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use lanekeeper_storage::{
    ScanLimit,
    key::{self},
    record::{GateMeta, GateOutboxRecord, ReminderDue},
};

use crate::{
    actor::{
        deferred_reply::DeferredReply,
        error::ActivateError,
        virtual_actor::{Actor, LoadContext},
    },
    gate::{
        api::{
            error::GateError,
            metrics::Mark,
            policy::{DefaultPolicy, GatePolicy},
        },
        load::policy_of,
        pending_replies::PendingReplies,
        policy_cache::PolicyCache,
        state::{
            entry::NEVER,
            gate_state::GateState,
            turn_context::{Decision, TurnContext},
        },
    },
    runtime::turn::Turn,
    time::{
        clock::{from_unix_ms, unix_ms},
        reminder::Reminder,
    },
};

/// The reminder of what is due.
pub(crate) const DUE: &str = "due";
/// The reminder that a change of policy is still to be told to the gates below.
const SPREAD: &str = "spread";
/// Places read at a time.
const PAGE: ScanLimit = ScanLimit { count_max: 4_096, bytes_max: 4 << 20 };
/// Gates looked at in one go when a policy changes.
const GATES_PAGE: usize = 1_000;

/// A gate in memory, and those who are told when their turn comes.
pub(crate) struct GateActor {
    pub(crate) rules: GateState,
    pub(crate) policy_cache: Arc<PolicyCache>,
    watch: Option<Box<PolicyWatch>>,
}

/// What follows from somebody being there who waits, or whose permit ends by itself: gone with
/// them, so that a gate at which nobody is takes little.
struct PolicyWatch {
    pending_replies: PendingReplies,
    /// When the reminder of what is due is set to go off; [`NEVER`] if it is not.
    armed_ms: u64,
    is_listed: bool,
}

impl Default for PolicyWatch {
    fn default() -> Self {
        Self { pending_replies: PendingReplies::default(), armed_ms: NEVER, is_listed: false }
    }
}

impl PolicyWatch {
    fn is_over(&self) -> bool {
        self.pending_replies.is_empty() && self.armed_ms == NEVER && !self.is_listed
    }
}

impl Actor for GateActor {
    const KIND: &'static str = "gate";

    async fn load(from: &LoadContext<'_>) -> Result<Self, ActivateError> {
        let gate = &*from.id().key;
        let get = |key: &_| from.store().get(key);
        let runtime = from.runtime();
        let policy_cache: Arc<PolicyCache> = runtime.shared.get();
        let resolved = policy_cache.changes();
        let applied = policy_of(gate, runtime.settings.get::<DefaultPolicy>(), get)?;
        let (mut rules, people) = GateState::load(gate, policy_cache.shared(applied), get)?;
        rules.resolved = resolved;
        if people > 0 {
            let mut found = Vec::new();
            let mut range = key::gate_places(gate);
            loop {
                let page = from.store().scan(range.clone(), PAGE).await?;
                let Some((last, _)) = page.last() else { break };
                range = range.after(last);
                found.extend(page);
            }
            rules.people(gate, found)?;
        }
        let armed = get(&key::reminder_due(Self::KIND, gate, DUE))?;
        let armed = armed.map(|due| ReminderDue::decode(&due)).transpose();
        let armed_ms = armed.map_err(LoadError::from)?.map_or(NEVER, |due| due.due_ms);
        // An earlier life may have left it there.
        policy_cache.list(&from.id().key, false);
        policy_cache.metrics.stand(Mark::default(), Mark::of(&rules));
        let watch = PolicyWatch { armed_ms, ..PolicyWatch::default() };
        let watch = (!watch.is_over()).then(|| Box::new(watch));
        Ok(Self { rules, policy_cache, watch })
    }

    async fn on_activate(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), String> {
        self.run(turn, |_, _| ()).map(drop).map_err(|error| error.to_string())
    }

    async fn on_passivate(&mut self, turn: &mut Turn<'_, Self>) {
        let (id, now_ms) = (turn.id(), unix_ms(turn.now()));
        self.rules.settle_figures(&mut TurnContext::new(&id.key, now_ms, turn.batch()));
    }

    async fn on_reminder(&mut self, reminder: &Reminder, turn: &mut Turn<'_, Self>) {
        let done = if reminder.name == SPREAD {
            self.propagate(turn).await
        } else {
            self.watch().armed_ms = NEVER;
            self.run(turn, |_, _| ()).map(drop)
        };
        if let Err(error) = done {
            tracing::error!(gate = %turn.id(), reminder = reminder.name, %error, "it failed");
        }
    }

    async fn on_letter(
        &mut self,
        letter: Bytes,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        let GateOutboxRecord { owner } = GateOutboxRecord::decode(&letter)?;
        self.run(turn, |rules, change| rules.release(&owner, change)).map(drop)
    }

    fn is_passivatable(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.pending_replies.is_empty())
    }

    fn memory_bytes(&self) -> usize {
        let wait_queue =
            self.rules.wait_queue.as_ref().map_or(0, |wait_queue| wait_queue.memory_bytes());
        let pending_replies =
            self.watch.as_ref().map_or(0, |watch| watch.pending_replies.memory_bytes());
        let watch = self.watch.as_ref().map_or(0, |_| size_of::<PolicyWatch>());
        size_of::<Self>() + wait_queue + watch + pending_replies + self.rules.rare_bytes()
    }
}

impl GateActor {
    /// One verb: brings the gate up to now, lets the rules decide, and does what follows from it.
    /// Answers what the verb did and who got a permit.
    pub(crate) fn run<T>(
        &mut self,
        turn: &mut Turn<'_, Self>,
        verb: impl FnOnce(&mut GateState, &mut TurnContext<'_>) -> T,
    ) -> Result<(T, Vec<String>), LoadError> {
        self.resolve(turn)?;
        let (id, now_ms) = (turn.id(), unix_ms(turn.now()));
        let before = Mark::of(&self.rules);
        let mut change = TurnContext::new(&id.key, now_ms, &mut turn.effects.batch);
        self.rules.begin(&mut change);
        let value = verb(&mut self.rules, &mut change);
        self.rules.settle(&mut change);
        let TurnContext { decided, granted, .. } = change;
        self.policy_cache.metrics.add(before, Mark::of(&self.rules));
        self.tell(decided, turn);
        self.list(&id.key, turn)?;
        self.arm(turn);
        self.watch.take_if(|watch| watch.is_over());
        Ok((value, granted))
    }

    /// Takes note that no reminder is set.
    pub(crate) fn disarmed(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.armed_ms = NEVER;
        }
        self.watch.take_if(|watch| watch.is_over());
    }

    fn watch(&mut self) -> &mut PolicyWatch {
        self.watch.get_or_insert_default()
    }

    /// Goes by the policy that applies now, if any has changed.
    fn resolve(&mut self, turn: &Turn<'_, Self>) -> Result<(), LoadError> {
        let changes = self.policy_cache.changes();
        if changes == self.rules.resolved {
            return Ok(());
        }
        let settings = &turn.meta.guard.kind.runtime.settings;
        let get = |key: &_| turn.store().get(key);
        let applied = policy_of(&turn.id().key, settings.get::<DefaultPolicy>(), get)?;
        self.rules.resolved = changes;
        self.rules.apply(self.policy_cache.shared(applied));
        Ok(())
    }

    /// Tells those who wait what became of their owners.
    fn tell(&mut self, decided: Vec<(u32, Decision)>, turn: &mut Turn<'_, Self>) {
        for (index, decision) in decided {
            let Some(watch) = &mut self.watch else { return };
            let promises = watch.pending_replies.take(index);
            if promises.len() > 1
                && matches!(decision, Decision::Granted(_))
                && let Some(wait_queue) = &mut self.rules.wait_queue
            {
                // Several got the same permit: none of them gives it up for the others.
                wait_queue.entries[index].attempt = 0;
            }
            for promise in promises {
                turn.fulfil(promise, decision);
            }
        }
    }

    /// Lets somebody wait for a decision.
    pub(crate) fn listen(
        &mut self,
        index: u32,
        attempt: u32,
        turn: &Turn<'_, Self>,
    ) -> DeferredReply<Decision> {
        let (promise, deferred) = turn.defer();
        self.watch().pending_replies.add(index, attempt, promise);
        deferred
    }

    /// Gives up what an acquire got or waits for, if nobody else waits for it.
    pub(crate) fn cancel_wait(
        &mut self,
        owner: &str,
        attempt: u32,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        let Some(index) = self.rules.find(owner) else { return Ok(()) };
        let entry = &mut self.rules.wait_queue().entries[index];
        if entry.attempt != attempt {
            if let Some(watch) = &mut self.watch
                && let Some(successor) = watch.pending_replies.forget(index, attempt)
                && entry.attempt != 0
            {
                entry.attempt = successor;
            }
            return Ok(());
        }
        if let Some(successor) =
            self.watch.as_mut().and_then(|watch| watch.pending_replies.inherit(index))
        {
            entry.attempt = successor;
            return Ok(());
        }
        self.run(turn, |rules, change| {
            // It may have timed out in this very turn.
            if let Some(index) = rules.find(owner) {
                rules.cancel_wait(index, change);
            }
        })
        .map(drop)
    }

    /// Keeps the policy cache's list of gates at which somebody waits.
    fn list(&mut self, gate: &Arc<str>, turn: &mut Turn<'_, Self>) -> Result<(), LoadError> {
        let is_waiting = self.rules.waiting_count() > 0;
        if is_waiting == self.watch.as_ref().is_some_and(|watch| watch.is_listed) {
            return Ok(());
        }
        self.watch().is_listed = is_waiting;
        self.policy_cache.list(gate, is_waiting);
        // A policy may have changed between the beginning of this turn and the list.
        if is_waiting && self.policy_cache.changes() != self.rules.resolved {
            return self.run(turn, |_, _| ()).map(drop);
        }
        Ok(())
    }

    /// Has the gate woken when something is due. The reminder may be set too early, never too late:
    /// it is moved only when something is due before it.
    fn arm(&mut self, turn: &mut Turn<'_, Self>) {
        let Some(due_ms) = self.rules.next_due_ms(unix_ms(turn.now())) else { return };
        if self.watch.as_ref().is_some_and(|watch| watch.armed_ms <= due_ms) {
            return;
        }
        match turn.remind(DUE, from_unix_ms(due_ms)) {
            Ok(()) => self.watch().armed_ms = due_ms,
            Err(error) => {
                tracing::error!(gate = %turn.id(), %error, "a reminder is set with the next turn");
            }
        }
    }

    /// Replaces the gate's own policy, or takes it away.
    pub(crate) fn set_policy(
        &mut self,
        policy: Option<&GatePolicy>,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), GateError> {
        self.resolve(turn)?;
        let id = turn.id();
        let key = key::gate_policy(&id.key);
        let settings = &turn.meta.guard.kind.runtime.settings;
        let record = policy.map(|policy| policy.record().encode());
        let get = |own: &_| if *own == key { Ok(record.clone()) } else { turn.store().get(own) };
        let applied = policy_of(&id.key, settings.get::<DefaultPolicy>(), get)?;
        // Told to the gates below once this is written, whatever happens in between.
        let reminded = turn.remind(SPREAD, turn.now());
        reminded.map_err(|error| match error {
            crate::time::reminder::ReminderError::Load(error) => GateError::Load(error),
            other => unreachable!("the name is one: {other}"),
        })?;
        match record {
            Some(record) => turn.batch().put(key, record),
            None => turn.batch().delete(key),
        }
        self.rules.apply(Arc::new(applied));
        self.rules.is_changed = true;
        self.run(turn, |_, _| ())?;
        Ok(())
    }

    /// Tells the gates below this one, as far as somebody waits at them, that a policy has changed.
    /// The others find out with their next turn.
    pub(crate) async fn propagate(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), LoadError> {
        self.policy_cache.note_change();
        let id = turn.id();
        let mut below: BTreeSet<Arc<str>> = self.policy_cache.waiting_below(&id.key);
        let mut range = key::gate_metas(&format!("{}.", id.key));
        loop {
            let limit = ScanLimit::count(GATES_PAGE);
            let page = turn.store().scan(range.clone(), limit).await?;
            let Some((last, _)) = page.last() else { break };
            range = range.after(last);
            for (key, meta) in &page {
                if let Some(gate) = key::gate_id_of(key)
                    && GateMeta::decode(meta)?.waiting_count > 0
                {
                    below.insert(gate.into());
                }
            }
        }
        for gate in below {
            // Refused only if it is about to run a turn anyway, or the node ends.
            let _ = turn.actor::<Self>(&gate).tell(crate::gate::verb::handler::ReevaluatePolicy);
        }
        self.run(turn, |_, _| ()).map(drop)
    }
}

impl Drop for GateActor {
    fn drop(&mut self) {
        self.policy_cache.metrics.stand(Mark::of(&self.rules), Mark::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::runtime::activation::Activation;

    #[test]
    fn a_gate_that_nobody_is_at_takes_160_bytes_and_its_key() {
        // With the key and the slot in the registry, that keeps an idle gate below 300 bytes; 160
        // is a size class of the usual allocators, the next one is 192.
        assert!(size_of::<GateActor>() <= 96, "{}", size_of::<GateActor>());
        assert!(size_of::<Activation<GateActor>>() <= 160);
    }
}
