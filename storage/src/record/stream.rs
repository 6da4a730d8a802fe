//! Values of streams.

use bytes::Bytes;

use crate::{
    codec::{self, CodecError, Decode, Encode, Format},
    record::{header, record},
};

/// What happens to a subscriber that is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum OnSlow {
    /// It is told.
    #[default]
    Warn,
    /// It is told, and gets one of ten bulk messages until it keeps up again.
    Throttle,
    /// It is disconnected.
    Disconnect,
}

/// The settings of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct StreamSettings {
    /// Messages kept for late subscribers at most.
    pub retain: u32,
    /// Whether they are kept in the store.
    pub is_persistent: bool,
    /// What happens to a subscriber that is slow.
    pub on_slow: OnSlow,
}

record!(StreamSettings, "stream settings", 1);

/// A message kept for late subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedMessage {
    /// Its class: 0 (control) to 3 (bulk).
    pub class: u8,
    /// Which count of the stream its number belongs to; 0 in what was kept before that was noted.
    pub epoch: u64,
    /// The payload, byte for byte.
    pub data: Bytes,
}

#[derive(Encode, Decode)]
struct RetainedHeader {
    class: u8,
    epoch: u64,
}

header!(RetainedHeader, "retained message", 2, from RetainedHeaderV1);

#[derive(Encode, Decode)]
struct RetainedHeaderV1 {
    class: u8,
}

impl From<RetainedHeaderV1> for RetainedHeader {
    fn from(RetainedHeaderV1 { class }: RetainedHeaderV1) -> Self {
        Self { class, epoch: 0 }
    }
}

impl RetainedMessage {
    /// The value as the store keeps it.
    pub fn encode(&self) -> Bytes {
        let header = RetainedHeader { class: self.class, epoch: self.epoch };
        codec::encode(&header, &self.data)
    }

    /// The value read back; the payload shares the bytes given.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are of an unknown format or damaged.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (RetainedHeader { class, epoch }, tail) = codec::decode(bytes)?;
        if class > 3 {
            let reason = format!("class {class} is not known");
            return Err(CodecError::Malformed { record: RetainedHeader::NAME, reason });
        }
        Ok(Self { class, epoch, data: bytes.slice(tail..) })
    }
}
