//! The end of a gate: nothing of it is left, and who comes later finds one never used.

use std::sync::Arc;

use bytes::Bytes;
use lanekeeper_storage::{Engine, Key, LoadError, key, record::GateMeta};

use crate::{
    actor::virtual_actor::{Handler, Request},
    gate::{
        actor::{DUE, GateActor},
        api::{error::GateError, handle::Gate, policy::PolicySource},
        state::{
            gate_state::GateState,
            turn_context::{Decision, TurnContext},
        },
        verb::handler::PropagatePolicy,
    },
    runtime::{shared_state::Runtime, turn::Turn},
    time::reminder::ReminderError,
};

/// Owners sent away in one turn at most.
const SLICE: usize = 1_000;
/// Rounds of a deletion at most, if others go on coming.
const ROUNDS_MAX: usize = 1_000;

/// Send away some of those who wait, or end some permits once nobody waits; answers how many.
struct ClearSlice;

/// Delete the gate, if nobody is at it. Answers whether there was one, and whether it had a policy
/// of its own.
struct Delete {
    /// Only if the gate's metadata is still just this, and nobody has set anything about it.
    unchanged: Option<Bytes>,
}

impl Request for ClearSlice {
    type Reply = Result<usize, GateError>;
}

impl Handler<ClearSlice> for GateActor {
    async fn handle(
        &mut self,
        _: ClearSlice,
        turn: &mut Turn<'_, Self>,
    ) -> Result<usize, GateError> {
        Ok(self.run(turn, |rules, change| rules.clear_some(change))?.0)
    }
}

impl GateState {
    /// Waiters first: otherwise a permit that ends would only be given to the next of them.
    fn clear_some(&mut self, change: &mut TurnContext<'_>) -> usize {
        let is_held = self.waiting_count() == 0;
        let Some(wait_queue) = &self.wait_queue else { return 0 };
        let meant = wait_queue.entries.iter().filter(|(_, entry)| entry.is_held() == is_held);
        let meant: Vec<u32> = meant.map(|(index, _)| index).take(SLICE).collect();
        for &index in &meant {
            if is_held {
                self.completed_total += 1;
                self.end_permit(index, change);
            } else {
                self.count().cancelled += 1;
                self.send_away(index, Decision::Cancelled, change);
            }
        }
        meant.len()
    }
}

impl Request for Delete {
    type Reply = Result<(bool, bool), GateError>;
}

impl Handler<Delete> for GateActor {
    async fn handle(
        &mut self,
        Delete { unchanged }: Delete,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(bool, bool), GateError> {
        if let Some(meta) = unchanged {
            let gate = turn.id().key;
            let found = turn.store().get(&key::gate_meta(&gate))?;
            let is_as_it_was = found.is_some_and(|own| own == meta);
            if !is_as_it_was || turn.store().get(&key::gate_policy(&gate))?.is_some() {
                return Ok((false, false));
            }
        }
        self.run(turn, |_, _| ())?;
        let (held, waiting) = (self.rules.held_count(), self.rules.waiting_count());
        if held > 0 || waiting > 0 {
            return Err(GateError::InUse { held, waiting });
        }
        let id = turn.id();
        let own = [
            key::gate_meta(&id.key),
            key::gate_policy(&id.key),
            key::gate_usage(&id.key),
            key::gate_waits(&id.key),
        ];
        let is_there = |key| turn.store().get(key).map(|found| found.is_some());
        let found = own.iter().map(is_there).collect::<Result<Vec<_>, LoadError>>()?;
        let has_policy = self.rules.applied.source == PolicySource::Own;
        if has_policy {
            self.set_policy(None, turn)?;
        }
        own.into_iter().for_each(|key| turn.batch().delete(key));
        turn.batch().frees_space();
        turn.cancel_reminder(DUE).map_err(|error| match error {
            ReminderError::Load(error) => GateError::Load(error),
            other => unreachable!("the name is one: {other}"),
        })?;
        self.forget();
        Ok((has_policy || found.contains(&true), has_policy))
    }
}

impl Gate {
    /// Deletes the gate if nobody waits at it or holds a permit of it: its policy, its totals and
    /// what its rate and quota have counted are gone, and it is not listed any more. Answers
    /// whether there was one. Gates below it go by the next policy up, as after
    /// [`Gate::set_policy`].
    ///
    /// # Errors
    /// [`GateError::InUse`].
    pub async fn delete(&self) -> Result<bool, GateError> {
        let (was_there, had_policy) = self.ask(Delete { unchanged: None }).await??;
        if had_policy {
            self.ask(PropagatePolicy).await??;
        }
        Ok(was_there)
    }

    /// As [`Gate::delete`], and first sends away who waits, as [`GateError::Cancelled`], and ends
    /// the permits that are held, 1,000 in a turn.
    ///
    /// # Errors
    /// [`GateError::InUse`] if others go on coming.
    pub async fn delete_with_owners(&self) -> Result<bool, GateError> {
        for _ in 0..ROUNDS_MAX {
            while self.ask(ClearSlice).await?? > 0 {}
            match self.delete().await {
                Err(GateError::InUse { .. }) => {}
                deleted => return deleted,
            }
        }
        self.delete().await
    }
}

/// The id and the metadata of the gate of this key, if nobody is at it and nothing was set or is
/// counted of it that still matters.
pub(crate) fn idle(
    engine: &dyn Engine,
    key: &Key,
    record: &Bytes,
) -> Result<Option<(String, Bytes)>, LoadError> {
    let Some(id) = key::gate_id_of(key) else { return Ok(None) };
    let meta = GateMeta::decode(record)?;
    if meta.waiting_count > 0 || meta.held_count > 0 || meta.is_paused {
        return Ok(None);
    }
    for kept in [key::gate_policy(id), key::gate_usage(id)] {
        if engine.get(&kept)?.is_some() {
            return Ok(None);
        }
    }
    Ok(Some((id.to_owned(), record.clone())))
}

/// Deletes a gate that is still idle with this metadata, and puts it out of memory.
pub(crate) async fn forget(runtime: &Arc<Runtime>, id: &str, meta: Bytes) -> Result<(), GateError> {
    let actor = runtime.actor::<GateActor>(id);
    actor.ask(Delete { unchanged: Some(meta) }).await??;
    actor.passivate().await;
    Ok(())
}

impl GateActor {
    /// Is a gate never used from now on.
    fn forget(&mut self) {
        let resolved = self.rules.resolved;
        self.rules = GateState { resolved, ..GateState::unused(Arc::clone(&self.rules.applied)) };
        self.disarmed();
    }
}
