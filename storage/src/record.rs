//! The values of the store. Times are Unix milliseconds.

mod actor;
mod gate;
mod queue;
mod stream;
mod worker;

pub use actor::{ActorState, ReminderDue, ReminderRecord};
pub use gate::{
    GateMeta, GatePolicyRecord, GateUsage, GateWaits, OnFullLine, PlaceRecord, PlaceState,
};
pub use queue::{
    LaneMeta, MessageRecord, OnFull, QueueDurability, QueueEntry, QueueMeta, QueueSettings,
};
pub use stream::{OnSlow, RetainedMessage, StreamSettings};
pub use worker::{DepartureRecord, OfflineCause, WorkerMeta, WorkerRecord};

/// Implements encoding and decoding for a record without a tail.
macro_rules! record {
    ($type:ty, $name:literal, $format:literal) => {
        impl crate::codec::Format for $type {
            const NAME: &'static str = $name;
            const FORMAT: u8 = $format;
        }

        impl $type {
            /// The value as the store keeps it.
            pub fn encode(&self) -> bytes::Bytes {
                crate::codec::encode(self, &[])
            }

            /// The value read back.
            ///
            /// # Errors
            /// [`CodecError`](crate::CodecError) if the bytes are of an unknown format or damaged.
            pub fn decode(bytes: &[u8]) -> Result<Self, crate::CodecError> {
                Ok(crate::codec::decode(bytes)?.0)
            }
        }
    };
}
use record;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{CodecError, key::QueueNo};

    #[test]
    fn a_message_keeps_its_payload_byte_for_byte() {
        let payload = Bytes::from_static(b"{ \"a\" :\t1 }");
        let message = MessageRecord { pushed_at_ms: 1_800_000_000_000, deliveries: 3, payload };
        assert_eq!(MessageRecord::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn a_retained_message_keeps_its_payload_and_has_a_class() {
        let data = Bytes::from_static(b"{ \"a\" :\t1 }");
        let message = RetainedMessage { class: 3, data: data.clone() };
        assert_eq!(RetainedMessage::decode(&message.encode()), Ok(message));
        let classless = RetainedMessage { class: 4, data };
        assert!(RetainedMessage::decode(&classless.encode()).is_err());
    }

    #[test]
    fn an_unknown_format_is_refused_by_name() {
        let mut bytes = QueueMeta::default().encode().to_vec();
        bytes[0] = 9;
        assert_eq!(
            QueueMeta::decode(&bytes),
            Err(CodecError::UnknownFormat { record: "queue metadata", found: 9, newest: 1 })
        );
    }

    #[test]
    fn a_short_record_is_malformed_and_no_panic() {
        let bytes = QueueEntry::new(QueueNo(1 << 40), 1).encode();
        for length in 0..bytes.len() {
            let error = QueueEntry::decode(&bytes[..length]);
            assert!(matches!(error, Err(CodecError::Malformed { .. })), "{length}: {error:?}");
        }
    }
}
