//! An ask under way: from the caller's first poll to the reply behind the output gate.

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
    actor::{
        actor_ref::{ActorRef, AskStart},
        error::{AskError, NotExecuted, Unknown},
        virtual_actor::{Handler, Request},
    },
    runtime::{commit_barrier::CommitBarrier, mailbox::Deadline, turn::HandlerOutcome},
    time::clock::Sleep,
};

/// A request that was not sent yet; await it to send it.
#[must_use = "nothing is asked before it is awaited"]
pub struct Ask<'a, A: Handler<R>, R: Request> {
    actor: &'a ActorRef<A>,
    request: R,
    deadline: Option<Duration>,
}

impl<'a, A: Handler<R>, R: Request> Ask<'a, A, R> {
    pub(crate) fn new(actor: &'a ActorRef<A>, request: R) -> Self {
        Self { actor, request, deadline: None }
    }

    /// Limits the wait. A turn that has not begun by then does not begin
    /// ([`NotExecuted::DeadlinePassed`]); a turn that has begun continues, and the caller gets
    /// [`AskError::Unknown`].
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

impl<'a, A: Handler<R>, R: Request> IntoFuture for Ask<'a, A, R> {
    type Output = Result<R::Reply, AskError>;
    type IntoFuture = AskFuture<'a, A, R>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { actor, request, deadline } = self;
        let limit = deadline.map(|wait| {
            let clock = &actor.kind.runtime.clock;
            let start = Arc::default();
            Box::new(AskDeadline {
                deadline: Deadline { at: clock.elapsed() + wait, start },
                sleep: clock.sleep(wait),
            })
        });
        AskFuture { actor, stage: AskStage::Unasked(request), limit }
    }
}

/// A request under way: the future of an [`Ask`].
pub struct AskFuture<'a, A: Handler<R>, R: Request> {
    actor: &'a ActorRef<A>,
    stage: AskStage<R>,
    limit: Option<Box<AskDeadline>>,
}

struct AskDeadline {
    deadline: Deadline,
    sleep: Sleep,
}

enum AskStage<R: Request> {
    Unasked(R),
    Waiting(oneshot::Receiver<HandlerOutcome<R::Reply>>),
    Gated(R::Reply, CommitBarrier),
    Over,
}

// Nothing in it is pinned: the request is moved out before it runs.
impl<A: Handler<R>, R: Request> Unpin for AskFuture<'_, A, R> {}

impl<A: Handler<R>, R: Request> AskFuture<'_, A, R> {
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<R::Reply, AskError>> {
        loop {
            let outcome = match std::mem::replace(&mut self.stage, AskStage::Over) {
                AskStage::Unasked(request) => {
                    let deadline = self.limit.as_ref().map(|limit| &limit.deadline);
                    match self.actor.begin(request, deadline) {
                        AskStart::Ended(outcome) => outcome,
                        AskStart::Waiting(receiver) => {
                            self.stage = AskStage::Waiting(receiver);
                            continue;
                        }
                    }
                }
                AskStage::Waiting(mut receiver) => match Pin::new(&mut receiver).poll(cx) {
                    Poll::Ready(outcome) => {
                        outcome.unwrap_or(Err(AskError::Unknown(Unknown::CutOff)))
                    }
                    Poll::Pending => {
                        self.stage = AskStage::Waiting(receiver);
                        return Poll::Pending;
                    }
                },
                AskStage::Gated(reply, gate) => {
                    let engine = self.actor.kind.runtime.store.engine();
                    return match gate.poll_open(&**engine, cx) {
                        Poll::Ready(Ok(())) => Poll::Ready(Ok(reply)),
                        Poll::Ready(Err(error)) => {
                            Poll::Ready(Err(AskError::Unknown(Unknown::Commit(error))))
                        }
                        Poll::Pending => {
                            self.stage = AskStage::Gated(reply, gate);
                            Poll::Pending
                        }
                    };
                }
                AskStage::Over => panic!("polled after it was ready"),
            };
            match outcome {
                Ok((reply, gate)) => self.stage = AskStage::Gated(reply, gate),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<A: Handler<R>, R: Request> Future for AskFuture<'_, A, R> {
    type Output = Result<R::Reply, AskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(result) = this.advance(cx) {
            return Poll::Ready(result);
        }
        let Some(limit) = &mut this.limit else { return Poll::Pending };
        ready!(Pin::new(&mut limit.sleep).poll(cx));
        this.stage = AskStage::Over;
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

impl<A: Handler<R>, R: Request> fmt::Debug for AskFuture<'_, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asking({:?})", self.actor)
    }
}
