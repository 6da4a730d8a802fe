//! Messages as their users see them.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use lanekeeper_storage::{
    SavedMessage,
    key::{Arrival, Priority},
    record::{DeathRecord, KeyOutcome, MessageStateRecord},
};

use crate::{
    queue::api::{
        config::SPAN_MAX,
        error::QueueError,
        handle::checked_priority,
        item::{IntoItem, InvalidItem, Item},
    },
    time::clock::from_unix_ms,
};

/// Bytes of a deduplication key at most.
const KEY_BYTES_MAX: usize = 256;

/// The id of a message: opaque, unique in its queue, ordered by arrival. Its text is 24 characters
/// of lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    pub(crate) arrival: Arrival,
    pub(crate) priority: Priority,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:08x}", self.arrival.0, self.priority.get())
    }
}

impl From<&SavedMessage> for MessageId {
    fn from(saved: &SavedMessage) -> Self {
        Self { arrival: saved.arrival, priority: saved.priority }
    }
}

/// A text that is no message id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid message id")]
pub struct InvalidMessageId(pub String);

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
            if text.len() != 24 || !text.bytes().all(is_digit) {
                return None;
            }
            let arrival = u64::from_str_radix(&text[..16], 16).ok()?;
            let priority = u32::from_str_radix(&text[16..], 16).ok()?;
            Some(Self { arrival: Arrival(arrival), priority: Priority::new(priority)? })
        };
        parse().ok_or_else(|| InvalidMessageId(text.to_owned()))
    }
}

/// A message taken from or looked up in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its urgency, 0 first.
    pub priority: u32,
    /// Its payload.
    pub item: Item,
    /// When the queue accepted it.
    pub pushed_at: SystemTime,
    /// How often it was leased, the lease it comes with included.
    pub deliveries: u32,
    /// When its time to live ends, if it does.
    pub expires_at: Option<SystemTime>,
    /// Why it was given back last, if that was said.
    pub reason: Option<String>,
    /// What it was before it died, for a dead letter.
    pub dead_letter: Option<Box<DeadLetter>>,
}

/// What a dead letter was before it died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The queue it died in.
    pub origin: String,
    /// Its id there.
    pub id: MessageId,
    /// Why it died.
    pub reason: String,
    /// How often it had been leased.
    pub deliveries: u32,
    /// When it had been accepted there.
    pub pushed_at: SystemTime,
    /// When it died.
    pub died_at: SystemTime,
}

impl DeadLetter {
    pub(crate) fn new(death: DeathRecord, priority: Priority) -> Self {
        let DeathRecord { origin, arrival, reason, deliveries, pushed_at_ms, died_at_ms } = death;
        let id = MessageId { arrival: Arrival(arrival), priority };
        let (pushed_at, died_at) = (from_unix_ms(pushed_at_ms), from_unix_ms(died_at_ms));
        Self { origin, id, reason, deliveries, pushed_at, died_at }
    }
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The id of the message, or of the one it repeats.
    pub id: MessageId,
    /// The state of that one, if it repeats one: then nothing was pushed.
    pub duplicate: Option<MessageState>,
}

/// What a message waits for, or what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// To be taken.
    Ready,
    /// For its time.
    Scheduled,
    /// For whoever holds its lease.
    Leased,
    /// For nothing: it was taken for good, or the work on it is done.
    Done,
    /// For nothing: it is a dead letter.
    Dead,
    /// For nothing: its time to live ended.
    Expired,
    /// For nothing: it gave way to a more urgent one.
    Evicted,
}

impl From<KeyOutcome> for MessageState {
    fn from(ending: KeyOutcome) -> Self {
        match ending {
            KeyOutcome::Done => Self::Done,
            KeyOutcome::Dead => Self::Dead,
            KeyOutcome::Expired => Self::Expired,
            KeyOutcome::Evicted => Self::Evicted,
        }
    }
}

impl From<&MessageStateRecord> for MessageState {
    fn from(state: &MessageStateRecord) -> Self {
        match state {
            MessageStateRecord::Ready => Self::Ready,
            MessageStateRecord::Scheduled { .. } => Self::Scheduled,
            MessageStateRecord::Leased(_) => Self::Leased,
        }
    }
}

impl MessageState {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Expired => "expired",
            Self::Evicted => "evicted",
        }
    }

    /// The state of a message pushed just now, with this delay.
    pub(crate) fn waiting(delay_ms: u64) -> Self {
        if delay_ms == 0 { Self::Ready } else { Self::Scheduled }
    }
}

/// A message to be pushed with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    pub(crate) item: Item,
    pub(crate) priority: u32,
    pub(crate) delay: Duration,
    pub(crate) ttl: Option<Duration>,
    pub(crate) key: Option<String>,
}

impl NewMessage {
    /// A message of priority 1.
    ///
    /// # Errors
    /// [`InvalidItem`] unless the payload is one JSON object.
    pub fn new(item: impl IntoItem) -> Result<Self, InvalidItem> {
        Ok(Self::of(item.into_item()?))
    }

    pub(crate) fn of(item: Item) -> Self {
        let priority = Priority::default().get();
        Self { item, priority, delay: Duration::ZERO, ttl: None, key: None }
    }

    /// Sets the priority: 0 (most urgent) to 2,147,483,647. The bound is checked by the push.
    #[must_use]
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }

    /// Lets it wait so long before it is ready, a year at most. Not at all by default.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Lets it live so long, from a millisecond to a year; then it goes the way the queue says. As
    /// the queue says by default.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Gives it a key of 1 to 256 bytes: a message pushed with a key that the queue remembers is a
    /// repetition, and changes nothing.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl NewMessage {
    /// Whether its priority, delay, time to live and key are within their bounds. Every push checks
    /// that; who pushes several learns here which of them is refused.
    ///
    /// # Errors
    /// [`QueueError::InvalidPriority`], [`QueueError::InvalidDelay`],
    /// [`QueueError::InvalidMessageTtl`], [`QueueError::InvalidKey`].
    pub fn check(&self) -> Result<(), QueueError> {
        checked_priority(self.priority)?;
        let delay = self.delay;
        if delay > SPAN_MAX {
            return Err(QueueError::InvalidDelay(delay));
        }
        let is_ttl = |ttl: Duration| ttl.as_millis() > 0 && ttl <= SPAN_MAX && ttl > delay;
        if let Some(ttl) = self.ttl.filter(|&ttl| !is_ttl(ttl)) {
            return Err(QueueError::InvalidMessageTtl(ttl));
        }
        let key_bytes = self.key.as_ref().map_or(1, String::len);
        if !(1..=KEY_BYTES_MAX).contains(&key_bytes) {
            return Err(QueueError::InvalidKey { bytes: key_bytes });
        }
        Ok(())
    }
}

/// Messages in pop order, and where the next page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The messages of this page.
    pub messages: Vec<Message>,
    /// What to ask `after` for the next page, if there may be one.
    pub next: Option<MessageId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = MessageId { arrival: Arrival(77), priority: Priority::MAX };
        assert_eq!(id.to_string(), "000000000000004d7fffffff");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_text_that_is_no_id_is_refused() {
        for text in ["", "4d", "000000000000004D7fffffff", "000000000000004dffffffff", "é"] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
    }
}
