//! An actor in memory, and the seat it holds in the registry while a turn runs.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use lanekeeper_storage::Durability;

use crate::{
    actor::{
        error::{ActivateError, AskError},
        id::ActorId,
        virtual_actor::{Actor, LoadContext},
    },
    node::event::Event,
    runtime::{
        call_chain::ActorHash,
        commit_barrier::CommitBarrier,
        directory::ActorType,
        turn::{Effects, LastingEffects, Turn, catch_panic},
    },
    time::timer::ArmedTimers,
};

/// The right to run turns of one actor: exactly one exists while its slot is occupied. Dropped
/// without being given back (its executor ended), it frees the slot and tells those who wait.
pub(crate) struct SlotGuard<A: Actor> {
    pub(crate) kind: Arc<ActorType<A>>,
    pub(crate) key: Arc<str>,
    pub(crate) hash: u64,
    generation: u32,
    /// The number of the slot, and [`HELD`] if a turn is under way. Kept small: every idle actor
    /// has a seat.
    slot: u32,
}

const HELD: u32 = 1 << 31;

impl<A: Actor> SlotGuard<A> {
    pub(crate) fn new(kind: Arc<ActorType<A>>, key: Arc<str>, hash: u64, slot: u32) -> Self {
        Self { kind, key, hash, generation: 0, slot: slot | HELD }
    }

    /// The number of the actor's slot in its shard, for as long as the actor is in memory.
    pub(crate) fn slot(&self) -> u32 {
        self.slot & !HELD
    }

    pub(crate) fn id(&self) -> ActorId {
        ActorId { kind: A::KIND, key: Arc::clone(&self.key) }
    }

    pub(crate) fn actor_hash(&self) -> ActorHash {
        ActorHash { kind: A::KIND, hash: self.hash }
    }

    /// The number of the activation in this seat: tells it from earlier and later ones.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Says whether a turn is under way, so that dropping means losing it.
    pub(crate) fn hold(&mut self, is_held: bool) {
        self.slot = if is_held { self.slot | HELD } else { self.slot & !HELD };
    }
}

impl<A: Actor> Drop for SlotGuard<A> {
    fn drop(&mut self) {
        if self.slot & HELD != 0 {
            self.kind.abandon(self.hash, self.slot());
        }
    }
}

/// An actor in memory.
pub(crate) struct Activation<A: Actor> {
    pub(crate) actor: A,
    pub(crate) meta: Meta<A>,
}

/// What the runtime keeps beside the actor's own state.
pub(crate) struct Meta<A: Actor> {
    pub(crate) guard: SlotGuard<A>,
    pub(crate) gate: CommitBarrier,
    pub(crate) timers: ArmedTimers,
}

/// Where an actor stands after a turn.
pub(crate) enum TurnOutcome<A: Actor> {
    /// It lives, and more requests may wait.
    Alive(Box<Activation<A>>),
    /// It is to be put away.
    Retiring(Box<Activation<A>>),
    /// Its memory is gone; the next incarnation may begin behind the gate.
    Gone(SlotGuard<A>, CommitBarrier),
    /// The slot was given up.
    Over,
}

impl<A: Actor> Activation<A> {
    /// Loads the actor and runs its `on_activate`. On failure everyone who waits is told.
    pub(crate) async fn begin(mut guard: SlotGuard<A>) -> Result<Box<Self>, ActivateError> {
        let kind = Arc::clone(&guard.kind);
        let runtime = &kind.runtime;
        let id = guard.id();
        let origin = LoadContext { id: &id, store: &runtime.store, clock: &runtime.clock, runtime };
        let loaded = catch_panic(guard.actor_hash(), None, A::load(&origin)).await;
        let actor = match loaded.unwrap_or(Err(ActivateError::Panicked)) {
            Ok(actor) => actor,
            Err(error) => return Err(kind.fail(guard, error)),
        };
        let generation = runtime.next_generation();
        guard.generation = generation;
        let meta = Meta { guard, gate: CommitBarrier::default(), timers: ArmedTimers::default() };
        let mut activation = Box::new(Self { actor, meta });
        match activation.on_activate().await {
            Ok(()) => {
                runtime.events.emit(|| Event::Activated { id, generation });
                Ok(activation)
            }
            Err(error) => Err(kind.fail(activation.into_seat(), error)),
        }
    }

    async fn on_activate(&mut self) -> Result<(), ActivateError> {
        let actor = self.meta.guard.actor_hash();
        let mut turn = Turn::new(&mut self.meta);
        let activated = catch_panic(actor, None, self.actor.on_activate(&mut turn)).await;
        let effects = turn.into_effects();
        activated
            .unwrap_or(Err("on_activate panicked".to_owned()))
            .map_err(ActivateError::Refused)?;
        self.commit_effects(effects).map_err(|error| ActivateError::Refused(error.to_string()))
    }

    /// Runs `on_passivate` and gives the memory back.
    pub(crate) async fn passivate(mut self: Box<Self>) -> TurnOutcome<A> {
        let actor = self.meta.guard.actor_hash();
        let mut turn = Turn::new(&mut self.meta);
        let passivated = catch_panic(actor, None, self.actor.on_passivate(&mut turn)).await;
        let effects = turn.into_effects();
        let kept = match passivated {
            Some(()) => self.commit_effects(effects),
            None => Err(AskError::Panicked),
        };
        if let Err(error) = kept {
            tracing::error!(actor = %self.meta.guard.id(), %error, "on_passivate kept nothing");
        }
        self.discard()
    }

    /// Hands the turn's writes to the commit and fulfils what it promised. On an error the
    /// activation's memory is ahead of the store and must go.
    pub(crate) fn commit_effects(&mut self, mut effects: Effects) -> Result<(), AskError> {
        let Meta { guard, gate, .. } = &mut self.meta;
        if effects.is_saving {
            let saved = self.actor.save(&guard.id(), &mut effects.batch);
            saved.map_err(|error| AskError::NotSaved(error.to_string()))?;
        }
        let runtime = &guard.kind.runtime;
        let mut level = effects.durability.unwrap_or(runtime.options.durability);
        let fence = runtime.fence(A::KIND, &guard.key);
        if let Some(lasting) = effects.lasting.take() {
            let LastingEffects { batch, level: lasting_level } = *lasting;
            if level == Durability::Memory && lasting_level > level && !batch.is_empty() {
                let seq = runtime.store.commit(fence, batch, lasting_level, gate);
                let seq = seq.map_err(AskError::Refused)?;
                let durability = lasting_level;
                runtime.events.emit(|| Event::Commit { id: guard.id(), seq, durability });
            } else {
                level = level.max(lasting_level);
                effects.batch.precede_with(batch);
            }
        }
        if !effects.batch.is_empty() || effects.outbox_messages.is_some() {
            let mut commit = |batch| runtime.store.commit(fence, batch, level, gate);
            let seq = match effects.outbox_messages {
                None => commit(effects.batch),
                Some(outbox_messages) => {
                    outbox_messages.post(&runtime.outbox, fence.epoch, effects.batch, commit)
                }
            };
            let seq = seq.map_err(AskError::Refused)?;
            runtime.events.emit(|| Event::Commit { id: guard.id(), seq, durability: level });
        }
        runtime.reminders.note(&effects.reminders);
        for fulfil in effects.fulfilments {
            fulfil(*gate);
        }
        Ok(())
    }

    /// Drops the memory, not the seat.
    pub(crate) fn discard(self) -> TurnOutcome<A> {
        let gate = self.meta.gate;
        TurnOutcome::Gone(self.into_seat(), gate)
    }

    fn into_seat(self) -> SlotGuard<A> {
        let Self { actor, meta } = self;
        let Meta { guard, mut timers, .. } = meta;
        guard.kind.runtime.timers.disarm_all(&mut timers);
        if catch_unwind(AssertUnwindSafe(|| drop(actor))).is_err() {
            tracing::error!(actor = %guard.id(), "dropping the actor panicked");
        }
        let passivated = || Event::Passivated { id: guard.id(), generation: guard.generation };
        guard.kind.runtime.events.emit(passivated);
        guard
    }
}
