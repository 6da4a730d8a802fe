//! A kind whose type is forgotten: what the services of a node do with all of them.

use std::sync::Arc;

use lanekeeper_storage::{Key, LoadError, record::ReminderRecord};

use crate::{
    actor::{
        actor_ref::ActorRef,
        error::AskError,
        id::ActorId,
        virtual_actor::{Actor, Handler, Request},
    },
    outbox::delivery::DeliverOutbox,
    runtime::{
        activation::{Activation, TurnOutcome},
        directory::ActorType,
        mailbox::{BoxFuture, WaitingRequest},
        shared_state::CoarseInstant,
        turn,
    },
    time::reminder::Due,
};

/// Activations taken out of a shard under one lock.
const SLICE: usize = 128;

pub(crate) trait ErasedActorType: Send + Sync {
    /// Puts away idle activations not used since `before`, at most `count_max`; says how many.
    fn passivate_idle(&self, before: CoarseInstant, count_max: usize) -> usize;

    /// When each idle activation was last used, and its bytes.
    fn idle_activations(&self) -> Vec<(CoarseInstant, usize)>;

    /// Puts away every idle activation.
    fn passivate_all(&self);

    /// Drops every idle activation without a word.
    fn clear(&self);

    fn len(&self) -> usize;

    fn occupied_count(&self) -> usize;

    fn turns(&self) -> u64;

    /// The key of an active actor, from its hash.
    fn key_of(&self, hash: u64) -> Option<Arc<str>>;

    /// Runs the turn of a reminder and says whose it was.
    fn remind(
        self: Arc<Self>,
        key: Key,
        record: ReminderRecord,
    ) -> BoxFuture<Result<ActorId, AskError>>;

    /// Runs the turn that takes letters and says whose it was.
    fn take_letters(
        self: Arc<Self>,
        actor_key: &str,
        numbers: Vec<u64>,
    ) -> BoxFuture<Result<ActorId, AskError>>;
}

impl<A: Actor> ActorType<A> {
    fn passivate(&self, activation: Box<Activation<A>>) {
        let kind = Arc::clone(&activation.meta.guard.kind);
        let retiring = self.runtime.in_flight.begin();
        turn::start(&self.runtime.executor, async {
            turn::drain_mailbox(kind, TurnOutcome::Retiring(activation)).await;
            drop(retiring);
        });
    }

    /// Asks an actor of this kind what a service has to ask, and says which one it was.
    async fn told<R>(self: Arc<Self>, key: Arc<str>, request: R) -> Result<ActorId, AskError>
    where
        R: Request<Reply = Result<(), LoadError>>,
        A: Handler<R>,
    {
        let id = ActorId { kind: A::KIND, key };
        let told = ActorRef::<A>::new(self, Ok(Arc::clone(&id.key)));
        told.ask(request).await?.map_err(|error| AskError::NotSaved(error.to_string()))?;
        Ok(id)
    }

    /// Gives the request of a timer to the activation that armed it, if it still lives.
    pub(crate) fn deliver_timer(
        self: &Arc<Self>,
        hash: u64,
        key: &Arc<str>,
        generation: u32,
        request: Box<dyn WaitingRequest<A>>,
    ) {
        let mut request = Some(request);
        let taken = self.take_for_timer(hash, key, generation, &mut request);
        if let (Some(activation), Some(request)) = (taken, request) {
            let kind = Arc::clone(self);
            turn::start(&self.runtime.executor, async {
                turn::drain_mailbox(kind, request.run(activation).await).await;
            });
        }
    }
}

impl<A: Actor> ErasedActorType for ActorType<A> {
    fn passivate_idle(&self, before: CoarseInstant, count_max: usize) -> usize {
        let mut count = 0;
        for shard in 0..self.shard_count() {
            loop {
                let slice = SLICE.min(count_max - count);
                let taken = self.take_idle_since(shard, before, slice);
                count += taken.len();
                let is_done = taken.len() < slice || count == count_max;
                taken.into_iter().for_each(|activation| self.passivate(activation));
                if is_done {
                    break;
                }
            }
        }
        count
    }

    fn idle_activations(&self) -> Vec<(CoarseInstant, usize)> {
        Self::idle_activations(self)
    }

    fn passivate_all(&self) {
        for shard in 0..self.shard_count() {
            let taken = self.take_all(shard);
            taken.into_iter().for_each(|activation| self.passivate(activation));
        }
    }

    fn clear(&self) {
        for shard in 0..self.shard_count() {
            drop(self.forget_idle(shard));
        }
    }

    fn len(&self) -> usize {
        Self::len(self)
    }

    fn occupied_count(&self) -> usize {
        Self::occupied_count(self)
    }

    fn turns(&self) -> u64 {
        Self::turns(self)
    }

    fn key_of(&self, hash: u64) -> Option<Arc<str>> {
        Self::key_of(self, hash)
    }

    fn remind(
        self: Arc<Self>,
        key: Key,
        record: ReminderRecord,
    ) -> BoxFuture<Result<ActorId, AskError>> {
        let actor_key = record.actor_key.as_str().into();
        Box::pin(self.told(actor_key, Due { key, record }))
    }

    fn take_letters(
        self: Arc<Self>,
        actor_key: &str,
        numbers: Vec<u64>,
    ) -> BoxFuture<Result<ActorId, AskError>> {
        Box::pin(self.told(actor_key.into(), DeliverOutbox(numbers)))
    }
}
