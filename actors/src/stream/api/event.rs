//! What a subscriber gets.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{queue::api::item::Item, stream::api::priority_class::Class};

/// A message of a stream; its subscribers share it.
#[derive(Debug)]
pub struct Message {
    /// Its class.
    pub class: Class,
    /// Its number among the messages of its stream. A subscriber sees numbers out of order where
    /// classes overtake each other, and not those of messages to another subscriber alone.
    pub seq: u64,
    /// Its payload: one JSON object, byte for byte.
    pub data: Item,
    /// What stands before the payload on a wire, the same for every subscriber.
    head: SmallVec<[u8; HEAD_BYTES]>,
}

/// Size of the longest head: the longest class, and a number of twenty digits.
const HEAD_BYTES: usize = 56;

impl Message {
    pub(crate) fn new(class: Class, seq: u64, data: Item) -> Self {
        let mut digits = [0; 20];
        let parts: [&[u8]; 5] = [
            b"{\"class\":\"",
            class.as_str().as_bytes(),
            b"\",\"seq\":",
            decimal(seq, &mut digits),
            b",\"data\":",
        ];
        let mut head = SmallVec::new();
        parts.iter().for_each(|part| head.extend_from_slice(part));
        Self { class, seq, data, head }
    }

    /// The message as JSON, as it is sent over a wire: `{"class":…,"seq":…,"data":…}`.
    pub fn json(&self) -> Bytes {
        self.pieces().to_bytes()
    }

    fn pieces(&self) -> JsonPieces<'_> {
        JsonPieces { head: Cow::Borrowed(&self.head), data: self.data.as_bytes(), tail: b"}" }
    }
}

/// The digits of a number, written to the end of a buffer.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut place = digits.len();
    loop {
        place -= 1;
        digits[place] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[place..];
        }
    }
}

/// JSON text in pieces that follow each other; the payload is the message's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPieces<'a> {
    /// What stands before the payload: all of it, where there is none.
    pub head: Cow<'a, [u8]>,
    /// The payload.
    pub data: &'a [u8],
    /// What stands behind it.
    pub tail: &'static [u8],
}

impl JsonPieces<'_> {
    /// The pieces, in their order.
    pub fn as_slices(&self) -> [&[u8]; 3] {
        [&self.head, self.data, self.tail]
    }

    /// Size of the text.
    pub fn size_bytes(&self) -> usize {
        self.head.len() + self.data.len() + self.tail.len()
    }

    fn to_bytes(&self) -> Bytes {
        self.as_slices().concat().into()
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        (self.class, self.seq, &self.data) == (other.class, other.seq, &other.data)
    }
}

impl Eq for Message {}

/// An event for a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A message.
    Message(Arc<Message>),
    /// Messages of a class are missing here.
    Gap(Gap),
    /// A notice about the subscriber itself.
    Notice(Notice),
}

impl StreamEvent {
    /// The event as JSON, as it is sent over a wire: see [`Message::json`],
    /// `{"gap":{"class","count"}}` or `{"notice":{"code",…}}`.
    pub fn json(&self) -> Bytes {
        self.json_pieces().to_bytes()
    }

    /// The same text without a copy of the payload, for whoever sends it to many.
    pub fn json_pieces(&self) -> JsonPieces<'_> {
        let head = match self {
            Self::Message(message) => return message.pieces(),
            Self::Gap(Gap { class, count }) => {
                format!("{{\"gap\":{{\"class\":\"{class}\",\"count\":{count}}}}}")
            }
            Self::Notice(Notice::SlowConsumer { slow_events }) => format!(
                "{{\"notice\":{{\"code\":\"slow_consumer\",\"slow_events\":{slow_events}}}}}"
            ),
            Self::Notice(Notice::Recovered) => "{\"notice\":{\"code\":\"recovered\"}}".to_owned(),
            Self::Notice(Notice::Missed { count: Some(count) }) => {
                format!("{{\"gap\":{{\"count\":{count}}}}}")
            }
            Self::Notice(Notice::Missed { count: None }) => "{\"gap\":{\"count\":null}}".to_owned(),
        };
        JsonPieces { head: Cow::Owned(head.into_bytes()), data: b"", tail: b"" }
    }

    /// Bytes that it takes on a wire, give or take a few.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Message(message) => HEAD_BYTES + message.data.size_bytes(),
            Self::Gap(_) | Self::Notice(_) => HEAD_BYTES,
        }
    }
}

/// Missing messages of a class, between its previous message and its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The class.
    pub class: Class,
    /// The number of missing messages.
    pub count: u64,
}

/// What a subscriber is told of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It is taken for slow.
    SlowConsumer {
        /// Slow sends in a row.
        slow_events: u64,
    },
    /// It keeps up again.
    Recovered,
    /// It was away, and messages published meanwhile are not retained any more. Written as a gap
    /// without a class: `{"gap":{"count"}}`.
    Missed {
        /// How many at most: those published to single subscribers are among them. `None` if the
        /// stream has begun to count anew, so that nobody knows.
        count: Option<u64>,
    },
}

/// Why there is nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The subscriber asked for it.
    Finished,
    /// The node is shutting down.
    ShuttingDown,
    /// It was slow, and the stream disconnects those.
    SlowConsumer,
    /// A send to it took longer than any may.
    SendTimeout,
    /// More control messages waited for it than may.
    ControlOverflow,
    /// The stream was deleted.
    Deleted,
    /// The stream's activation was lost: a write of it was refused, or its handler panicked.
    Lost,
}

impl End {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Finished,
        Self::ShuttingDown,
        Self::SlowConsumer,
        Self::SendTimeout,
        Self::ControlOverflow,
        Self::Deleted,
        Self::Lost,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::ShuttingDown => "shutting_down",
            Self::SlowConsumer => "slow_consumer",
            Self::SendTimeout => "send_timeout",
            Self::ControlOverflow => "control_overflow",
            Self::Deleted => "deleted",
            Self::Lost => "lost",
        }
    }

    /// Whether what waits is still delivered.
    pub(crate) fn is_graceful(self) -> bool {
        matches!(self, Self::Finished | Self::ShuttingDown | Self::Deleted)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number of a subscriber, unique in its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriberId(pub u64);

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(event: &StreamEvent) -> String {
        String::from_utf8(event.json().to_vec()).expect("text")
    }

    #[test]
    fn events_are_written_as_the_contract_says() {
        for payload in
            ["{ \"a\" : 1.0 }".to_owned(), format!("{{\"a\":\"{}\"}}", "x".repeat(20_000))]
        {
            let data = Item::from_json(&payload).expect("an object");
            let message = StreamEvent::Message(Arc::new(Message::new(Class::Critical, 7, data)));
            let expected = format!("{{\"class\":\"critical\",\"seq\":7,\"data\":{payload}}}");
            assert_eq!((text(&message), text(&message)), (expected.clone(), expected));
        }
        let longest = Message::new(Class::Important, u64::MAX, Item::from_json("{}").unwrap());
        assert!(!longest.head.spilled(), "{} bytes", longest.head.len());
        let seq = longest.json().len() - ",\"data\":{}}".len();
        assert!(longest.json()[..seq].ends_with(u64::MAX.to_string().as_bytes()));
        let gap = StreamEvent::Gap(Gap { class: Class::Bulk, count: 3 });
        assert_eq!(text(&gap), r#"{"gap":{"class":"bulk","count":3}}"#);
        let notice = StreamEvent::Notice(Notice::SlowConsumer { slow_events: 6 });
        assert_eq!(text(&notice), r#"{"notice":{"code":"slow_consumer","slow_events":6}}"#);
        let notice = StreamEvent::Notice(Notice::Recovered);
        assert_eq!(text(&notice), r#"{"notice":{"code":"recovered"}}"#);
        let missed = |count| text(&StreamEvent::Notice(Notice::Missed { count }));
        assert_eq!(missed(Some(7)), r#"{"gap":{"count":7}}"#);
        assert_eq!(missed(None), r#"{"gap":{"count":null}}"#);
    }
}
