//! Those who wait for messages, and serving them in their order.

use lanekeeper_storage::Batch;

use super::{
    QueueError,
    actor::{QueueActor, Taken, Waiting, nonces},
    grant::Granted,
    lease::LeaseTerms,
    line::WAITING_MAX,
    rules::Rules,
    take::Giving,
};
use crate::{AskError, Deferred, Handler, NotExecuted, Promise, Request, Turn, clock};

/// How one who waits is answered.
pub(super) enum Asker {
    Pop(Promise<Taken>),
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
                Asker::Pop(promise) => {
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
        let now_ms = clock::unix_ms(turn.now());
        while !self.line.is_empty() {
            match self.decide(turn, |rules, _| rules.may_give(now_ms)).await {
                Ok(Giving::Now) => {}
                Ok(Giving::After(wait)) => return turn.timer(SERVE, wait, Serve),
                Ok(Giving::Nothing) => return,
                Err(error) => {
                    tracing::error!(queue = %turn.id(), %error, "those who wait were not served");
                    return;
                }
            }
            let Some((depth, asker)) = self.line.next() else { return };
            match asker {
                Asker::Pop(promise) => {
                    let verb =
                        |rules: &mut Rules, batch: &mut Batch| rules.pop(depth, now_ms, batch);
                    let taken = self.decide(turn, verb).await;
                    turn.fulfil(promise, taken);
                }
                Asker::Lease(terms, promise) => {
                    let mut nonces = nonces(terms.depth);
                    let verb = |rules: &mut Rules, batch: &mut Batch| {
                        rules.lease(&terms, now_ms, &mut nonces, batch)
                    };
                    let leased = self.decide(turn, verb).await;
                    let me = turn.me();
                    turn.fulfil(promise, leased.map(|leased| Granted::new(leased, me)));
                }
            }
        }
    }
}
