//! The address of an actor: how requests reach it.

use std::{fmt, future::Future, sync::Arc, task::Poll};

use tokio::sync::oneshot;

use crate::{
    actor::{
        ask::Ask,
        error::NotExecuted,
        id::ActorId,
        virtual_actor::{Actor, Handler, Request},
    },
    runtime::{
        activation::{Activation, TurnOutcome},
        call_chain::{self, ActorHash, CallChain},
        directory::{ActorType, AfterTurn, Mailbox, SlotLookup},
        mailbox::{Deadline, WaitingAsk, WaitingRequest, WaitingTell},
        turn::{self, HandlerOutcome},
    },
};

/// Turns that run inside one another on one thread's stack at most; deeper ones get a task.
const INLINE_DEPTH_MAX: usize = 16;

/// The address of an actor. Cheap to make and to clone, without I/O, and valid across passivation
/// and restart.
pub struct ActorRef<A: Actor> {
    pub(crate) kind: Arc<ActorType<A>>,
    key: Result<Arc<str>, Box<NotExecuted>>,
    hash: u64,
}

impl<A: Actor> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        Self { kind: Arc::clone(&self.kind), key: self.key.clone(), hash: self.hash }
    }
}

impl<A: Actor> fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef({}/{:?})", A::KIND, self.key)
    }
}

impl<A: Actor> ActorRef<A> {
    pub(crate) fn new(kind: Arc<ActorType<A>>, key: Result<Arc<str>, NotExecuted>) -> Self {
        let hash = key.as_ref().map_or(0, |key| kind.hash(key));
        Self { kind, key: key.map_err(Box::new), hash }
    }

    /// The identity of the actor, or the reason why the address is invalid.
    ///
    /// # Errors
    /// [`NotExecuted::InvalidId`] if the key breaks the rules of ids, [`NotExecuted::KindTaken`] if
    /// another type of this node has the same kind. Every ask then fails with it.
    pub fn id(&self) -> Result<ActorId, NotExecuted> {
        self.key().map(|key| ActorId { kind: A::KIND, key: Arc::clone(key) })
    }

    fn key(&self) -> Result<&Arc<str>, NotExecuted> {
        self.key.as_ref().map_err(|error| (**error).clone())
    }

    /// Sends a request and waits for its reply, once the returned future is polled. The reply
    /// arrives when the turn is as durable as promised.
    ///
    /// Dropping the future before its first poll sends nothing; dropping it later gives up the
    /// reply, not the request.
    ///
    /// # Errors
    /// [`AskError`](crate::actor::error::AskError).
    pub fn ask<R: Request>(&self, request: R) -> Ask<'_, A, R>
    where
        A: Handler<R>,
    {
        Ask::new(self, request)
    }

    /// Sends a request without waiting for a reply.
    ///
    /// # Errors
    /// [`NotExecuted`] if it was not accepted; once accepted it runs once, or its failure is
    /// logged.
    pub fn tell<R: Request>(&self, request: R) -> Result<(), NotExecuted>
    where
        A: Handler<R>,
    {
        let key = self.admit(call_chain::current().is_some())?;
        let mut request = Some(WaitingTell(request));
        let kind = Arc::clone(&self.kind);
        let executor = &self.kind.runtime.executor;
        let mut take = || Box::new(request.take().expect("a request is handed over once"));
        match self.kind.occupy(key, self.hash, |mailbox| self.enqueue(mailbox, &mut take)) {
            SlotLookup::Occupied(accepted) => accepted?,
            SlotLookup::Idle(activation) => {
                let request: Box<dyn WaitingRequest<A>> = take();
                executor.spawn(async {
                    turn::drain_mailbox(kind, request.run(activation).await).await;
                });
            }
            SlotLookup::Vacant(guard) => {
                let request: Box<dyn WaitingRequest<A>> = take();
                executor.spawn(async {
                    match Activation::begin(guard).await {
                        Ok(activation) => {
                            turn::drain_mailbox(kind, request.run(activation).await).await;
                        }
                        Err(error) => request.refuse(error.into()),
                    }
                });
            }
        }
        Ok(())
    }

    /// Passivates the actor if it is in memory and idle, and returns true once it has left memory;
    /// false if it was not in memory. The actor still exists. Dropping the future does not stop
    /// this.
    pub async fn passivate(&self) -> bool {
        let Ok(key) = &self.key else { return false };
        let taken = self
            .kind
            .take_for_passivation(self.hash, key, |activation| activation.actor.is_passivatable());
        let Some(activation) = taken else { return false };
        let executor = &self.kind.runtime.executor;
        let kind = Arc::clone(&self.kind);
        let mut retiring = Box::pin(turn::drain_mailbox(kind, TurnOutcome::Retiring(activation)));
        turn::poll_inline(executor, retiring.as_mut()).is_ready()
            || executor.spawn(retiring).await.is_ok()
    }

    fn admit(&self, is_within_a_turn: bool) -> Result<&Arc<str>, NotExecuted> {
        // Turns under way may finish their work while the node drains.
        if !is_within_a_turn && self.kind.runtime.is_draining() {
            return Err(NotExecuted::ShuttingDown);
        }
        self.key()
    }

    fn check_cycle(&self, caller: &CallChain) -> Result<(), NotExecuted> {
        let actor = ActorHash { kind: A::KIND, hash: self.hash };
        let Some(chain) = caller.cycle_with(actor) else { return Ok(()) };
        let chain = chain.into_iter().map(|actor| self.kind.runtime.id_of(actor)).collect();
        Err(NotExecuted::CallCycle { chain })
    }

    fn enqueue<W: WaitingRequest<A> + 'static>(
        &self,
        mailbox: &mut Mailbox<A>,
        request: impl FnOnce() -> Box<W>,
    ) -> Result<(), NotExecuted> {
        let waiting_max = self.kind.runtime.options.mailbox_max;
        if mailbox.len() >= waiting_max {
            let actor = self.id()?;
            return Err(NotExecuted::Overloaded { actor, waiting_max });
        }
        mailbox.push_back(request());
        Ok(())
    }

    pub(crate) fn begin<R: Request>(
        &self,
        request: R,
        deadline: Option<&Deadline>,
    ) -> AskStart<R::Reply>
    where
        A: Handler<R>,
    {
        let caller = call_chain::current();
        let checked = caller.as_deref().map_or(Ok(()), |caller| self.check_cycle(caller));
        let key = match checked.and_then(|()| self.admit(caller.is_some())) {
            Ok(key) => key,
            Err(error) => return AskStart::Ended(Err(error.into())),
        };
        let mut parts = Some((request, caller));
        let found = self.kind.occupy(key, self.hash, |mailbox| {
            let (reply, receiver) = oneshot::channel();
            self.enqueue(mailbox, || {
                let (request, caller) = parts.take().expect("a request is handed over once");
                Box::new(WaitingAsk { request, caller, deadline: deadline.cloned(), reply })
            })
            .map(|()| receiver)
        });
        if let SlotLookup::Occupied(waiting) = found {
            return match waiting {
                Ok(receiver) => AskStart::Waiting(receiver),
                Err(error) => AskStart::Ended(Err(error.into())),
            };
        }
        let (request, caller) = parts.take().expect("only an occupied slot took the request");
        let depth = caller.as_ref().map_or(0, |call_chain| call_chain.depth());
        if let Some(deadline) = deadline {
            deadline.start.begin();
        }
        match found {
            SlotLookup::Idle(activation) => self.run(depth, turn::run(activation, request, caller)),
            SlotLookup::Vacant(guard) => self.run(depth, async move {
                match Activation::begin(guard).await {
                    Ok(activation) => turn::run(activation, request, caller).await,
                    Err(error) => (TurnOutcome::Over, Err(NotExecuted::from(error).into())),
                }
            }),
            SlotLookup::Occupied(_) => unreachable!("an occupied slot was handled above"),
        }
    }

    /// The caller runs the turn as far as it goes without waiting; a task carries it on from there.
    fn run<T: Send + 'static>(
        &self,
        depth: usize,
        turn: impl Future<Output = (TurnOutcome<A>, HandlerOutcome<T>)> + Send + 'static,
    ) -> AskStart<T> {
        let executor = &self.kind.runtime.executor;
        let mut turn = Box::pin(turn);
        if depth < INLINE_DEPTH_MAX
            && let Poll::Ready((outcome_step, outcome)) = turn::poll_inline(executor, turn.as_mut())
        {
            self.finish_turn(outcome_step);
            return AskStart::Ended(outcome);
        }
        let (reply, receiver) = oneshot::channel();
        let kind = Arc::clone(&self.kind);
        executor.spawn(async move {
            let (outcome_step, outcome) = turn.await;
            let _ = reply.send(outcome);
            turn::drain_mailbox(kind, outcome_step).await;
        });
        AskStart::Waiting(receiver)
    }

    /// Gives the activation back, or runs who waits for it.
    fn finish_turn(&self, outcome_step: TurnOutcome<A>) {
        let kind = || Arc::clone(&self.kind);
        let executor = &self.kind.runtime.executor;
        let outcome_step = match outcome_step {
            TurnOutcome::Over => return,
            TurnOutcome::Alive(activation) => match self.kind.release(activation) {
                AfterTurn::Idle => return,
                AfterTurn::Next(request, activation) => {
                    let kind = kind();
                    return turn::start(executor, async {
                        turn::drain_mailbox(kind, request.run(activation).await).await;
                    });
                }
                AfterTurn::Retire(activation) => TurnOutcome::Retiring(activation),
            },
            outcome_step => outcome_step,
        };
        turn::start(executor, turn::drain_mailbox(kind(), outcome_step));
    }
}

/// How far an ask got on its caller's thread.
pub(crate) enum AskStart<T> {
    Ended(HandlerOutcome<T>),
    Waiting(oneshot::Receiver<HandlerOutcome<T>>),
}
