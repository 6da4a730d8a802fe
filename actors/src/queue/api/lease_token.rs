//! Leasing messages: theirs who hold the token, until it is settled or its time ends.

use std::{fmt, str::FromStr, sync::Arc};

use lanekeeper_storage::{
    Batch,
    key::QueueNo,
    record::{LeaseRecord, MessageRecord, MessageStateRecord, PermitRecord},
};

use crate::queue::{
    api::message::{Message, MessageId},
    state::{
        order::position::Position,
        queue_state::{Blocked, QueueState},
    },
};

/// The secret of a delivery.
pub(crate) type Nonce = [u8; 16];

/// The token of a lease: opaque, unguessable, good for one delivery of one message of one queue,
/// until that is settled or its time ends. Its text is 72 characters of lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    pub(crate) queue: QueueNo,
    pub(crate) id: MessageId,
    pub(crate) nonce: Nonce,
}

impl LeaseToken {
    /// The message it is for, by an id that is good while the lease is.
    pub fn message_id(&self) -> MessageId {
        self.id
    }
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nonce = u128::from_be_bytes(self.nonce);
        write!(f, "{:016x}{}{nonce:032x}", self.queue.0, self.id)
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever reads a log must not be able to settle what it speaks of.
        write!(f, "LeaseToken({})", self.id)
    }
}

/// A text that is no lease token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a lease token")]
pub struct InvalidLeaseToken;

impl FromStr for LeaseToken {
    type Err = InvalidLeaseToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 72 || !text.bytes().all(is_digit) {
            return Err(InvalidLeaseToken);
        }
        let queue = u64::from_str_radix(&text[..16], 16).map_err(|_| InvalidLeaseToken)?;
        let id = text[16..40].parse().map_err(|_| InvalidLeaseToken)?;
        let nonce = u128::from_str_radix(&text[40..], 16).map_err(|_| InvalidLeaseToken)?;
        Ok(Self { queue: QueueNo(queue), id, nonce: nonce.to_be_bytes() })
    }
}

/// Why a token is good for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// It is no token of this queue, or its message was settled.
    #[error("the lease does not exist, or was settled")]
    NotFound,
    /// Its time has ended; the message is somebody else's now.
    #[error("the lease has expired")]
    Expired,
}

/// What a lease is asked for with.
#[derive(Clone, Debug)]
pub(crate) struct LeaseOptions {
    pub(crate) depth: usize,
    /// How long it lasts, if not as the queue says.
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) worker: Option<Arc<str>>,
    /// Which life of the worker it is.
    pub(crate) life: Option<u64>,
    /// Whether one who may wait goes on waiting while pops are paused.
    pub(crate) waits_while_paused: bool,
}

/// What leases to come need.
pub(crate) struct LeaseGrant {
    /// Their secrets.
    pub(crate) nonces: Vec<Nonce>,
    /// As many permits, if the queue has a gate.
    pub(crate) permits: Option<Vec<PermitRecord>>,
}

/// A message that was leased.
#[derive(Debug)]
pub(crate) struct LeasedMessage {
    pub(crate) message: Message,
    pub(crate) token: LeaseToken,
    pub(crate) expires_at_ms: u64,
}

/// Bytes of messages that one lease gives at most, beyond its first: each is written once more, and
/// all in one batch.
const LEASE_BYTES_MAX: usize = 10 << 20;

/// How long a lease lasts if nothing else is said.
pub(crate) const LEASE_TTL_MS: u64 = 30_000;

impl QueueState {
    /// How long a lease lasts for which `asked_ms` was asked.
    pub(crate) fn lease_ttl_ms(&self, asked_ms: Option<u64>) -> u64 {
        asked_ms.or(self.settings.lease_ttl_ms).unwrap_or(LEASE_TTL_MS)
    }

    /// Leases the first messages, in the order of priority and arrival: as many as there are nonces
    /// for.
    pub(crate) fn lease(
        &mut self,
        options: &LeaseOptions,
        grant: &LeaseGrant,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<Vec<LeasedMessage>, Blocked> {
        self.give_bytes_max = self.give_bytes_max.min(LEASE_BYTES_MAX);
        let taken = self.take_first(grant.nonces.len(), "lease", now_ms, batch)?;
        let expires_at_ms = now_ms.saturating_add(self.lease_ttl_ms(options.ttl_ms));
        let mut leased = Vec::with_capacity(taken.len());
        for (index, (position, mut stored)) in taken.into_iter().enumerate() {
            stored.deliveries = stored.deliveries.saturating_add(1);
            let nonce = grant.nonces[index];
            let worker = options.worker.as_deref().map(str::to_owned);
            let permit = grant.permits.as_ref().map(|permits| permits[index].clone());
            let (leased_at_ms, life) = (now_ms, options.life);
            let lease = LeaseRecord { nonce, leased_at_ms, expires_at_ms, worker, permit, life };
            self.enter_leased(position, stored.clone(), lease, batch);
            let message = stored.into_message(position);
            let token = LeaseToken { queue: self.number(), id: position.into(), nonce };
            leased.push(LeasedMessage { message, token, expires_at_ms });
        }
        Ok(leased)
    }
}

/// Whether a token is good for the message that the store has where the token points to.
pub(crate) fn validate_leases(
    token: &LeaseToken,
    message: &MessageRecord,
    now_ms: u64,
) -> Result<(), LeaseError> {
    match &message.state {
        MessageStateRecord::Leased(lease) if is_same(&lease.nonce, &token.nonce) => {
            if lease.expires_at_ms > now_ms { Ok(()) } else { Err(LeaseError::Expired) }
        }
        // It was leased before, or it is leased to somebody else.
        _ => Err(LeaseError::Expired),
    }
}

/// Compares all of two secrets, so that the time it takes says nothing about them.
fn is_same(a: &Nonce, b: &Nonce) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// The place of the message of a token.
pub(crate) fn place_of(token: &LeaseToken) -> Position {
    token.id.into()
}

#[cfg(test)]
mod tests {
    use lanekeeper_storage::key::{Arrival, Priority};

    use super::*;

    fn token() -> LeaseToken {
        let id = MessageId { arrival: Arrival(77), priority: Priority::MAX };
        LeaseToken { queue: QueueNo(1 << 40), id, nonce: [0xab; 16] }
    }

    #[test]
    fn a_token_reads_back_from_its_text_and_hides_in_logs() {
        let text = token().to_string();
        assert_eq!(text.parse(), Ok(token()));
        assert!(!format!("{:?}", token()).contains("abab"));
    }

    #[test]
    fn a_text_that_is_no_token_is_refused() {
        let text = token().to_string();
        let upper = text.to_uppercase();
        for text in ["", "x", &text[1..], &upper, &format!("{text}0"), &"é".repeat(36)] {
            assert_eq!(text.parse::<LeaseToken>(), Err(InvalidLeaseToken), "{text}");
        }
    }

    #[test]
    fn secrets_are_the_same_only_if_every_byte_is() {
        assert!(is_same(&[7; 16], &[7; 16]));
        for position in 0..16 {
            let mut other = [7; 16];
            other[position] = 8;
            assert!(!is_same(&[7; 16], &other));
        }
    }
}
