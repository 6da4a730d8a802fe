//! Those who wait for messages, and serving them in their order.

use std::time::Duration;

use lanekeeper_storage::Batch;

use crate::{
    actor::{
        caller::CallerRef,
        deferred_reply::{DeferredReply, ReplyHandle},
        error::{AskError, NotExecuted},
        virtual_actor::{Handler, Request},
    },
    queue::{
        actor::{QueueActor, TakenMessages, WaitingReply},
        api::{error::QueueError, lease_token::LeaseOptions},
        state::{queue_state::QueueState, undelivered::UndeliveredLeases, waiters::WAITING_MAX},
        verb::{gate_permits::HeldPermits, pop::Availability},
    },
    runtime::turn::Turn,
    time::clock,
};

/// How one who waits is answered.
pub(crate) enum Waiter {
    Pop(CallerRef, ReplyHandle<TakenMessages>),
    Lease(LeaseOptions, ReplyHandle<Result<UndeliveredLeases, QueueError>>),
}

/// Serve those who wait: tokens have come back.
struct ServeWaiters;

/// How long those who wait do so before a failure is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The name of the timer that does so.
const SERVE: &str = "serve";

impl Request for ServeWaiters {
    type Reply = ();
}

impl Handler<ServeWaiters> for QueueActor {
    async fn handle(&mut self, _: ServeWaiters, _: &mut Turn<'_, Self>) {
        // The end of the turn serves.
        self.serve_at = None;
    }
}

impl QueueActor {
    /// Puts one who found nothing into the line.
    pub(crate) fn wait<T: Send + 'static>(
        &mut self,
        depth: usize,
        turn: &Turn<'_, Self>,
        waiter: impl FnOnce(ReplyHandle<T>) -> Waiter,
    ) -> Result<WaitingReply<T>, QueueError> {
        let (promise, given): (_, DeferredReply<T>) = turn.defer();
        let position = self.waiters.join(depth, waiter(promise)).ok_or_else(|| {
            let overloaded = NotExecuted::Overloaded { actor: turn.id(), waiting_max: WAITING_MAX };
            QueueError::Ask(AskError::NotExecuted(overloaded))
        })?;
        Ok(WaitingReply { position, given })
    }

    /// Tells those who wait that pops are paused, unless they wait for the end of that, too.
    pub(crate) fn turn_away(&mut self, turn: &mut Turn<'_, Self>) {
        let is_refused = |waiter: &Waiter| match waiter {
            Waiter::Pop(..) => true,
            Waiter::Lease(options, _) => !options.waits_while_paused,
        };
        for waiter in self.waiters.take_all(is_refused) {
            match waiter {
                Waiter::Pop(_, promise) => {
                    turn.fulfil(promise, Err(QueueError::Paused { verb: "pop" }));
                }
                Waiter::Lease(_, promise) => {
                    turn.fulfil(promise, Err(QueueError::Paused { verb: "lease" }));
                }
            }
        }
    }

    /// Serves those who wait before a newcomer: what has come back since the last turn is theirs.
    pub(crate) async fn serve_before(&mut self, turn: &mut Turn<'_, Self>) {
        if !self.waiters.is_empty() {
            self.serve(turn).await;
        }
    }

    /// Hands what is ready to those who wait, in their order: the end of every turn.
    pub(crate) async fn serve(&mut self, turn: &mut Turn<'_, Self>) {
        if self.waiters.is_empty() {
            return self.leave_line();
        }
        match self.serve_ready(turn).await {
            Ok(None) => {}
            Ok(Some(wait)) => self.serve_after(wait, turn),
            Err(error) => {
                tracing::error!(queue = %turn.id(), %error, "those who wait were not served");
                self.serve_after(RETRY_AFTER, turn);
            }
        }
        if self.waiters.is_empty() {
            self.leave_line();
        }
    }

    /// Serves those who wait again, so much later at the latest.
    fn serve_after(&mut self, wait: Duration, turn: &mut Turn<'_, Self>) {
        let at = turn.meta.guard.kind.runtime.clock.elapsed() + wait;
        if self.serve_at.is_none_or(|armed| at < armed) {
            self.serve_at = Some(at);
            turn.timer(SERVE, wait, ServeWaiters);
        }
    }

    /// Serves as long as there is something to give; answers when there is more, if that is known.
    async fn serve_ready(
        &mut self,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Option<Duration>, QueueError> {
        let now_ms = clock::unix_ms(turn.now());
        while !self.waiters.is_empty() {
            match self.decide(turn, |rules, _| rules.may_give(now_ms)).await? {
                Availability::Now => {}
                Availability::After(wait) => {
                    self.rules.pop_bucket.await_token();
                    return Ok(Some(wait));
                }
                Availability::Nothing => return Ok(None),
            }
            let permits = match self.waiters.first() {
                Some((_, Waiter::Lease(options, _))) => {
                    let options = options.clone();
                    if self.at_gate.spare.is_none() && self.stands_in_line() {
                        return Ok(None);
                    }
                    match self.take_permits(&options, turn).await {
                        Ok(permits) => permits,
                        Err(QueueError::NoPermit { .. }) => {
                            self.stand_in_line(&options, turn);
                            return Ok(None);
                        }
                        Err(error) => return Err(error),
                    }
                }
                _ => None,
            };
            self.serve_first(permits, turn).await;
        }
        Ok(None)
    }

    /// Answers the first who waits; one who is to get leases only with what they need.
    async fn serve_first(&mut self, permits: HeldPermits, turn: &mut Turn<'_, Self>) {
        let is_enough = permits.is_some() || self.rules.settings.gate.is_none();
        // Who was first before may just have left.
        let next = self.waiters.next_if(|waiter| is_enough || matches!(waiter, Waiter::Pop(..)));
        match next {
            Some((_, Waiter::Lease(options, promise))) => {
                let leased = self.lease_with(permits, &options, turn).await;
                turn.fulfil(promise, leased);
            }
            Some((depth, Waiter::Pop(caller, promise))) => {
                let now_ms = clock::unix_ms(turn.now());
                // A pop is final: nothing is taken for one who has gone, here or by what the queue
                // had to read first.
                let verb = |rules: &mut QueueState, batch: &mut Batch| {
                    let is_gone = promise.is_abandoned() || caller.is_gone();
                    if is_gone { Ok(Vec::new()) } else { rules.pop(depth, now_ms, batch) }
                };
                let taken = self.decide(turn, verb).await;
                turn.fulfil(promise, taken);
                self.rules.freed.extend(permits.into_iter().flatten());
            }
            None => self.rules.freed.extend(permits.into_iter().flatten()),
        }
    }
}
