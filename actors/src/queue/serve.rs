//! Those who wait for messages, and serving them in their order.

use std::time::Duration;

use lanekeeper_storage::Batch;

use super::{
    QueueError,
    actor::{QueueActor, Taken, Waiting},
    grant::Granted,
    lease::LeaseTerms,
    line::WAITING_MAX,
    permit::Permits,
    rules::Rules,
    take::Giving,
};
use crate::{
    AskError, Deferred, Handler, NotExecuted, Promise, Request, Turn, caller::CallerRef, clock,
};

/// How one who waits is answered.
pub(super) enum Asker {
    Pop(CallerRef, Promise<Taken>),
    Lease(LeaseTerms, Promise<Result<Granted, QueueError>>),
}

/// Serve those who wait: tokens have come back.
struct Serve;

/// The name of the timer that does so.
const SERVE: &str = "serve";

impl Request for Serve {
    type Reply = ();
}

impl Handler<Serve> for QueueActor {
    async fn handle(&mut self, _: Serve, turn: &mut Turn<'_, Self>) {
        self.serve(turn).await;
        self.settle(turn);
    }
}

impl QueueActor {
    /// Puts one who found nothing into the line.
    pub(super) fn wait<T: Send + 'static>(
        &mut self,
        depth: usize,
        turn: &Turn<'_, Self>,
        asker: impl FnOnce(Promise<T>) -> Asker,
    ) -> Result<Waiting<T>, QueueError> {
        let (promise, given): (_, Deferred<T>) = turn.defer();
        let place = self.line.join(depth, asker(promise)).ok_or_else(|| {
            let overloaded = NotExecuted::Overloaded { actor: turn.id(), waiting_max: WAITING_MAX };
            QueueError::Ask(AskError::NotExecuted(overloaded))
        })?;
        Ok(Waiting { place, given })
    }

    /// Tells everyone who waits that pops are paused.
    pub(super) fn turn_away(&mut self, turn: &mut Turn<'_, Self>) {
        while let Some((_, asker)) = self.line.next() {
            match asker {
                Asker::Pop(_, promise) => {
                    turn.fulfil(promise, Err(QueueError::Paused { verb: "pop" }));
                }
                Asker::Lease(_, promise) => {
                    turn.fulfil(promise, Err(QueueError::Paused { verb: "lease" }));
                }
            }
        }
    }

    /// Hands what is ready to those who wait, in their order. The turn is still to be settled.
    pub(super) async fn serve(&mut self, turn: &mut Turn<'_, Self>) {
        if self.line.is_empty() {
            self.leave_line();
        }
        match self.serve_ready(turn).await {
            Ok(None) => {}
            Ok(Some(wait)) => self.serve_after(wait, turn),
            Err(error) => {
                tracing::error!(queue = %turn.id(), %error, "those who wait were not served");
            }
        }
    }

    /// Serves those who wait again, so much later.
    pub(super) fn serve_after(&self, wait: Duration, turn: &mut Turn<'_, Self>) {
        if !self.line.is_empty() {
            turn.timer(SERVE, wait, Serve);
        }
    }

    /// Serves as long as there is something to give; answers when there is more, if that is known.
    async fn serve_ready(
        &mut self,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Option<Duration>, QueueError> {
        let now_ms = clock::unix_ms(turn.now());
        while !self.line.is_empty() {
            match self.decide(turn, |rules, _| rules.may_give(now_ms)).await? {
                Giving::Now => {}
                Giving::After(wait) => return Ok(Some(wait)),
                Giving::Nothing => return Ok(None),
            }
            let permits = match self.line.first() {
                Some((_, Asker::Lease(terms, _))) => {
                    let terms = terms.clone();
                    match self.take_permits(&terms, turn).await {
                        Ok(permits) => permits,
                        Err(QueueError::NoPermit { .. }) => {
                            self.stand_in_line(&terms, turn);
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
    async fn serve_first(&mut self, permits: Permits, turn: &mut Turn<'_, Self>) {
        let is_enough = permits.is_some() || self.rules.settings.gate.is_none();
        // Who was first before may just have left.
        let next = self.line.next_if(|asker| is_enough || matches!(asker, Asker::Pop(..)));
        match next {
            Some((_, Asker::Lease(terms, promise))) => {
                let leased = self.lease_with(permits, &terms, turn).await;
                turn.fulfil(promise, leased);
            }
            Some((depth, Asker::Pop(caller, promise))) => {
                let now_ms = clock::unix_ms(turn.now());
                // A pop is final: nothing is taken for one who has gone, here or by what the queue
                // had to read first.
                let verb = |rules: &mut Rules, batch: &mut Batch| {
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
