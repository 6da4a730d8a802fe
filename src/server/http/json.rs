//! From JSON text to a type, or to a problem that names the field.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::error::Category;

use crate::server::http::{code::Code, problem::Problem};

/// Reads one JSON object.
///
/// # Errors
/// The code of the field that is wrong, named in the detail; `invalid_request` for a field without
/// a code of its own, for a field that is unknown, and for what is no JSON.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Problem> {
    match serde_json::from_slice::<Object<T>>(text) {
        Ok(Object(value)) => Ok(value),
        Err(error) => Err(explain::<T>(text, &error)),
    }
}

/// As [`object`], and the default if there is no text.
///
/// # Errors
/// As [`object`].
pub(crate) fn object_or_default<'a, T>(text: &'a [u8]) -> Result<T, Problem>
where
    T: Deserialize<'a> + Default,
{
    if text.trim_ascii().is_empty() { Ok(T::default()) } else { object(text) }
}

/// A field that may be left out but, once there, is not `null`.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A struct that is written as an object: serde would take an array of its fields too.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// A priority: an integer from 0 to 2,147,483,647.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priority(pub(crate) u32);

/// The least urgent priority.
pub(crate) const PRIORITY_MAX: u32 = i32::MAX as u32;

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PriorityVisitor;

        impl Visitor<'_> for PriorityVisitor {
            type Value = Priority;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an integer from 0 to {PRIORITY_MAX}")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                let priority = u32::try_from(number).ok().filter(|&own| own <= PRIORITY_MAX);
                let refusal = || E::invalid_value(de::Unexpected::Unsigned(number), &self);
                priority.map(Priority).ok_or_else(refusal)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                Err(E::invalid_value(de::Unexpected::Signed(number), &self))
            }
        }

        deserializer.deserialize_u64(PriorityVisitor)
    }
}

/// A whole number of whatever size, brought within what the type holds: for fields of which both
/// ends of the type are out of bounds, so that whoever checks the bounds names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number<T>(pub(crate) T);

impl<'de, T: TryFrom<u64> + Bounded> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor<T>(PhantomData<T>);

        impl<T: TryFrom<u64> + Bounded> Visitor<'_> for NumberVisitor<T> {
            type Value = Number<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Number(T::try_from(number).unwrap_or(T::MOST)))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                self.visit_u64(u64::try_from(number).unwrap_or_default())
            }
        }

        deserializer.deserialize_u64(NumberVisitor(PhantomData))
    }
}

/// A type with a largest value.
pub(crate) trait Bounded {
    /// It.
    const MOST: Self;
}

impl Bounded for u32 {
    const MOST: Self = Self::MAX;
}

impl Bounded for u64 {
    const MOST: Self = Self::MAX;
}

/// A [`Number`], unwrapped.
pub(crate) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64> + Bounded,
{
    Number::deserialize(deserializer).map(|Number(number)| number)
}

/// Reads the text once more, now with an eye on where it is: only what is refused pays for that.
fn explain<'a, T: Deserialize<'a>>(text: &'a [u8], error: &serde_json::Error) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer);
    match read {
        Err(found) if found.inner().classify() == Category::Data => {
            let path = found.path().to_string();
            let subject = if path == "." { "the body" } else { path.as_str() };
            let message = in_plain_words(without_place(found.inner()));
            let is_unknown = message.starts_with("unknown field");
            let code = if is_unknown { Code::InvalidRequest } else { code_of(&path) };
            Problem::new(code, format!("{subject}: {message}"))
        }
        _ => Problem::new(Code::InvalidRequest, format!("the body is not valid JSON: {error}")),
    }
}

/// The code of the field at the end of a path such as `items[3].priority`.
fn code_of(path: &str) -> Code {
    match last_field(path) {
        "item" => Code::InvalidItem,
        "items" => Code::InvalidItems,
        "priority" => Code::InvalidPriority,
        "depth" => Code::InvalidDepth,
        "wait_ms" => Code::InvalidWait,
        "delay_ms" => Code::InvalidDelay,
        "key" => Code::InvalidKey,
        "leases" => Code::InvalidLeases,
        "owner" => Code::InvalidOwner,
        "timeout_ms" => Code::InvalidTimeout,
        "ttl_ms" => Code::InvalidTtl,
        "url" | "max_concurrency" => Code::InvalidSink,
        _ => Code::InvalidRequest,
    }
}

fn last_field(path: &str) -> &str {
    let last = path.rsplit('.').next().unwrap_or(path);
    last.split('[').next().unwrap_or(last)
}

/// Without the names that Rust has for types.
fn in_plain_words(message: String) -> String {
    let is_unsigned = |name: &&str| message.ends_with(&format!(", expected {name}"));
    match ["u16", "u32", "u64", "usize"].iter().find(|name| is_unsigned(name)) {
        Some(name) => {
            let rest = message.len() - name.len();
            format!("{}an integer from 0", &message[..rest])
        }
        None => message,
    }
}

fn without_place(error: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = error.to_string();
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default, deserialize_with = "present")]
        priority: Option<Priority>,
        #[serde(default)]
        items: Vec<Object<Sample>>,
        #[serde(default)]
        capacity: u64,
    }

    #[test]
    fn what_is_right_is_read() {
        let read: Sample = object(br#"{"priority":7,"items":[{"capacity":3}]}"#).expect("right");
        assert_eq!(read.priority, Some(Priority(7)));
        assert_eq!((read.items[0].0.capacity, read.items[0].0.items.len()), (3, 0));
    }

    fn refused(text: &str) -> (Code, String) {
        let problem = object::<Sample>(text.as_bytes()).expect_err("a refusal");
        (problem.code(), problem.detail().to_owned())
    }

    #[test]
    fn a_refusal_names_the_field_and_its_bound() {
        for text in ["-1", "2147483648", "1.5", "\"1\"", "null", "true", "[1]", "1e30"] {
            let (code, detail) = refused(&format!("{{\"priority\":{text}}}"));
            assert_eq!(code, Code::InvalidPriority, "{text}");
            assert!(detail.starts_with("priority: "), "{detail}");
            assert!(detail.ends_with("an integer from 0 to 2147483647"), "{detail}");
        }
        let (code, detail) = refused(r#"{"items":[{},{"priority":-1}]}"#);
        assert_eq!(code, Code::InvalidPriority);
        assert!(detail.starts_with("items[1].priority: "), "{detail}");
    }

    #[test]
    fn a_field_without_a_code_of_its_own_is_an_invalid_request() {
        let (code, detail) = refused(r#"{"capacity":-1}"#);
        assert_eq!(code, Code::InvalidRequest);
        let expected = "capacity: invalid value: integer `-1`, expected an integer from 0";
        assert_eq!(detail, expected, "no name of a type");
        assert_eq!(refused(r#"{"capacity":"x"}"#).0, Code::InvalidRequest);
        assert_eq!(refused(r#"{"items":[{"item":1}]}"#).0, Code::InvalidRequest);
        let (code, detail) = refused(r#"{"priorty":1}"#);
        assert_eq!(code, Code::InvalidRequest);
        assert!(detail.contains("unknown field `priorty`"), "{detail}");
    }

    #[test]
    fn an_array_is_not_taken_for_an_object() {
        assert_eq!(
            refused("[1]"),
            (
                Code::InvalidRequest,
                "the body: invalid type: sequence, expected an object".to_owned()
            )
        );
        assert_eq!(refused(r#"{"items":[[1]]}"#).0, Code::InvalidItems);
        assert_eq!(refused(r#"{"items":{}}"#).0, Code::InvalidItems);
    }

    #[test]
    fn what_is_no_json_is_an_invalid_request() {
        for text in ["", "{", "{\"priority\":}", "{}x", "\u{feff}{}", "{\"priority\":1,}"] {
            assert_eq!(refused(text).0, Code::InvalidRequest, "{text}");
        }
        assert!(object_or_default::<Sample>(b" \n").is_ok());
    }
}
