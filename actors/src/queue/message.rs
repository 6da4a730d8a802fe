//! Messages as their users see them.

use std::{fmt, str::FromStr, time::SystemTime};

use lanekeeper_storage::key::{Arrival, Priority};

use super::{IntoItem, InvalidItem, Item};

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

/// A text that is no message id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no message id")]
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
    /// How often it was delivered before.
    pub deliveries: u32,
}

/// What a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// To be taken.
    Ready,
}

impl MessageState {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
        }
    }
}

/// A message to be pushed with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    pub(crate) item: Item,
    pub(crate) priority: u32,
}

impl NewMessage {
    /// A message of priority 1.
    ///
    /// # Errors
    /// [`InvalidItem`] unless the payload is one JSON object.
    pub fn new(item: impl IntoItem) -> Result<Self, InvalidItem> {
        Ok(Self { item: item.into_item()?, priority: Priority::default().get() })
    }

    /// Sets the priority: 0 (most urgent) to 2,147,483,647. The bound is checked by the push.
    #[must_use]
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
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
