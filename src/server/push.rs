//! `POST /queue/{id}/push`: from a body to messages.

use std::fmt;

use lanekeeper_actors::queue::{Item, NewMessage, QueueLimits};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    parse::{self, Object, Priority, present},
    problem::{Code, Problem},
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
    /// Several messages, all accepted or none.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(
        value_type = Option<Vec<PushMessage>>, nullable = false, min_items = 1, max_items = 1000,
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
}

/// What a push asks for.
#[derive(Debug)]
pub(crate) enum Pushing {
    /// One message.
    One(Item, u32),
    /// All of these or none.
    All(Vec<NewMessage>),
}

/// Reads the body of a push.
///
/// # Errors
/// As the table of names and limits says; the detail names the field.
pub(crate) fn read(body: &[u8], limits: &QueueLimits) -> Result<Pushing, Problem> {
    let request: PushRequest<'_> = parse::object(body)?;
    match (request.item, request.items) {
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::InvalidItems, "items: give either item or items, not both"))
        }
        (Some(raw), None) => {
            let item = item_of(Some(raw), "", limits)?;
            Ok(Pushing::One(item, number_of(request.priority)))
        }
        (None, Some(_)) if request.priority.is_some() => Err(Problem::new(
            Code::InvalidRequest,
            "priority: with items, each message carries its own",
        )),
        (None, Some(batch)) => messages_of(&batch, limits).map(Pushing::All),
        (None, None) => item_of(None, "", limits).map(|item| Pushing::One(item, 1)),
    }
}

fn messages_of(batch: &Batch<'_>, limits: &QueueLimits) -> Result<Vec<NewMessage>, Problem> {
    let count_max = limits.items_max.min(KEPT_MAX);
    if batch.count == 0 || batch.count > count_max {
        let detail = format!("items must hold 1 to {count_max} messages, not {}", batch.count);
        return Err(Problem::new(Code::InvalidItems, detail).limit(count_max as u64));
    }
    let message_of = |(place, Object(message)): (usize, &Object<PushMessage<'_>>)| {
        let item = item_of(message.item, &format!("items[{place}]."), limits)?;
        let new = NewMessage::new(item).expect("an item stays an item");
        Ok(new.priority(number_of(message.priority)))
    };
    batch.kept.iter().enumerate().map(message_of).collect()
}

fn item_of(raw: Option<&RawValue>, path: &str, limits: &QueueLimits) -> Result<Item, Problem> {
    let Some(raw) = raw else {
        let detail = format!("{path}item is missing: it must be one JSON object");
        return Err(Problem::new(Code::InvalidItem, detail));
    };
    let (bytes, bytes_max) = (raw.get().len(), limits.item_bytes_max);
    if bytes > bytes_max {
        let detail = format!("{path}item has {bytes} bytes; at most {bytes_max} are allowed");
        return Err(Problem::new(Code::TooLarge, detail).limit(bytes_max as u64));
    }
    Item::from_raw(raw).map_err(|error| Problem::new(Code::InvalidItem, format!("{path}{error}")))
}

fn number_of(priority: Option<Priority>) -> u32 {
    priority.map_or(1, |priority| priority.0)
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
        let problem = read(body.as_bytes(), &QueueLimits::default()).expect_err("a refusal");
        (problem.code(), problem.detail().to_owned())
    }

    fn items(count: usize) -> String {
        format!("{{\"items\":[{}]}}", vec!["{\"item\":{}}"; count].join(","))
    }

    #[test]
    fn a_payload_is_kept_byte_for_byte() {
        let payload = "{ \"b\" : 1.0,\n \"a\":\"\\u00e9\", \"a\":1e400 }";
        let body = format!(" {{\"priority\":7,\"item\": {payload} }}");
        match read(body.as_bytes(), &QueueLimits::default()).expect("a message") {
            Pushing::One(item, priority) => assert_eq!((item.as_str(), priority), (payload, 7)),
            Pushing::All(messages) => panic!("{messages:?}"),
        }
    }

    #[test]
    fn a_push_holds_one_to_a_thousand_messages() {
        for count in [1, 1000] {
            match read(items(count).as_bytes(), &QueueLimits::default()).expect("messages") {
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
    fn a_field_not_built_yet_is_refused_by_name() {
        for field in ["delay_ms", "ttl_ms", "key"] {
            let (code, detail) = refused(&format!("{{\"item\":{{}},\"{field}\":1}}"));
            assert_eq!(code, Code::InvalidRequest);
            assert_eq!(detail, format!("{field}: not supported yet"));
        }
    }

    #[test]
    fn an_item_is_bounded_to_the_byte() {
        let limits = QueueLimits { item_bytes_max: 10, ..QueueLimits::default() };
        let push = |payload: &str| read(format!("{{\"item\":{payload}}}").as_bytes(), &limits);
        assert!(push("{\"a\":1234}").is_ok());
        let problem = push("{\"a\":12345}").expect_err("too large");
        assert_eq!(problem.code(), Code::TooLarge);
    }
}
