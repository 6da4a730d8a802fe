//! What a subscriber gets.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::Class;
use crate::queue::Item;

/// A message of a stream; its subscribers share it.
#[derive(Debug)]
pub struct Message {
    /// How urgent it is.
    pub class: Class,
    /// Its number among the messages of its stream. A subscriber sees them out of order where
    /// classes overtake each other, and misses those that went to another subscriber alone.
    pub seq: u64,
    /// Its payload: one JSON object, byte for byte.
    pub data: Item,
    json: OnceLock<Bytes>,
}

/// Size of a text that is kept once it was made; larger ones are made for each subscriber.
const KEPT_BYTES_MAX: usize = 16 << 10;

impl Message {
    pub(super) fn new(class: Class, seq: u64, data: Item) -> Self {
        Self { class, seq, data, json: OnceLock::new() }
    }

    /// The message as JSON, as it is sent over a wire: `{"class":…,"seq":…,"data":…}`.
    pub fn json(&self) -> Bytes {
        if self.data.size_bytes() > KEPT_BYTES_MAX {
            return self.make_json();
        }
        self.json.get_or_init(|| self.make_json()).clone()
    }

    fn make_json(&self) -> Bytes {
        let (class, seq) = (self.class, self.seq);
        let mut text = Vec::with_capacity(self.data.size_bytes() + 64);
        text.extend_from_slice(
            format!("{{\"class\":\"{class}\",\"seq\":{seq},\"data\":").as_bytes(),
        );
        text.extend_from_slice(self.data.as_bytes());
        text.push(b'}');
        text.into()
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        (self.class, self.seq, &self.data) == (other.class, other.seq, &other.data)
    }
}

impl Eq for Message {}

/// What a subscriber gets, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// A message.
    Message(Arc<Message>),
    /// Here messages of a class are missing: they gave way or were refused.
    Gap(Gap),
    /// The stream has something to say of the subscriber itself.
    Notice(Notice),
}

impl StreamEvent {
    /// The event as JSON, as it is sent over a wire: see [`Message::json`],
    /// `{"gap":{"class","count"}}` or `{"notice":{"code",…}}`.
    pub fn json(&self) -> Bytes {
        match self {
            Self::Message(message) => message.json(),
            Self::Gap(Gap { class, count }) => {
                format!("{{\"gap\":{{\"class\":\"{class}\",\"count\":{count}}}}}").into()
            }
            Self::Notice(Notice::SlowConsumer { slow_events }) => format!(
                "{{\"notice\":{{\"code\":\"slow_consumer\",\"slow_events\":{slow_events}}}}}"
            )
            .into(),
            Self::Notice(Notice::Recovered) => {
                Bytes::from_static(b"{\"notice\":{\"code\":\"recovered\"}}")
            }
        }
    }
}

/// Messages that are missing between what came before of their class and what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Their class.
    pub class: Class,
    /// How many there were.
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
    /// The stream's activation was lost: a write of it was refused, or its handler panicked.
    Lost,
}

impl End {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Finished,
        Self::ShuttingDown,
        Self::SlowConsumer,
        Self::SendTimeout,
        Self::ControlOverflow,
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
            Self::Lost => "lost",
        }
    }

    /// Whether what waits is still delivered.
    pub(super) fn is_graceful(self) -> bool {
        matches!(self, Self::Finished | Self::ShuttingDown)
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
        let gap = StreamEvent::Gap(Gap { class: Class::Bulk, count: 3 });
        assert_eq!(text(&gap), r#"{"gap":{"class":"bulk","count":3}}"#);
        let notice = StreamEvent::Notice(Notice::SlowConsumer { slow_events: 6 });
        assert_eq!(text(&notice), r#"{"notice":{"code":"slow_consumer","slow_events":6}}"#);
        let notice = StreamEvent::Notice(Notice::Recovered);
        assert_eq!(text(&notice), r#"{"notice":{"code":"recovered"}}"#);
    }
}
