//! The former formats of messages, each read as the one after it.

use crate::{
    codec::{Decode, Encode},
    record::message::{
        Annotation, DeathRecord, LeaseRecord, MessageHeader, MessageStateRecord, PermitRecord,
        QueueOutboxHeader,
    },
};

#[derive(Encode, Decode)]
pub(crate) struct NoteV1 {
    dedup_key: Option<String>,
    reason: Option<String>,
    death: Option<DeathRecord>,
}

impl From<NoteV1> for Annotation {
    fn from(NoteV1 { dedup_key, reason, death }: NoteV1) -> Self {
        Self { dedup_key, reason, death, ..Self::default() }
    }
}

pub(crate) fn upgraded(note: Option<Box<NoteV1>>) -> Option<Box<Annotation>> {
    note.map(|note| Box::new(Annotation::from(*note)))
}

#[derive(Encode, Decode)]
pub(crate) struct MessageHeaderV1 {
    pushed_at_ms: u64,
    deliveries: u32,
}

impl From<MessageHeaderV1> for MessageHeader {
    fn from(MessageHeaderV1 { pushed_at_ms, deliveries }: MessageHeaderV1) -> Self {
        Self {
            pushed_at_ms,
            deliveries,
            state: MessageStateRecord::Ready,
            expires_at_ms: None,
            note: None,
        }
    }
}

#[derive(Encode, Decode)]
pub(crate) struct MessageHeaderV2 {
    pushed_at_ms: u64,
    deliveries: u32,
    state: StateV2,
    expires_at_ms: Option<u64>,
    note: Option<Box<NoteV1>>,
}

#[derive(Encode, Decode)]
pub(crate) struct MessageHeaderV4 {
    pushed_at_ms: u64,
    deliveries: u32,
    state: MessageStateRecord,
    expires_at_ms: Option<u64>,
    note: Option<Box<NoteV1>>,
}

impl From<MessageHeaderV4> for MessageHeader {
    fn from(old: MessageHeaderV4) -> Self {
        let MessageHeaderV4 { pushed_at_ms, deliveries, state, expires_at_ms, note } = old;
        Self { pushed_at_ms, deliveries, state, expires_at_ms, note: upgraded(note) }
    }
}

#[derive(Encode, Decode)]
pub(crate) enum StateV2 {
    Ready,
    Scheduled { ready_at_ms: u64 },
    Leased(LeaseRecordV2),
}

#[derive(Encode, Decode)]
pub(crate) struct LeaseRecordV2 {
    nonce: [u8; 16],
    leased_at_ms: u64,
    expires_at_ms: u64,
    worker: Option<String>,
}

impl From<MessageHeaderV2> for MessageHeader {
    fn from(old: MessageHeaderV2) -> Self {
        let MessageHeaderV2 { pushed_at_ms, deliveries, state, expires_at_ms, note } = old;
        let state = match state {
            StateV2::Ready => StateV3::Ready,
            StateV2::Scheduled { ready_at_ms } => StateV3::Scheduled { ready_at_ms },
            StateV2::Leased(LeaseRecordV2 { nonce, leased_at_ms, expires_at_ms, worker }) => {
                let permit = None;
                StateV3::Leased(LeaseRecordV3 {
                    nonce,
                    leased_at_ms,
                    expires_at_ms,
                    worker,
                    permit,
                })
            }
        };
        MessageHeaderV3 { pushed_at_ms, deliveries, state, expires_at_ms, note }.into()
    }
}

#[derive(Encode, Decode)]
pub(crate) struct MessageHeaderV3 {
    pushed_at_ms: u64,
    deliveries: u32,
    state: StateV3,
    expires_at_ms: Option<u64>,
    note: Option<Box<NoteV1>>,
}

#[derive(Encode, Decode)]
pub(crate) enum StateV3 {
    Ready,
    Scheduled { ready_at_ms: u64 },
    Leased(LeaseRecordV3),
}

#[derive(Encode, Decode)]
pub(crate) struct LeaseRecordV3 {
    nonce: [u8; 16],
    leased_at_ms: u64,
    expires_at_ms: u64,
    worker: Option<String>,
    permit: Option<PermitRecord>,
}

impl From<MessageHeaderV3> for MessageHeader {
    fn from(old: MessageHeaderV3) -> Self {
        let MessageHeaderV3 { pushed_at_ms, deliveries, state, expires_at_ms, note } = old;
        let state = match state {
            StateV3::Ready => MessageStateRecord::Ready,
            // Nobody knows better since when.
            StateV3::Scheduled { ready_at_ms } => MessageStateRecord::Scheduled {
                ready_at_ms,
                since_ms: pushed_at_ms,
                is_holding: false,
            },
            StateV3::Leased(lease) => {
                let LeaseRecordV3 { nonce, leased_at_ms, expires_at_ms, worker, permit } = lease;
                let life = None;
                MessageStateRecord::Leased(LeaseRecord {
                    nonce,
                    leased_at_ms,
                    expires_at_ms,
                    worker,
                    permit,
                    life,
                })
            }
        };
        MessageHeaderV4 { pushed_at_ms, deliveries, state, expires_at_ms, note }.into()
    }
}

#[derive(Encode, Decode)]
pub(crate) struct QueueOutboxHeaderV1 {
    priority: u32,
    note: Option<Box<NoteV1>>,
}

impl From<QueueOutboxHeaderV1> for QueueOutboxHeader {
    fn from(QueueOutboxHeaderV1 { priority, note }: QueueOutboxHeaderV1) -> Self {
        Self { priority, note: upgraded(note) }
    }
}
