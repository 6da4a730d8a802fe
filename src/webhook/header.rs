//! Headers of one's own that a sink sends with each message.

use lanekeeper_actors::queue::SinkHeaders;
use ureq::http::{HeaderName, HeaderValue};

use crate::webhook::address::target::InvalidTarget;

/// Headers of one sink at most.
const COUNT_MAX: usize = 20;
/// Bytes of a name, and of a value.
const NAME_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 4_096;

/// What says how the message is carried, or who it is from: not to be told otherwise.
const RESERVED: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Whether headers can be sent with a message.
///
/// # Errors
/// [`InvalidTarget::Header`].
pub fn check_headers(headers: &SinkHeaders) -> Result<(), InvalidTarget> {
    let count = headers.iter().count();
    if count > COUNT_MAX {
        return Err(InvalidTarget::TooManyHeaders(count));
    }
    for (name, value) in headers.iter() {
        let wrong = |reason| {
            let name = name.chars().take(NAME_BYTES_MAX).collect();
            Err(InvalidTarget::Header { name, reason })
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return wrong("its name must be 1 to 128 bytes long");
        }
        if HeaderName::from_lowercase(name.as_bytes()).is_err() {
            return wrong("its name must be made of a-z 0-9 and - _ . ! # $ % & ' * + ^ ` | ~");
        }
        if RESERVED.contains(&name) || name.starts_with("lanekeeper-") {
            return wrong("is set by the node: leave it out");
        }
        if value.len() > VALUE_BYTES_MAX {
            return wrong("its value must be at most 4096 bytes long");
        }
        let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        if !is_plain || HeaderValue::from_str(value).is_err() {
            return wrong("its value must be made of visible ASCII characters, spaces and tabs");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_named_with_what_is_wrong_about_it() {
        let check = |name: &str, value: &str| {
            let headers: SinkHeaders = [(name.to_owned(), value.to_owned())].into_iter().collect();
            check_headers(&headers).err().map(|error| error.to_string())
        };
        let long = "x".repeat(4_097);
        for (name, value) in [
            ("authorization", "Bearer abc"),
            ("Authorization", "Bearer abc"),
            ("user-agent", "me"),
            ("x-empty", ""),
            ("x_y", &long[1..]),
        ] {
            assert_eq!(check(name, value), None, "{name}");
        }
        for (name, value, expected) in [
            ("", "x", "headers.: its name must be 1 to 128 bytes long"),
            ("x y", "x", "headers.x y: its name must be made of"),
            ("Host", "x", "headers.host: is set by the node"),
            ("content-length", "1", "headers.content-length: is set by the node"),
            ("lanekeeper-queue", "x", "headers.lanekeeper-queue: is set by the node"),
            ("x", "a\r\nb: c", "headers.x: its value must be made of visible ASCII"),
            ("x", "\u{e9}", "headers.x: its value must be made of visible ASCII"),
            ("x", &long, "headers.x: its value must be at most 4096 bytes long"),
        ] {
            let refused = check(name, value).expect(name);
            assert!(refused.starts_with(expected), "{refused}");
        }
        let many = (0..21).map(|n| (format!("x-{n}"), String::new())).collect();
        let refused = check_headers(&many).expect_err("too many").to_string();
        assert_eq!(refused, "headers: at most 20 are allowed, not 21");
    }
}
