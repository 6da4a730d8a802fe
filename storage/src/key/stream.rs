//! Keys of streams and the messages they keep.

use crate::key::{Key, KeyRange, key, tag};

/// The settings of a stream.
pub fn stream_settings(topic: &str) -> Key {
    key(tag::STREAM_SETTINGS, &[topic.as_bytes()])
}

/// A message kept for late subscribers, by its number.
pub fn stream_retained(topic: &str, seq: u64) -> Key {
    key(tag::STREAM_RETAINED, &[topic.as_bytes(), &[0], &seq.to_be_bytes()])
}

/// Every message kept for late subscribers of a topic, in the order of their numbers.
pub fn stream_retained_all(topic: &str) -> KeyRange {
    KeyRange::prefix(&key(tag::STREAM_RETAINED, &[topic.as_bytes(), &[0]]))
}

/// The number of a message that is kept, or `None` for any other key.
pub fn stream_seq_of(retained: &Key) -> Option<u64> {
    let (_, seq) = retained_parts(retained)?;
    Some(seq)
}

/// The topic of a message that is kept, or `None` for any other key.
pub(crate) fn topic_of(retained: &Key) -> Option<&str> {
    let (topic, _) = retained_parts(retained)?;
    Some(topic)
}

fn retained_parts(retained: &Key) -> Option<(&str, u64)> {
    let rest = retained.as_bytes().strip_prefix(&[tag::STREAM_RETAINED])?;
    let (topic, seq) = rest.split_at_checked(rest.len().checked_sub(9)?)?;
    let seq = seq.strip_prefix(&[0])?.try_into().ok()?;
    Some((std::str::from_utf8(topic).ok()?, u64::from_be_bytes(seq)))
}
