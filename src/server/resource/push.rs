//! `POST /queue/{id}/push`: from a body to messages.

use std::{fmt, time::Duration};

use bytes::Bytes;
use lanekeeper_actors::queue::{Item, NewMessage, QueueLimits};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::server::{
    error_mapping,
    http::{
        code::Code,
        json::{self, Object, Priority, present},
        problem::Problem,
    },
};

/// Messages of one push that are kept while its body is read; the rest are only counted, so that
/// a body of millions of tiny messages does not take many times its size in memory.
const KEPT_MAX: usize = 10_000;

/// One message in `item` and `priority`, or several in `items`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushRequest<'a> {
    /// The payload: one JSON object.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>, nullable = false)]
    item: Option<&'a RawValue>,
    /// 0 is the most urgent.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, nullable = false, maximum = 2147483647, default = 1)]
    priority: Option<Priority>,
    /// How long it waits before it is ready.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, maximum = 31622400000_i64, default = 0)]
    delay_ms: Option<u64>,
    /// How long it lives; as the queue says if it is not given.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 1, maximum = 31622400000_i64)]
    ttl_ms: Option<u64>,
    /// A message pushed with a key that the queue remembers is a repetition, and changes nothing.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    key: Option<String>,
    /// Several messages, all accepted or none: 1,000 at most, unless the server was told otherwise.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(
        value_type = Option<Vec<PushMessage>>, nullable = false, min_items = 1, max_items = 10000,
    )]
    items: Option<Batch<'a>>,
}

/// One message of several.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushMessage<'a> {
    /// The payload: one JSON object.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Object, required = true)]
    item: Option<&'a RawValue>,
    /// 0 is the most urgent.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, nullable = false, maximum = 2147483647, default = 1)]
    priority: Option<Priority>,
    /// How long it waits before it is ready.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, maximum = 31622400000_i64, default = 0)]
    delay_ms: Option<u64>,
    /// How long it lives; as the queue says if it is not given.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 1, maximum = 31622400000_i64)]
    ttl_ms: Option<u64>,
    /// A message pushed with a key that the queue remembers is a repetition, and changes nothing.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    key: Option<String>,
}

/// What a push asks for.
#[derive(Debug)]
pub(crate) enum Pushing {
    /// One message.
    One(NewMessage),
    /// All of these or none.
    All(Vec<NewMessage>),
}

/// Reads the body of a push.
///
/// # Errors
/// As the table of names and limits says; the detail names the field.
pub(crate) fn read(body: &Bytes, limits: &QueueLimits) -> Result<Pushing, Problem> {
    let request: PushRequest<'_> = json::object(body)?;
    let PushRequest { item, priority, delay_ms, ttl_ms, key, items } = request;
    let own = PushMessage { item, priority, delay_ms, ttl_ms, key };
    match items {
        Some(_) if own.item.is_some() => {
            Err(Problem::new(Code::InvalidItems, "items: give either item or items, not both"))
        }
        Some(batch) => match own.option() {
            Some(name) => {
                let detail = format!("{name}: not allowed beside items: set it in each item");
                Err(Problem::new(Code::InvalidRequest, detail))
            }
            None => messages_of(batch, body, limits).map(Pushing::All),
        },
        None => message_of(own, "", body, limits).map(Pushing::One),
    }
}

impl PushMessage<'_> {
    /// An option that is given.
    fn option(&self) -> Option<&'static str> {
        let given = [
            ("priority", self.priority.is_some()),
            ("delay_ms", self.delay_ms.is_some()),
            ("ttl_ms", self.ttl_ms.is_some()),
            ("key", self.key.is_some()),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }
}

fn messages_of(
    batch: Batch<'_>,
    body: &Bytes,
    limits: &QueueLimits,
) -> Result<Vec<NewMessage>, Problem> {
    let count_max = limits.items_max.min(KEPT_MAX);
    if batch.count == 0 || batch.count > count_max {
        let detail = format!("items must hold 1 to {count_max} messages, not {}", batch.count);
        return Err(Problem::new(Code::InvalidItems, detail).limit(count_max as u64));
    }
    let message_of = |(place, Object(message)): (usize, Object<PushMessage<'_>>)| {
        message_of(message, &format!("items[{place}]."), body, limits)
    };
    batch.kept.into_iter().enumerate().map(message_of).collect()
}

fn message_of(
    message: PushMessage<'_>,
    path: &str,
    body: &Bytes,
    limits: &QueueLimits,
) -> Result<NewMessage, Problem> {
    let item = item_of(message.item, path, body, limits)?;
    let mut new = NewMessage::new(item).expect("an item stays an item");
    if let Some(Priority(priority)) = message.priority {
        new = new.priority(priority);
    }
    if let Some(delay_ms) = message.delay_ms {
        new = new.delay(Duration::from_millis(delay_ms));
    }
    if let Some(ttl_ms) = message.ttl_ms {
        new = new.ttl(Duration::from_millis(ttl_ms));
    }
    if let Some(key) = message.key {
        new = new.key(key);
    }
    match new.check() {
        Ok(()) => Ok(new),
        Err(error) => {
            let field = error_mapping::field_of(&error).unwrap_or("item");
            Err(Problem::from(error).at(format_args!("{path}{field}")))
        }
    }
}

/// Items from this size on are not copied out of their body.
const SHARED_BYTES: usize = 16 << 10;

fn item_of(
    raw: Option<&RawValue>,
    path: &str,
    body: &Bytes,
    limits: &QueueLimits,
) -> Result<Item, Problem> {
    let Some(raw) = raw else {
        let detail = format!("{path}item is missing: it must be one JSON object");
        return Err(Problem::new(Code::InvalidItem, detail));
    };
    let (bytes, bytes_max) = (raw.get().len(), limits.item_bytes_max);
    if bytes > bytes_max {
        let detail = format!("{path}item has {bytes} bytes; at most {bytes_max} are allowed");
        return Err(Problem::new(Code::TooLarge, detail).limit(bytes_max as u64));
    }
    let item = if bytes < SHARED_BYTES { Item::from_raw(raw) } else { Item::from_part(body, raw) };
    item.map_err(|error| Problem::new(Code::InvalidItem, format!("{path}{error}")))
}

/// The messages of one push as far as they are kept, and how many there were.
struct Batch<'a> {
    kept: Vec<Object<PushMessage<'a>>>,
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Batch<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BatchVisitor;

        impl<'de> Visitor<'de> for BatchVisitor {
            type Value = Batch<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < KEPT_MAX {
                    let Some(message) = seq.next_element()? else {
                        return Ok(Batch { count: kept.len(), kept });
                    };
                    kept.push(message);
                }
                let mut count = kept.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Batch { kept, count })
            }
        }

        deserializer.deserialize_seq(BatchVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> (Code, String) {
        let problem =
            read(&Bytes::from(body.to_owned()), &QueueLimits::default()).expect_err("a refusal");
        (problem.code(), problem.detail().to_owned())
    }

    fn items(count: usize) -> String {
        format!("{{\"items\":[{}]}}", vec!["{\"item\":{}}"; count].join(","))
    }

    #[test]
    fn a_payload_is_kept_byte_for_byte() {
        let payload = "{ \"b\" : 1.0,\n \"a\":\"\\u00e9\", \"a\":1e400 }";
        let body = format!(" {{\"priority\":7,\"item\": {payload} }}");
        match read(&Bytes::from(body), &QueueLimits::default()).expect("a message") {
            Pushing::One(message) => {
                let expected = Item::from_json(payload).expect("an item");
                let expected = NewMessage::new(expected).expect("an item").priority(7);
                assert_eq!(message, expected);
            }
            Pushing::All(messages) => panic!("{messages:?}"),
        }
    }

    #[test]
    fn a_push_holds_one_to_a_thousand_messages() {
        for count in [1, 1000] {
            match read(&items(count).into(), &QueueLimits::default()).expect("messages") {
                Pushing::All(messages) => assert_eq!(messages.len(), count),
                Pushing::One(..) => panic!("one message"),
            }
        }
        for count in [0, 1001, KEPT_MAX + 7] {
            let (code, detail) = refused(&items(count));
            assert_eq!(code, Code::InvalidItems);
            assert_eq!(detail, format!("items must hold 1 to 1000 messages, not {count}"));
        }
    }

    #[test]
    fn an_item_is_one_object() {
        for text in ["[]", "\"x\"", "1", "true", "null"] {
            let (code, detail) = refused(&format!("{{\"item\":{text}}}"));
            assert_eq!(code, Code::InvalidItem, "{text}");
            assert!(detail.starts_with("item must be one JSON object"), "{detail}");
        }
        let missing = (Code::InvalidItem, "item is missing: it must be one JSON object".to_owned());
        assert_eq!(refused("{}"), missing);
        let (code, detail) = refused(r#"{"items":[{"item":{}},{}]}"#);
        assert_eq!(code, Code::InvalidItem);
        assert!(detail.starts_with("items[1].item is missing"), "{detail}");
    }

    #[test]
    fn a_push_is_one_message_or_several() {
        assert_eq!(refused(r#"{"item":{},"items":[{"item":{}}]}"#).0, Code::InvalidItems);
        assert_eq!(refused(r#"{"items":[{"item":{}}],"priority":1}"#).0, Code::InvalidRequest);
        assert_eq!(refused(r#"{"items":null}"#).0, Code::InvalidItems);
    }

    #[test]
    fn an_option_out_of_bounds_is_refused_by_its_name() {
        let cases = [
            ("\"delay_ms\":31622400001", Code::InvalidDelay, "delay_ms"),
            ("\"delay_ms\":-1", Code::InvalidDelay, "delay_ms"),
            ("\"ttl_ms\":0", Code::InvalidTtl, "ttl_ms"),
            ("\"ttl_ms\":31622400001", Code::InvalidTtl, "ttl_ms"),
            ("\"ttl_ms\":5,\"delay_ms\":5", Code::InvalidTtl, "ttl_ms"),
            ("\"key\":\"\"", Code::InvalidKey, "key"),
            ("\"key\":1", Code::InvalidKey, "key"),
        ];
        for (option, code, field) in cases {
            let (own, detail) = refused(&format!("{{\"item\":{{}},{option}}}"));
            assert_eq!(own, code, "{option}");
            assert!(detail.starts_with(&format!("{field}: ")), "{detail}");
            let batch = format!("{{\"items\":[{{\"item\":{{}}}},{{\"item\":{{}},{option}}}]}}");
            let (own, detail) = refused(&batch);
            assert_eq!(own, code, "{option}");
            assert!(detail.starts_with(&format!("items[1].{field}: ")), "{detail}");
        }
    }

    #[test]
    fn an_item_is_bounded_to_the_byte() {
        let limits = QueueLimits { item_bytes_max: 10, ..QueueLimits::default() };
        let push = |payload: &str| read(&format!("{{\"item\":{payload}}}").into(), &limits);
        assert!(push("{\"a\":1234}").is_ok());
        let problem = push("{\"a\":12345}").expect_err("too large");
        assert_eq!(problem.code(), Code::TooLarge);
    }
}
