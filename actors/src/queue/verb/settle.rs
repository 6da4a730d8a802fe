//! What holders of leases ask, and how the queue answers.

use std::{collections::HashSet, time::SystemTime};

use lanekeeper_storage::{
    LoadError,
    key::{self, MessageState as State},
    record::MessageRecord,
};

use crate::{
    actor::virtual_actor::{Handler, Request},
    outbox::delivery::OutboxId,
    queue::{
        actor::QueueActor,
        api::{
            error::QueueError,
            lease_token::{self, LeaseError, LeaseToken},
        },
        state::{order::position::Position, queue_state::QueueState, settle::NackRequest},
    },
    runtime::turn::Turn,
    time::clock::{self, from_unix_ms},
};

/// The result of settling leases together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettledLeases {
    /// The number of leases settled.
    pub count: usize,
    /// The leases that failed, each with its reason.
    pub failed: Vec<(LeaseToken, LeaseError)>,
}

/// The result of extending leases together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedLeases {
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
    pub(crate) options: NackRequest,
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
pub(crate) struct DeadLetterLeases {
    pub(crate) tokens: Vec<LeaseToken>,
    pub(crate) reason: String,
}

/// Leases found good, and those that are not.
struct ValidLeases {
    leased: Vec<(Position, MessageRecord)>,
    good: Vec<LeaseToken>,
    failed: Vec<(LeaseToken, LeaseError)>,
}

impl ValidLeases {
    fn settled(self) -> SettledLeases {
        SettledLeases { count: self.good.len(), failed: self.failed }
    }
}

impl QueueActor {
    /// Looks up what tokens are for.
    fn validate_leases(
        &self,
        tokens: Vec<LeaseToken>,
        turn: &Turn<'_, Self>,
    ) -> Result<ValidLeases, LoadError> {
        let now_ms = clock::unix_ms(turn.now());
        let mut valid_leases =
            ValidLeases { leased: Vec::new(), good: Vec::new(), failed: Vec::new() };
        let mut seen = HashSet::new();
        for token in tokens {
            match self.judge_one(&token, now_ms, turn)? {
                Ok(_) if !seen.insert(token.id) => {
                    // The same request has settled it just before.
                    valid_leases.failed.push((token, LeaseError::NotFound));
                }
                Ok(message) => {
                    valid_leases.leased.push((lease_token::place_of(&token), message));
                    valid_leases.good.push(token);
                }
                Err(error) => valid_leases.failed.push((token, error)),
            }
        }
        Ok(valid_leases)
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
        let position = lease_token::place_of(token);
        for state in [State::Leased, State::Ready, State::Scheduled] {
            if let Some(record) = turn.store().get(&position.key(token.queue, state))? {
                let message = MessageRecord::decode(&record)?;
                return Ok(lease_token::validate_leases(token, &message, now_ms).map(|()| message));
            }
        }
        // It may have got another priority since: then it was somebody's to change.
        let moved = turn.store().get(&key::moved(token.queue, token.id.arrival))?;
        Ok(Err(if moved.is_some() { LeaseError::Expired } else { LeaseError::NotFound }))
    }
}

impl Request for Ack {
    type Reply = Result<SettledLeases, QueueError>;
}

impl Handler<Ack> for QueueActor {
    async fn handle(
        &mut self,
        Ack(tokens): Ack,
        turn: &mut Turn<'_, Self>,
    ) -> Result<SettledLeases, QueueError> {
        let valid_leases = self.validate_leases(tokens, turn)?;
        if !valid_leases.leased.is_empty() {
            let now_ms = clock::unix_ms(turn.now());
            self.decide(turn, |rules, batch| rules.ack(&valid_leases.leased, now_ms, batch))
                .await?;
            turn.batch().frees_space();
        }
        Ok(valid_leases.settled())
    }
}

impl Request for Nack {
    type Reply = Result<SettledLeases, QueueError>;
}

impl Handler<Nack> for QueueActor {
    async fn handle(
        &mut self,
        Nack { tokens, options }: Nack,
        turn: &mut Turn<'_, Self>,
    ) -> Result<SettledLeases, QueueError> {
        let valid_leases = self.validate_leases(tokens, turn)?;
        if !valid_leases.leased.is_empty() {
            let now_ms = clock::unix_ms(turn.now());
            let verb = |rules: &mut QueueState, batch: &mut _| {
                rules.nack(&valid_leases.leased, &options, now_ms, batch)
            };
            self.decide(turn, verb).await?;
            turn.batch().frees_space();
        }
        Ok(valid_leases.settled())
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
        let options = NackRequest { is_counted, ..NackRequest::default() };
        if let Err(error) = self.handle(Nack { tokens, options }, turn).await {
            tracing::warn!(queue = %turn.id(), %error, "leases end by themselves");
        }
    }
}

impl Request for Extend {
    type Reply = Result<ExtendedLeases, QueueError>;
}

impl Handler<Extend> for QueueActor {
    async fn handle(
        &mut self,
        Extend { tokens, ttl_ms }: Extend,
        turn: &mut Turn<'_, Self>,
    ) -> Result<ExtendedLeases, QueueError> {
        let ValidLeases { leased, good, failed } = self.validate_leases(tokens, turn)?;
        let ttl_ms = self.rules.lease_ttl_ms(ttl_ms);
        let until_ms = clock::unix_ms(turn.now()).saturating_add(ttl_ms);
        if !leased.is_empty() {
            self.extend_permits(&leased, ttl_ms, turn).await?;
            self.rules.extend(&leased, until_ms, turn.batch());
        }
        Ok(ExtendedLeases { extended: good, expires_at: from_unix_ms(until_ms), failed })
    }
}

impl Request for DeadLetterLeases {
    /// With the last letter to the dead-letter queue.
    type Reply = Result<(SettledLeases, Option<OutboxId>), QueueError>;
}

impl Handler<DeadLetterLeases> for QueueActor {
    async fn handle(
        &mut self,
        DeadLetterLeases { tokens, reason }: DeadLetterLeases,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(SettledLeases, Option<OutboxId>), QueueError> {
        let valid_leases = self.validate_leases(tokens, turn)?;
        let mut letter = None;
        if !valid_leases.leased.is_empty() {
            let now_ms = clock::unix_ms(turn.now());
            let verb = |rules: &mut QueueState, batch: &mut _| {
                rules.dead_letter(&valid_leases.leased, &reason, now_ms, batch)
            };
            self.decide(turn, verb).await?;
            self.send_dead(turn);
            letter = turn.last_letter();
        }
        Ok((valid_leases.settled(), letter))
    }
}
