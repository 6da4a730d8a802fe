//! The values of the store. Times are Unix milliseconds.

pub(crate) mod actor;
pub(crate) mod gate;
pub(crate) mod message;
pub(crate) mod node;
pub(crate) mod queue;
mod rate;
pub(crate) mod stream;
pub(crate) mod worker;

pub use actor::{ActorState, OutboxRecord, ReminderDue, ReminderRecord};
pub use gate::{
    EntryRecord, GateMeta, GateOutboxRecord, GatePolicyRecord, GateUsage, GateWaits, OnFullLine,
    StoredEntryState,
};
pub use message::{
    Annotation, DeathRecord, DedupRecord, DueEntry, KeyOutcome, LeaseRecord, MessageRecord,
    MessageStateRecord, MovedRecord, PermitRecord, QueueOutboxRecord, SinkRecord,
};
pub use node::ClockRecord;
pub use queue::{
    OnExpire, OnFull, PriorityMeta, QueueDurability, QueueEntry, QueueMeta, QueueSettings,
    QueueTotals,
};
pub use rate::Rate;
pub use stream::{OnSlow, RetainedMessage, StreamSettings};
pub use worker::{DepartureRecord, OfflineCause, WorkerLease, WorkerMeta, WorkerRecord};

/// Gives what is written its format; `from` names the types that the formats before it had, that of
/// format 1 first, which are upgraded.
macro_rules! header {
    ($type:ty, $name:literal, $format:literal $(, from $($old:ty),+)?) => {
        impl crate::codec::Format for $type {
            const NAME: &'static str = $name;
            const FORMAT: u8 = $format;
            $(
                const EARLIER: &'static [crate::codec::Decoder<Self>] =
                    &[$(crate::codec::upgrade::<$old, Self>),+];
            )?
        }
    };
}
use header;

/// Implements encoding and decoding for a record without a tail.
macro_rules! record {
    ($type:ty, $($format:tt)+) => {
        crate::record::header!($type, $($format)+);

        impl $type {
            /// The value as the store keeps it.
            pub fn encode(&self) -> bytes::Bytes {
                crate::codec::encode(self, &[])
            }

            /// The value read back.
            ///
            /// # Errors
            /// [`CodecError`](crate::codec::CodecError) if the bytes are of an unknown format or
            /// damaged.
            pub fn decode(bytes: &[u8]) -> Result<Self, crate::codec::CodecError> {
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

    use crate::{
        codec::CodecError,
        key::queue::{Arrival, QueueNo},
    };

    #[test]
    fn a_message_keeps_its_payload_byte_for_byte() {
        let payload = Bytes::from_static(b"{ \"a\" :\t1 }");
        let lease = LeaseRecord {
            nonce: [7; 16],
            leased_at_ms: 1,
            expires_at_ms: 2,
            worker: Some("w".to_owned()),
            permit: Some(PermitRecord { gate: "g".to_owned(), owner: "o".to_owned() }),
            life: Some(9),
        };
        let scheduled =
            MessageStateRecord::Scheduled { ready_at_ms: 5, since_ms: 4, is_holding: true };
        for state in [MessageStateRecord::Ready, scheduled, MessageStateRecord::Leased(lease)] {
            let message = MessageRecord {
                pushed_at_ms: 1_800_000_000_000,
                deliveries: 3,
                state,
                expires_at_ms: Some(9),
                note: None,
                payload: payload.clone(),
            };
            assert_eq!(MessageRecord::decode(&message.clone().encode()), Ok(message));
        }
    }

    #[test]
    fn records_of_format_1_are_upgraded() {
        let message = Bytes::from_static(b"\x01\x05\x02{}");
        let message = MessageRecord::decode(&message).unwrap();
        assert_eq!((message.pushed_at_ms, message.deliveries), (5, 2));
        assert_eq!((message.state, &message.payload[..]), (MessageStateRecord::Ready, &b"{}"[..]));
        let meta = QueueMeta::decode(&[1, 9, 2, 30, 8, 6, 5, 4, 3, 2]).unwrap();
        assert_eq!((meta.arrival_next, meta.ready_count, meta.bytes), (9, 2, 30));
        let QueueTotals { pushed, popped, rejected, evicted, cancelled, purged, .. } = meta.totals;
        assert_eq!((pushed, popped, rejected, evicted, cancelled, purged), (8, 6, 5, 4, 3, 2));
        let settings = QueueSettings::decode(&[1, 1, 7, 1, 0, 1, 0]).unwrap();
        assert_eq!((settings.capacity, settings.on_full), (Some(7), OnFull::EvictLowest));
        assert!(settings.is_push_paused && !settings.is_pop_paused);
    }

    #[test]
    fn records_of_format_2_are_upgraded() {
        let leased = [&b"\x02\x05\x02\x02"[..], &[7; 16], b"\x03\x04\x01\x01w\x00\x00{}"].concat();
        let message = MessageRecord::decode(&leased.into()).unwrap();
        let MessageStateRecord::Leased(lease) = message.state else {
            panic!("{:?}", message.state)
        };
        assert_eq!((lease.nonce, lease.leased_at_ms, lease.expires_at_ms), ([7; 16], 3, 4));
        assert_eq!((lease.worker.as_deref(), lease.permit), (Some("w"), None));
        assert_eq!(&message.payload[..], b"{}");
        let settings = [2, 1, 7, 1, 0, 1, 0, 1, 9, 1, 8, 0, 1, 0, 1, 0, 0, 1, 6];
        let settings = QueueSettings::decode(&settings).unwrap();
        assert_eq!((settings.capacity, settings.on_full), (Some(7), OnFull::EvictLowest));
        assert_eq!((settings.deliveries_max, settings.lease_ttl_ms), (Some(9), Some(8)));
        assert_eq!((settings.on_expire, settings.is_exclusive), (OnExpire::DeadLetter, true));
        assert_eq!((settings.aging_ms, settings.gate), (Some(6), None));
    }

    #[test]
    fn records_of_format_3_are_upgraded() {
        let leased =
            [&b"\x03\x05\x02\x02"[..], &[7; 16], b"\x03\x04\x01\x01w\x00\x00\x00{}"].concat();
        let message = MessageRecord::decode(&leased.into()).unwrap();
        let MessageStateRecord::Leased(lease) = message.state else {
            panic!("{:?}", message.state)
        };
        assert_eq!((lease.worker.as_deref(), lease.permit, lease.life), (Some("w"), None, None));
        assert_eq!(&message.payload[..], b"{}");
        let scheduled = Bytes::from_static(b"\x03\x05\x00\x01\x09\x00\x00{}");
        let message = MessageRecord::decode(&scheduled).unwrap();
        let state =
            MessageStateRecord::Scheduled { ready_at_ms: 9, since_ms: 5, is_holding: false };
        assert_eq!(message.state, state);
        let totals = [1; 14];
        let meta = [&[2, 9, 2, 3, 4, 30, 1, 7, 8, 100][..], &totals].concat();
        let meta = QueueMeta::decode(&meta).unwrap();
        assert_eq!((meta.arrival_next, meta.ready_count, meta.bytes), (9, 2, 30));
        assert_eq!((meta.wake_at_ms, meta.held_back_until_ms), (Some(7), 0));
        assert_eq!((meta.holding_count, meta.totals.purged), (0, 1));
    }

    #[test]
    fn rates_of_whole_tokens_are_read() {
        let settings = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 20, 5, 0, 1, 1, b'g'];
        let settings = QueueSettings::decode(&settings).unwrap();
        assert_eq!(settings.pop_rate, Some(Rate::per_second(20, 5)));
        assert_eq!((settings.push_rate, settings.gate.as_deref()), (None, Some("g")));
        let policy = GatePolicyRecord::decode(&[1, 0, 9, 8, 0, 1, 4, 2, 0, 0]).unwrap();
        assert_eq!((policy.rate, policy.timeout_ms), (Some(Rate::per_second(4, 2)), 8));
    }

    #[test]
    fn what_was_noted_before_there_were_endings_is_read() {
        let note = b"\x01\x01\x01k\x00\x00{}";
        let message = [&b"\x03\x05\x02\x00\x00"[..], note].concat();
        let message = MessageRecord::decode(&message.into()).unwrap();
        let note = message.note.unwrap();
        assert_eq!((note.dedup_key.as_deref(), note.forget_at_ms), (Some("k"), None));
        assert_eq!((message.deliveries, &message.payload[..]), (2, &b"{}"[..]));
        let letter = Bytes::from_static(b"\x01\x07\x01\x01\x01k\x00\x00{}");
        let letter = QueueOutboxRecord::decode(&letter).unwrap();
        assert_eq!((letter.priority.get(), &letter.payload[..]), (7, &b"{}"[..]));
        assert_eq!(letter.note.unwrap().dedup_key.as_deref(), Some("k"));
        let dedup = DedupRecord::decode(&[1, 9, 3, 8]).unwrap();
        assert_eq!((dedup.position().1, dedup.forget_at_ms, dedup.ending), (Arrival(9), 8, None));
    }

    #[test]
    fn a_retained_message_keeps_its_payload_and_has_a_class() {
        let data = Bytes::from_static(b"{ \"a\" :\t1 }");
        let message = RetainedMessage { class: 3, epoch: 7, data: data.clone() };
        assert_eq!(RetainedMessage::decode(&message.encode()), Ok(message));
        let earlier = [&[1, 3], &data[..]].concat().into();
        let read = RetainedMessage { class: 3, epoch: 0, data: data.clone() };
        assert_eq!(RetainedMessage::decode(&earlier), Ok(read), "as it was kept before epochs");
        let classless = RetainedMessage { class: 4, epoch: 7, data };
        assert!(RetainedMessage::decode(&classless.encode()).is_err());
    }

    #[test]
    fn an_unknown_format_is_refused_by_name() {
        let mut bytes = QueueMeta::default().encode().to_vec();
        bytes[0] = 9;
        assert_eq!(
            QueueMeta::decode(&bytes),
            Err(CodecError::UnknownFormat { record: "queue metadata", found: 9, newest: 3 })
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
