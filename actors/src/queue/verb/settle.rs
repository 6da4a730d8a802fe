//! What holders of leases ask, and how the queue answers.

use std::{collections::HashSet, time::SystemTime};

use lanekeeper_storage::{
    LoadError,
    key::{self, MessageState as State},
    record::MessageRecord,
};

use crate::{
    actor::virtual_actor::{Handler, Request},
    outbox::delivery::Posted,
    queue::{
        actor::QueueActor,
        api::{
            error::QueueError,
            lease_token::{self, LeaseError, LeaseToken},
        },
        state::{order::position::Place, queue_state::Rules, settle::NackTerms},
    },
    runtime::turn::Turn,
    time::clock::{self, from_unix_ms},
};

/// The result of settling leases together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The number of leases settled.
    pub count: usize,
    /// The leases that failed, each with its reason.
    pub failed: Vec<(LeaseToken, LeaseError)>,
}

/// The result of extending leases together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extended {
    /// The extended leases.
    pub extended: Vec<LeaseToken>,
    /// The new end of these leases.
    pub expires_at: SystemTime,
    /// The leases that failed, each with its reason.
    pub failed: Vec<(LeaseToken, LeaseError)>,
}

/// The work is done.
pub(crate) struct Ack(pub(crate) Vec<LeaseToken>);

/// The messages are to be somebody else's.
pub(crate) struct Nack {
    pub(crate) tokens: Vec<LeaseToken>,
    pub(crate) terms: NackTerms,
}

/// The messages were not worked on at all; nobody waits for an answer.
pub(crate) struct GiveBack {
    pub(crate) tokens: Vec<LeaseToken>,
    /// Whether the delivery counts.
    pub(crate) is_counted: bool,
}

/// The work takes longer.
pub(crate) struct Extend {
    pub(crate) tokens: Vec<LeaseToken>,
    pub(crate) ttl_ms: Option<u64>,
}

/// The work is given up.
pub(crate) struct Bury {
    pub(crate) tokens: Vec<LeaseToken>,
    pub(crate) reason: String,
}

/// Leases found good, and those that are not.
struct Judged {
    leased: Vec<(Place, MessageRecord)>,
    good: Vec<LeaseToken>,
    failed: Vec<(LeaseToken, LeaseError)>,
}

impl Judged {
    fn settled(self) -> Settled {
        Settled { count: self.good.len(), failed: self.failed }
    }
}

impl QueueActor {
    /// Looks up what tokens are for.
    fn judge(&self, tokens: Vec<LeaseToken>, turn: &Turn<'_, Self>) -> Result<Judged, LoadError> {
        let now_ms = clock::unix_ms(turn.now());
        let mut judged = Judged { leased: Vec::new(), good: Vec::new(), failed: Vec::new() };
        let mut seen = HashSet::new();
        for token in tokens {
            match self.judge_one(&token, now_ms, turn)? {
                Ok(_) if !seen.insert(token.id) => {
                    // The same request has settled it just before.
                    judged.failed.push((token, LeaseError::NotFound));
                }
                Ok(message) => {
                    judged.leased.push((lease_token::place_of(&token), message));
                    judged.good.push(token);
                }
                Err(error) => judged.failed.push((token, error)),
            }
        }
        Ok(judged)
    }

    fn judge_one(
        &self,
        token: &LeaseToken,
        now_ms: u64,
        turn: &Turn<'_, Self>,
    ) -> Result<Result<MessageRecord, LeaseError>, LoadError> {
        if self.rules.queue != Some(token.queue) {
            return Ok(Err(LeaseError::NotFound));
        }
        let place = lease_token::place_of(token);
        for state in [State::Leased, State::Ready, State::Scheduled] {
            if let Some(record) = turn.store().get(&place.key(token.queue, state))? {
                let message = MessageRecord::decode(&record)?;
                return Ok(lease_token::judge(token, &message, now_ms).map(|()| message));
            }
        }
        // It may have got another priority since: then it was somebody's to change.
        let moved = turn.store().get(&key::moved(token.queue, token.id.arrival))?;
        Ok(Err(if moved.is_some() { LeaseError::Expired } else { LeaseError::NotFound }))
    }
}

impl Request for Ack {
    type Reply = Result<Settled, QueueError>;
}

impl Handler<Ack> for QueueActor {
    async fn handle(
        &mut self,
        Ack(tokens): Ack,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Settled, QueueError> {
        let judged = self.judge(tokens, turn)?;
        if !judged.leased.is_empty() {
            let now_ms = clock::unix_ms(turn.now());
            self.decide(turn, |rules, batch| rules.ack(&judged.leased, now_ms, batch)).await?;
            turn.batch().frees_space();
        }
        Ok(judged.settled())
    }
}

impl Request for Nack {
    type Reply = Result<Settled, QueueError>;
}

impl Handler<Nack> for QueueActor {
    async fn handle(
        &mut self,
        Nack { tokens, terms }: Nack,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Settled, QueueError> {
        let judged = self.judge(tokens, turn)?;
        if !judged.leased.is_empty() {
            let now_ms = clock::unix_ms(turn.now());
            let verb = |rules: &mut Rules, batch: &mut _| {
                rules.nack(&judged.leased, &terms, now_ms, batch)
            };
            self.decide(turn, verb).await?;
            turn.batch().frees_space();
        }
        Ok(judged.settled())
    }
}

impl Request for GiveBack {
    type Reply = ();
}

impl Handler<GiveBack> for QueueActor {
    async fn handle(
        &mut self,
        GiveBack { tokens, is_counted }: GiveBack,
        turn: &mut Turn<'_, Self>,
    ) {
        let terms = NackTerms { is_counted, ..NackTerms::default() };
        if let Err(error) = self.handle(Nack { tokens, terms }, turn).await {
            tracing::warn!(queue = %turn.id(), %error, "leases end by themselves");
        }
    }
}

impl Request for Extend {
    type Reply = Result<Extended, QueueError>;
}

impl Handler<Extend> for QueueActor {
    async fn handle(
        &mut self,
        Extend { tokens, ttl_ms }: Extend,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Extended, QueueError> {
        let Judged { leased, good, failed } = self.judge(tokens, turn)?;
        let ttl_ms = self.rules.lease_ttl_ms(ttl_ms);
        let until_ms = clock::unix_ms(turn.now()).saturating_add(ttl_ms);
        if !leased.is_empty() {
            self.extend_permits(&leased, ttl_ms, turn).await?;
            self.rules.extend(&leased, until_ms, turn.batch());
        }
        Ok(Extended { extended: good, expires_at: from_unix_ms(until_ms), failed })
    }
}

impl Request for Bury {
    /// With the last letter to the dead-letter queue.
    type Reply = Result<(Settled, Option<Posted>), QueueError>;
}

impl Handler<Bury> for QueueActor {
    async fn handle(
        &mut self,
        Bury { tokens, reason }: Bury,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(Settled, Option<Posted>), QueueError> {
        let judged = self.judge(tokens, turn)?;
        let mut letter = None;
        if !judged.leased.is_empty() {
            let now_ms = clock::unix_ms(turn.now());
            let verb = |rules: &mut Rules, batch: &mut _| {
                rules.dead_letter(&judged.leased, &reason, now_ms, batch)
            };
            self.decide(turn, verb).await?;
            self.send_dead(turn);
            letter = turn.last_letter();
        }
        Ok((judged.settled(), letter))
    }
}
