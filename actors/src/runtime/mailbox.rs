//! Requests that wait for their turn, and the asker's side of it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    actor::{
        error::NotExecuted,
        virtual_actor::{Actor, Handler, Request},
    },
    runtime::{
        activation::{Activation, TurnOutcome},
        call_chain::CallChain,
        turn::{self, HandlerOutcome},
    },
};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A request in a mailbox, its type forgotten.
pub(crate) trait WaitingRequest<A: Actor>: Send {
    /// Runs it on the activation and replies.
    fn run(self: Box<Self>, activation: Box<Activation<A>>) -> BoxFuture<TurnOutcome<A>>;

    /// Tells its sender that it will not run.
    fn refuse(self: Box<Self>, error: NotExecuted);
}

/// Whether a request with a deadline has begun. It begins or is withdrawn, never both.
#[derive(Debug, Default)]
pub(crate) struct ClaimFlag(AtomicU8);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl ClaimFlag {
    fn decide(&self, outcome: u8) -> bool {
        let decided =
            self.0.compare_exchange(WAITING, outcome, Ordering::AcqRel, Ordering::Acquire);
        decided.is_ok()
    }

    /// Begins, unless withdrawn.
    pub(crate) fn begin(&self) -> bool {
        self.decide(BEGUN)
    }

    /// Withdraws, unless begun.
    pub(crate) fn withdraw(&self) -> bool {
        self.decide(WITHDRAWN)
    }
}

/// A limit on when a turn may begin.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    /// Monotonic time of the node's clock.
    pub(crate) at: Duration,
    pub(crate) start: Arc<ClaimFlag>,
}

/// An ask in a mailbox.
pub(crate) struct WaitingAsk<R: Request> {
    pub(crate) request: R,
    pub(crate) caller: Option<Arc<CallChain>>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) reply: oneshot::Sender<HandlerOutcome<R::Reply>>,
}

impl<A: Handler<R>, R: Request> WaitingRequest<A> for WaitingAsk<R> {
    fn run(self: Box<Self>, activation: Box<Activation<A>>) -> BoxFuture<TurnOutcome<A>> {
        let Self { request, caller, deadline, reply } = *self;
        if let Some(deadline) = deadline {
            let is_late = activation.meta.guard.kind.runtime.clock.elapsed() > deadline.at;
            if is_late || !deadline.start.begin() {
                let _ = reply.send(Err(NotExecuted::DeadlinePassed.into()));
                return Box::pin(async { TurnOutcome::Alive(activation) });
            }
        }
        Box::pin(async move {
            let (outcome_step, outcome) = turn::run(activation, request, caller).await;
            // The asker may have gone away; the turn has run all the same.
            let _ = reply.send(outcome);
            outcome_step
        })
    }

    fn refuse(self: Box<Self>, error: NotExecuted) {
        let _ = self.reply.send(Err(error.into()));
    }
}

/// A tell in a mailbox: nobody waits for its reply.
pub(crate) struct WaitingTell<R>(pub(crate) R);

impl<A: Handler<R>, R: Request> WaitingRequest<A> for WaitingTell<R> {
    fn run(self: Box<Self>, activation: Box<Activation<A>>) -> BoxFuture<TurnOutcome<A>> {
        Box::pin(async move {
            let id = activation.meta.guard.id();
            let (outcome_step, outcome) = turn::run(activation, self.0, None).await;
            if let Err(error) = outcome {
                tracing::warn!(actor = %id, %error, "a told request failed");
            }
            outcome_step
        })
    }

    fn refuse(self: Box<Self>, error: NotExecuted) {
        tracing::warn!(%error, "a told request was not executed");
    }
}
