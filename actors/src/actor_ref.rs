//! The address of an actor, and asking it.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    Actor, ActorId, AskError, Handler, NotExecuted, Request, Unknown,
    activation::{Activation, Step},
    chain::{self, Link},
    clock::Sleep,
    registry::{Found, Kind, Mailbox, Release},
    request::{Deadline, WaitingAsk, WaitingRequest, WaitingTell},
    store::OutputGate,
    turn::{self, Outcome},
};

/// Turns that run inside one another on one thread's stack at most; deeper ones get a task.
const INLINE_DEPTH_MAX: usize = 16;

/// The address of an actor: no I/O to make, cheap to clone, valid across passivation and restart.
pub struct ActorRef<A: Actor> {
    kind: Arc<Kind<A>>,
    id: Result<ActorId, NotExecuted>,
    hash: u64,
}

impl<A: Actor> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        Self { kind: Arc::clone(&self.kind), id: self.id.clone(), hash: self.hash }
    }
}

impl<A: Actor> fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef({:?})", self.id)
    }
}

impl<A: Actor> ActorRef<A> {
    pub(crate) fn new(kind: Arc<Kind<A>>, id: Result<ActorId, NotExecuted>) -> Self {
        let hash = id.as_ref().map_or(0, |id| kind.hash(&id.key));
        Self { kind, id, hash }
    }

    /// Who is addressed, or why nobody can be.
    ///
    /// # Errors
    /// [`NotExecuted::InvalidId`] if the key breaks the rules of ids, [`NotExecuted::KindTaken`] if
    /// another type of this node has the same kind. Every ask then answers the same.
    pub fn id(&self) -> Result<&ActorId, NotExecuted> {
        self.id.as_ref().map_err(Clone::clone)
    }

    /// Asks: await what this returns for the reply. Nothing happens before it is polled. The reply
    /// arrives when the turn is as durable as promised.
    ///
    /// Dropping the future before its first poll asks nothing; dropping it later gives up the reply,
    /// not the request.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask<R: Request>(&self, request: R) -> Ask<'_, A, R>
    where
        A: Handler<R>,
    {
        Ask { actor: self, request, deadline: None }
    }

    /// Hands a request over without waiting for a reply.
    ///
    /// # Errors
    /// [`NotExecuted`] if it was not accepted; once accepted it runs once, or its failure is logged.
    pub fn tell<R: Request>(&self, request: R) -> Result<(), NotExecuted>
    where
        A: Handler<R>,
    {
        let id = self.admit(chain::current().as_deref())?;
        let mut request = Some(WaitingTell(request));
        let kind = Arc::clone(&self.kind);
        let executor = &self.kind.runtime.executor;
        let mut take = || Box::new(request.take().expect("a request is handed over once"));
        match self.kind.occupy(id, self.hash, |mailbox| self.enqueue(mailbox, &mut take)) {
            Found::Occupied(accepted) => accepted?,
            Found::Idle(activation) => {
                let request: Box<dyn WaitingRequest<A>> = take();
                executor.spawn(async { turn::carry_on(kind, request.run(activation).await).await });
            }
            Found::Vacant(seat) => {
                let request: Box<dyn WaitingRequest<A>> = take();
                executor.spawn(async {
                    match Activation::begin(seat).await {
                        Ok(activation) => turn::carry_on(kind, request.run(activation).await).await,
                        Err(error) => request.refuse(error.into()),
                    }
                });
            }
        }
        Ok(())
    }

    /// Puts the activation away if there is one and it is idle, and returns once it is gone: true
    /// if there was one. The actor goes on existing. Dropping the future does not stop it.
    pub async fn passivate(&self) -> bool {
        let Ok(id) = &self.id else { return false };
        let taken = self.kind.take_for_passivation(self.hash, &id.key, |activation| {
            activation.actor.is_passivatable()
        });
        let Some(activation) = taken else { return false };
        let executor = &self.kind.runtime.executor;
        let kind = Arc::clone(&self.kind);
        let mut retiring = Box::pin(turn::carry_on(kind, Step::Retiring(activation)));
        turn::poll_here(executor, retiring.as_mut()).is_ready()
            || executor.spawn(retiring).await.is_ok()
    }

    fn admit(&self, caller: Option<&Link>) -> Result<&ActorId, NotExecuted> {
        let id = self.id.as_ref().map_err(Clone::clone)?;
        // Turns under way may finish their work while the node drains.
        if caller.is_none() && self.kind.runtime.is_draining() {
            return Err(NotExecuted::ShuttingDown);
        }
        Ok(id)
    }

    fn enqueue<W: WaitingRequest<A> + 'static>(
        &self,
        mailbox: &mut Mailbox<A>,
        request: impl FnOnce() -> Box<W>,
    ) -> Result<(), NotExecuted> {
        let waiting_max = self.kind.runtime.options.mailbox_max;
        if mailbox.len() >= waiting_max {
            let actor = self.id.clone()?;
            return Err(NotExecuted::Overloaded { actor, waiting_max });
        }
        mailbox.push_back(request());
        Ok(())
    }

    fn begin<R: Request>(&self, request: R, deadline: Option<&Deadline>) -> Begun<R::Reply>
    where
        A: Handler<R>,
    {
        let caller = chain::current();
        let id = match self.admit(caller.as_deref()) {
            Ok(id) => id,
            Err(error) => return Begun::Ended(Err(error.into())),
        };
        if let Some(chain) = caller.as_deref().and_then(|link| link.cycle_with(id)) {
            return Begun::Ended(Err(NotExecuted::CallCycle { chain }.into()));
        }
        let mut parts = Some((request, caller));
        let found = self.kind.occupy(id, self.hash, |mailbox| {
            let (reply, receiver) = oneshot::channel();
            self.enqueue(mailbox, || {
                let (request, caller) = parts.take().expect("a request is handed over once");
                Box::new(WaitingAsk { request, caller, deadline: deadline.cloned(), reply })
            })
            .map(|()| receiver)
        });
        if let Found::Occupied(waiting) = found {
            return match waiting {
                Ok(receiver) => Begun::Waiting(receiver),
                Err(error) => Begun::Ended(Err(error.into())),
            };
        }
        let (request, caller) = parts.take().expect("only an occupied slot took the request");
        let depth = caller.as_ref().map_or(0, |link| link.depth());
        if let Some(deadline) = deadline {
            deadline.start.begin();
        }
        match found {
            Found::Idle(activation) => self.run(depth, turn::run(activation, request, caller)),
            Found::Vacant(seat) => self.run(depth, async move {
                match Activation::begin(seat).await {
                    Ok(activation) => turn::run(activation, request, caller).await,
                    Err(error) => (Step::Over, Err(NotExecuted::from(error).into())),
                }
            }),
            Found::Occupied(_) => unreachable!("an occupied slot was handled above"),
        }
    }

    /// The caller runs the turn as far as it goes without waiting; a task carries it on from there.
    fn run<T: Send + 'static>(
        &self,
        depth: usize,
        turn: impl Future<Output = (Step<A>, Outcome<T>)> + Send + 'static,
    ) -> Begun<T> {
        let executor = &self.kind.runtime.executor;
        let mut turn = Box::pin(turn);
        if depth < INLINE_DEPTH_MAX
            && let Poll::Ready((step, outcome)) = turn::poll_here(executor, turn.as_mut())
        {
            self.settle(step);
            return Begun::Ended(outcome);
        }
        let (reply, receiver) = oneshot::channel();
        let kind = Arc::clone(&self.kind);
        executor.spawn(async move {
            let (step, outcome) = turn.await;
            let _ = reply.send(outcome);
            turn::carry_on(kind, step).await;
        });
        Begun::Waiting(receiver)
    }

    /// Gives the activation back, or runs who waits for it.
    fn settle(&self, step: Step<A>) {
        let kind = || Arc::clone(&self.kind);
        let executor = &self.kind.runtime.executor;
        let step = match step {
            Step::Over => return,
            Step::Alive(activation) => match self.kind.release(activation) {
                Release::Idle => return,
                Release::Next(request, activation) => {
                    let kind = kind();
                    return turn::start(executor, async {
                        turn::carry_on(kind, request.run(activation).await).await;
                    });
                }
                Release::Retire(activation) => Step::Retiring(activation),
            },
            step => step,
        };
        turn::start(executor, turn::carry_on(kind(), step));
    }
}

enum Begun<T> {
    Ended(Outcome<T>),
    Waiting(oneshot::Receiver<Outcome<T>>),
}

/// An ask that was not sent yet: await it.
#[must_use = "nothing is asked before it is awaited"]
pub struct Ask<'a, A: Handler<R>, R: Request> {
    actor: &'a ActorRef<A>,
    request: R,
    deadline: Option<Duration>,
}

impl<A: Handler<R>, R: Request> Ask<'_, A, R> {
    /// Bounds the wait: a turn that has not begun by then does not begin
    /// ([`NotExecuted::DeadlinePassed`]); one that has goes on, and its outcome is
    /// [`AskError::Unknown`] to the asker.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

impl<'a, A: Handler<R>, R: Request> IntoFuture for Ask<'a, A, R> {
    type Output = Result<R::Reply, AskError>;
    type IntoFuture = Asking<'a, A, R>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { actor, request, deadline } = self;
        let limit = deadline.map(|wait| {
            let clock = &actor.kind.runtime.clock;
            let start = Arc::default();
            Box::new(Limit {
                deadline: Deadline { at: clock.elapsed() + wait, start },
                sleep: clock.sleep(wait),
            })
        });
        Asking { actor, stage: Stage::Unasked(request), limit }
    }
}

/// An ask under way: what awaiting an [`Ask`] polls.
pub struct Asking<'a, A: Handler<R>, R: Request> {
    actor: &'a ActorRef<A>,
    stage: Stage<R>,
    limit: Option<Box<Limit>>,
}

struct Limit {
    deadline: Deadline,
    sleep: Sleep,
}

enum Stage<R: Request> {
    Unasked(R),
    Waiting(oneshot::Receiver<Outcome<R::Reply>>),
    Gated(R::Reply, OutputGate),
    Over,
}

// Nothing in it is pinned: the request is moved out before it runs.
impl<A: Handler<R>, R: Request> Unpin for Asking<'_, A, R> {}

impl<A: Handler<R>, R: Request> Asking<'_, A, R> {
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<R::Reply, AskError>> {
        loop {
            let outcome = match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Unasked(request) => {
                    let deadline = self.limit.as_ref().map(|limit| &limit.deadline);
                    match self.actor.begin(request, deadline) {
                        Begun::Ended(outcome) => outcome,
                        Begun::Waiting(receiver) => {
                            self.stage = Stage::Waiting(receiver);
                            continue;
                        }
                    }
                }
                Stage::Waiting(mut receiver) => match Pin::new(&mut receiver).poll(cx) {
                    Poll::Ready(outcome) => {
                        outcome.unwrap_or(Err(AskError::Unknown(Unknown::CutOff)))
                    }
                    Poll::Pending => {
                        self.stage = Stage::Waiting(receiver);
                        return Poll::Pending;
                    }
                },
                Stage::Gated(reply, gate) => {
                    let engine = self.actor.kind.runtime.store.engine();
                    return match gate.poll_open(&**engine, cx) {
                        Poll::Ready(Ok(())) => Poll::Ready(Ok(reply)),
                        Poll::Ready(Err(error)) => {
                            Poll::Ready(Err(AskError::Unknown(Unknown::Commit(error))))
                        }
                        Poll::Pending => {
                            self.stage = Stage::Gated(reply, gate);
                            Poll::Pending
                        }
                    };
                }
                Stage::Over => panic!("polled after it was ready"),
            };
            match outcome {
                Ok((reply, gate)) => self.stage = Stage::Gated(reply, gate),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<A: Handler<R>, R: Request> Future for Asking<'_, A, R> {
    type Output = Result<R::Reply, AskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(result) = this.advance(cx) {
            return Poll::Ready(result);
        }
        let Some(limit) = &mut this.limit else { return Poll::Pending };
        ready!(Pin::new(&mut limit.sleep).poll(cx));
        this.stage = Stage::Over;
        Poll::Ready(Err(if limit.deadline.start.withdraw() {
            NotExecuted::DeadlinePassed.into()
        } else {
            AskError::Unknown(Unknown::DeadlinePassed)
        }))
    }
}

impl<A: Handler<R>, R: Request> fmt::Debug for Ask<'_, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask({:?})", self.actor)
    }
}

impl<A: Handler<R>, R: Request> fmt::Debug for Asking<'_, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asking({:?})", self.actor)
    }
}
