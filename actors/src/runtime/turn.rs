//! One turn: take, handle, commit, reply.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use lanekeeper_storage::{Batch, Durability};
use tokio::runtime::Handle;

use crate::{
    actor::{
        actor_ref::ActorRef,
        deferred_reply::{self, DeferredReply, ReplyHandle},
        error::AskError,
        id::ActorId,
        virtual_actor::{Actor, Handler, Request},
    },
    node::event::Event,
    outbox::delivery::OutboxMessages,
    runtime::{
        activation::{Activation, Meta, TurnOutcome},
        call_chain::{self, ActorHash, CallChain},
        commit_barrier::{CommitBarrier, Store},
        directory::{ActorType, AfterTurn},
    },
    time::clock::Clock,
};

/// What a turn leaves behind besides the changed memory.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) batch: Batch,
    /// Writes of what is on disk whatever the turn's own durability; most turns have none.
    pub(crate) lasting: Option<Box<LastingEffects>>,
    pub(crate) is_saving: bool,
    pub(crate) durability: Option<Durability>,
    /// Reminders set (with their due time) and removed by this turn.
    pub(crate) reminders: Vec<(String, Option<u64>)>,
    /// Letters sent by this turn; most send none.
    pub(crate) outbox_messages: Option<Box<OutboxMessages>>,
    pub(crate) fulfilments: Vec<Box<dyn FnOnce(CommitBarrier) + Send>>,
}

/// Writes to keys that are never kept in memory alone, even by a turn that is.
pub(crate) struct LastingEffects {
    pub(crate) batch: Batch,
    pub(crate) level: Durability,
}

/// The context of a turn, for everything a handler does besides changing its actor.
pub struct Turn<'a, A: Actor> {
    pub(crate) meta: &'a mut Meta<A>,
    pub(crate) effects: Effects,
}

impl<'a, A: Actor> Turn<'a, A> {
    pub(crate) fn new(meta: &'a mut Meta<A>) -> Self {
        Self { meta, effects: Effects::default() }
    }

    pub(crate) fn into_effects(self) -> Effects {
        self.effects
    }

    /// Writes the state of the actor, as it is at the end of the turn, with the turn's commit. The
    /// reply waits until the commit is as durable as promised.
    pub fn save(&mut self) {
        self.effects.is_saving = true;
    }

    /// The identity of this actor.
    pub fn id(&self) -> ActorId {
        self.meta.guard.id()
    }

    /// The wall time.
    pub fn now(&self) -> SystemTime {
        self.meta.guard.kind.runtime.clock.now()
    }

    /// The clock of the node, for sleeping: a test can move it.
    pub fn clock(&self) -> &Clock {
        &self.meta.guard.kind.runtime.clock
    }

    /// The address of this actor.
    pub fn me(&self) -> ActorRef<A> {
        let guard = &self.meta.guard;
        ActorRef::new(Arc::clone(&guard.kind), Ok(Arc::clone(&guard.key)))
    }

    /// The address of another actor of the same node. An ask that would wait for its own turn,
    /// directly or through others, is refused with the chain of calls.
    pub fn actor<B: Actor>(&self, key: &str) -> ActorRef<B> {
        self.meta.guard.kind.runtime.actor(key)
    }

    /// The store, for actors that keep more than one value in it.
    pub fn store(&self) -> &Store {
        &self.meta.guard.kind.runtime.store
    }

    /// The writes of this turn. All of them are committed together with the state when the handler
    /// returns, or none.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.effects.batch
    }

    /// Writes of this turn with the durability of the node, whatever durability the turn chooses
    /// for its other writes, so that a key on disk is never removed only in memory. They come
    /// before [`Turn::batch`], and in one commit with it unless that is of level memory.
    pub(crate) fn lasting(&mut self) -> &mut Batch {
        let node = self.meta.guard.kind.runtime.options.durability;
        self.lasting_at(node)
    }

    /// As [`Turn::lasting`], at least as durable as `level`.
    pub(crate) fn lasting_at(&mut self, level: Durability) -> &mut Batch {
        let new = || Box::new(LastingEffects { batch: Batch::new(), level });
        let lasting = self.effects.lasting.get_or_insert_with(new);
        lasting.level = lasting.level.max(level);
        &mut lasting.batch
    }

    /// Chooses another durability than the node's for this turn's commit.
    pub fn durability(&mut self, level: Durability) {
        self.effects.durability = Some(level);
    }

    /// A reply given by a later turn: keep the promise, and return the other end.
    pub fn defer<T: Send + 'static>(&self) -> (ReplyHandle<T>, DeferredReply<T>) {
        deferred_reply::pair(Arc::clone(self.store().engine()))
    }

    /// Fulfils a promise with this turn. The caller gets the value once this turn is as durable as
    /// promised, and an error if its commit is refused.
    pub fn fulfil<T: Send + 'static>(&mut self, promise: ReplyHandle<T>, value: T) {
        self.effects.fulfilments.push(Box::new(move |gate| promise.fulfil(value, gate)));
    }
}

impl<A: Actor> std::fmt::Debug for Turn<'_, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Turn({})", self.id())
    }
}

/// What an asker gets from a turn: the reply and the gate it waits behind.
pub(crate) type HandlerOutcome<T> = Result<(T, CommitBarrier), AskError>;

/// Runs one request on an activation.
pub(crate) async fn run<A: Handler<R>, R: Request>(
    mut activation: Box<Activation<A>>,
    request: R,
    caller: Option<Arc<CallChain>>,
) -> (TurnOutcome<A>, HandlerOutcome<R::Reply>) {
    let actor = activation.meta.guard.actor_hash();
    let mut turn = Turn::new(&mut activation.meta);
    let handled = catch_panic(actor, caller, async {
        let reply = activation.actor.handle(request, &mut turn).await;
        activation.actor.on_turn_end(&mut turn).await;
        reply
    });
    let handled = handled.await;
    let effects = turn.into_effects();
    end(activation, handled, effects)
}

/// Ends a turn: commits what it leaves behind, or drops the activation if it cannot stand.
pub(crate) fn end<A: Actor, T>(
    mut activation: Box<Activation<A>>,
    handled: Option<T>,
    effects: Effects,
) -> (TurnOutcome<A>, HandlerOutcome<T>) {
    let Some(reply) = handled else {
        activation.meta.guard.kind.runtime.note_panic(&activation.meta.guard.id());
        return (activation.discard(), Err(AskError::Panicked));
    };
    match activation.commit_effects(effects) {
        Ok(()) => {
            let Meta { guard, gate, .. } = &activation.meta;
            let gate = *gate;
            guard.kind.runtime.events.emit(|| Event::Turn { id: guard.id() });
            (TurnOutcome::Alive(activation), Ok((reply, gate)))
        }
        Err(error) => (activation.discard(), Err(error)),
    }
}

/// Polls a future of an actor as a turn that `caller` waits for; `None` if it panicked.
pub(crate) async fn catch_panic<F: Future>(
    actor: ActorHash,
    caller: Option<Arc<CallChain>>,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = call_chain::enter(CallChain { actor, caller: caller.clone() });
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// Turns run without a break before others get the thread.
const TURNS_IN_A_ROW: usize = 32;

/// Carries an actor on until nobody waits for it any more.
pub(crate) async fn drain_mailbox<A: Actor>(
    kind: Arc<ActorType<A>>,
    mut outcome_step: TurnOutcome<A>,
) {
    let mut turns = 0;
    loop {
        outcome_step = match outcome_step {
            TurnOutcome::Alive(activation) => match kind.release(activation) {
                AfterTurn::Idle => return,
                AfterTurn::Next(request, activation) => request.run(activation).await,
                AfterTurn::Retire(activation) => TurnOutcome::Retiring(activation),
            },
            TurnOutcome::Retiring(activation) => activation.passivate().await,
            TurnOutcome::Gone(guard, gate) => {
                // A poisoned engine opens no gate; the next incarnation then reads what there is.
                let _ = gate.open(&**kind.runtime.store.engine()).await;
                let Some((request, guard)) = guard.vacate() else { return };
                match Activation::begin(guard).await {
                    Ok(activation) => request.run(activation).await,
                    Err(error) => {
                        request.refuse(error.into());
                        TurnOutcome::Over
                    }
                }
            }
            TurnOutcome::Over => return,
        };
        turns += 1;
        if turns % TURNS_IN_A_ROW == 0 {
            yield_now().await;
        }
    }
}

async fn yield_now() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls a future once on this thread, as far as it goes without waiting.
pub(crate) fn poll_inline<F: Future>(executor: &Handle, future: Pin<&mut F>) -> Poll<F::Output> {
    // A handler may use tokio's timers and sockets wherever it is asked from.
    let _context = tokio::task::try_id().is_none().then(|| executor.enter());
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs a future on this thread as far as it goes without waiting, and as a task from there.
pub(crate) fn start(executor: &Handle, future: impl Future<Output = ()> + Send + 'static) {
    let mut future = Box::pin(future);
    if poll_inline(executor, future.as_mut()).is_pending() {
        executor.spawn(future);
    }
}
