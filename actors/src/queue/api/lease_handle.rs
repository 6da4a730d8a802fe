//! Leasing messages and settling the leases.

use std::{
    fmt,
    ops::Deref,
    time::{Duration, SystemTime},
};

use crate::{
    outbox::delivery::{self, OutboxId},
    queue::{
        api::{
            config::LEASE_TTL,
            error::QueueError,
            handle::Queue,
            lease_request::LeaseMessages,
            lease_token::{LeaseToken, LeasedMessage},
            message::{Message, MessageId},
        },
        state::settle::NackRequest,
        verb::{
            redrive::TakeDeadLetters,
            settle::{
                Ack, DeadLetterLeases, Extend, ExtendedLeases, GiveBack, Nack, SettledLeases,
            },
        },
    },
    time::clock::from_unix_ms,
};

/// Leases settled together at most, and dead letters asked back by id.
pub const LEASES_MAX: usize = 1_000;
/// Bytes of a reason at most.
pub(crate) const REASON_BYTES_MAX: usize = 1_024;
/// How long an answer waits for messages to arrive in the other queue.
const ARRIVAL_WAIT: Duration = Duration::from_secs(1);

/// A leased message. No other consumer gets it until the lease is settled or expires. Dropping it
/// without settling gives the message back at once, and the delivery counts.
#[must_use = "dropping a lease gives the message back"]
pub struct Lease {
    message: Message,
    token: LeaseToken,
    expires_at: SystemTime,
    queue: Queue,
    is_settled: bool,
}

impl Lease {
    pub(crate) fn new(leased: LeasedMessage, queue: Queue) -> Self {
        let LeasedMessage { message, token, expires_at_ms } = leased;
        let expires_at = from_unix_ms(expires_at_ms);
        Self { message, token, expires_at, queue, is_settled: false }
    }

    /// The token, which is the right to settle the lease.
    pub fn token(&self) -> LeaseToken {
        self.token
    }

    /// The end of the lease.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Acknowledges the message: it is done and removed.
    ///
    /// # Errors
    /// [`QueueError::Lease`] if the lease has ended: another consumer may have the message.
    pub async fn ack(mut self) -> Result<(), QueueError> {
        self.is_settled = true;
        single(&self.queue.ack(&[self.token]).await?)
    }

    /// Gives the message back at once; its delivery counts. [`Queue::nack`] can do more.
    ///
    /// # Errors
    /// As [`Lease::ack`].
    pub async fn nack(self) -> Result<(), QueueError> {
        self.nack_with(NackOptions::default()).await
    }

    /// Gives the message back with options.
    ///
    /// # Errors
    /// As [`Lease::ack`].
    pub async fn nack_with(mut self, options: NackOptions) -> Result<(), QueueError> {
        self.is_settled = true;
        single(&self.queue.nack(&[self.token], options).await?)
    }

    /// Moves the message to the dead-letter queue.
    ///
    /// # Errors
    /// As [`Lease::ack`].
    pub async fn dead_letter(mut self, reason: &str) -> Result<(), QueueError> {
        self.is_settled = true;
        single(&self.queue.dead_letter(&[self.token], reason).await?)
    }

    /// Sets the end of the lease to `ttl` from now: 1 s to 12 h.
    ///
    /// # Errors
    /// As [`Lease::ack`]; [`QueueError::InvalidLeaseTtl`].
    pub async fn extend(&mut self, ttl: Duration) -> Result<(), QueueError> {
        let ExtendedLeases { expires_at, failed, .. } =
            self.queue.extend(&[self.token], Some(ttl)).await?;
        match failed.first() {
            Some(&(_, error)) => Err(error.into()),
            None => {
                self.expires_at = expires_at;
                Ok(())
            }
        }
    }

    /// Returns the message and its token. The lease is not given back on drop any more: it expires
    /// unless it is settled by its token.
    pub fn detach(mut self) -> (Message, LeaseToken) {
        self.is_settled = true;
        (self.message.clone(), self.token)
    }

    /// Gives the message back without waiting for an answer, and its delivery does not count.
    pub fn release(mut self) {
        self.give_back(false);
    }

    fn give_back(&mut self, is_counted: bool) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let Ok(actor) = self.queue.actor() else { return };
        if let Err(error) = actor.tell(GiveBack { tokens: vec![self.token], is_counted }) {
            tracing::debug!(queue = self.queue.id(), %error, "a lease ends by itself");
        }
    }
}

fn single(settled: &SettledLeases) -> Result<(), QueueError> {
    settled.failed.first().map_or(Ok(()), |&(_, error)| Err(error.into()))
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(true);
    }
}

impl Deref for Lease {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({:?} of {:?})", self.token, self.queue)
    }
}

/// The options of a nack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NackOptions {
    /// The time before the message is ready again: none by default, at most a year. In an exclusive
    /// queue all messages wait with it.
    pub delay: Duration,
    /// The reason, at most 1,024 bytes, kept with the message.
    pub reason: Option<String>,
    /// Whether the delivery counts for `max_deliveries`: it does by default.
    pub is_counted: bool,
}

impl Default for NackOptions {
    fn default() -> Self {
        Self { delay: Duration::ZERO, reason: None, is_counted: true }
    }
}

/// The dead letters to move back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Redrive {
    /// All that are present at the beginning.
    #[default]
    All,
    /// The first ones in pop order, up to this number.
    First(usize),
    /// These, by their ids in the dead-letter queue, at most 1,000.
    Ids(Vec<MessageId>),
}

impl Queue {
    /// Leases up to `depth` of the first messages; await the result. No other consumer gets them
    /// until they are settled or the leases expire; then they return to their positions. An empty
    /// queue returns none, unless [`LeaseMessages::wait`] is set.
    ///
    /// # Errors
    /// [`QueueError::InvalidDepth`], [`QueueError::InvalidLeaseTtl`], [`QueueError::InvalidWait`],
    /// [`QueueError::InvalidWorker`], [`QueueError::Paused`], [`QueueError::Locked`],
    /// [`QueueError::RateLimited`], [`QueueError::NoPermit`].
    pub fn lease(&self, depth: usize) -> LeaseMessages {
        LeaseMessages::new(self.clone(), depth)
    }

    /// Acknowledges these messages: they are done and removed. A lease that failed is named in the
    /// result and does not affect the others.
    ///
    /// # Errors
    /// [`QueueError::InvalidLeases`].
    pub async fn ack(&self, leases: &[LeaseToken]) -> Result<SettledLeases, QueueError> {
        self.ask(Ack(checked_leases(leases)?)).await?
    }

    /// Gives these messages back to their own positions by priority and arrival. Messages delivered
    /// `max_deliveries` times move to the dead-letter queue instead.
    ///
    /// # Errors
    /// [`QueueError::InvalidLeases`], [`QueueError::InvalidDelay`], [`QueueError::InvalidReason`].
    pub async fn nack(
        &self,
        leases: &[LeaseToken],
        options: NackOptions,
    ) -> Result<SettledLeases, QueueError> {
        let tokens = checked_leases(leases)?;
        let NackOptions { delay, reason, is_counted } = options;
        if delay > crate::queue::api::config::SPAN_MAX {
            return Err(QueueError::InvalidDelay(delay));
        }
        check_reason(reason.as_deref().unwrap_or_default())?;
        let options = NackRequest { delay_ms: delay.as_millis() as u64, reason, is_counted };
        self.ask(Nack { tokens, options }).await?
    }

    /// Sets the end of these leases to `ttl` from now: 1 s to 12 h; the queue's default if `None`.
    ///
    /// # Errors
    /// [`QueueError::InvalidLeases`], [`QueueError::InvalidLeaseTtl`].
    pub async fn extend(
        &self,
        leases: &[LeaseToken],
        ttl: Option<Duration>,
    ) -> Result<ExtendedLeases, QueueError> {
        let tokens = checked_leases(leases)?;
        let ttl_ms = checked_lease_ttl(ttl)?;
        self.ask(Extend { tokens, ttl_ms }).await?
    }

    /// Moves these messages to the queue `{id}-deadletter`, with the reason, the id of this queue
    /// and their history. Each is always in exactly one of the two queues. Returns once they have
    /// arrived, or after a second.
    ///
    /// # Errors
    /// [`QueueError::InvalidLeases`], [`QueueError::InvalidReason`],
    /// [`QueueError::NoDeadLetterId`].
    pub async fn dead_letter(
        &self,
        leases: &[LeaseToken],
        reason: &str,
    ) -> Result<SettledLeases, QueueError> {
        self.dead_letter_id()?;
        let tokens = checked_leases(leases)?;
        check_reason(reason)?;
        let (settled, letter) =
            self.ask(DeadLetterLeases { tokens, reason: reason.to_owned() }).await??;
        self.wait_arrived(letter).await?;
        Ok(settled)
    }

    /// Moves dead letters of this queue back from `{id}-deadletter`, behind the waiting messages
    /// and with no deliveries counted, and returns their number. Each is always in exactly one of
    /// the two queues, also if this is interrupted. Returns once they have arrived, or after a
    /// second.
    ///
    /// # Errors
    /// [`QueueError::NoDeadLetterId`]; [`QueueError::InvalidItems`] if there are no ids or too
    /// many; [`QueueError::InvalidDepth`] for a depth of 0.
    pub async fn redrive(&self, which: Redrive) -> Result<u64, QueueError> {
        self.actor()?;
        let dead_letters = self.sibling(&self.dead_letter_id()?);
        let mut request = TakeDeadLetters::begin(self.id(), which)?;
        let (mut moved, mut letter) = (0, None);
        loop {
            let taken = dead_letters.ask(request).await??;
            moved += taken.count;
            letter = taken.letter.or(letter);
            match taken.next {
                Some(next) => request = next,
                None => break,
            }
        }
        self.wait_arrived(letter).await?;
        Ok(moved)
    }

    async fn wait_arrived(&self, letter: Option<OutboxId>) -> Result<(), QueueError> {
        if let Some(letter) = letter {
            delivery::wait_taken(self.runtime(), &letter, ARRIVAL_WAIT).await?;
        }
        Ok(())
    }
}

fn checked_leases(leases: &[LeaseToken]) -> Result<Vec<LeaseToken>, QueueError> {
    let (count, count_max) = (leases.len(), LEASES_MAX);
    let is_within = (1..=count_max).contains(&count);
    if is_within {
        Ok(leases.to_vec())
    } else {
        Err(QueueError::InvalidLeases { count, count_max })
    }
}

pub(crate) fn checked_lease_ttl(ttl: Option<Duration>) -> Result<Option<u64>, QueueError> {
    let is_within = |ttl: Duration| (LEASE_TTL.0..=LEASE_TTL.1).contains(&ttl);
    match ttl {
        Some(ttl) if !is_within(ttl) => Err(QueueError::InvalidLeaseTtl(ttl)),
        ttl => Ok(ttl.map(|ttl| ttl.as_millis() as u64)),
    }
}

fn check_reason(reason: &str) -> Result<(), QueueError> {
    let bytes = reason.len();
    if bytes > REASON_BYTES_MAX { Err(QueueError::InvalidReason { bytes }) } else { Ok(()) }
}
