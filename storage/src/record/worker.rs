//! Values of workers.

use bytes::Bytes;

use crate::{
    codec::{self, CodecError, Decode, Encode},
    record::{header, record},
};

/// What is known of a worker. Written with every flush in which it beat, hence small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WorkerRecord {
    /// When it was seen for the first time.
    pub first_seen_at_ms: u64,
    /// When it was last seen, as far as it was written.
    pub last_seen_at_ms: u64,
    /// Since when it is offline; `None` while it is online.
    pub offline_since_ms: Option<u64>,
    /// The number of its life: each is larger than those before, and about when it began (Unix
    /// milliseconds).
    pub life: u64,
}

record!(WorkerRecord, "worker", 2, from WorkerRecordV1);

#[derive(Encode, Decode)]
struct WorkerRecordV1 {
    first_seen_at_ms: u64,
    last_seen_at_ms: u64,
    offline_since_ms: Option<u64>,
}

impl From<WorkerRecordV1> for WorkerRecord {
    fn from(old: WorkerRecordV1) -> Self {
        let WorkerRecordV1 { first_seen_at_ms, last_seen_at_ms, offline_since_ms } = old;
        Self { first_seen_at_ms, last_seen_at_ms, offline_since_ms, life: first_seen_at_ms }
    }
}

/// What a worker says of itself: one JSON object, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerMeta {
    /// The object as it was sent.
    pub json: Bytes,
}

#[derive(Encode, Decode)]
struct WorkerMetaHeader;

header!(WorkerMetaHeader, "worker metadata", 1);

impl WorkerMeta {
    /// The value as the store keeps it.
    pub fn encode(&self) -> Bytes {
        codec::encode(&WorkerMetaHeader, &self.json)
    }

    /// The value read back; the object shares the bytes given.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are of an unknown format or damaged.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (WorkerMetaHeader, tail) = codec::decode(bytes)?;
        Ok(Self { json: bytes.slice(tail..) })
    }
}

/// Why a worker is offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OfflineCause {
    /// It was not seen for too long.
    Silent,
    /// It said goodbye.
    Deregistered,
}

/// A worker that went offline, which somebody has still to be told.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DepartureRecord {
    /// Which worker.
    pub worker_id: String,
    /// When.
    pub at_ms: u64,
    /// Why.
    pub cause: OfflineCause,
    /// The number of the life that ended.
    pub life: Option<u64>,
}

record!(DepartureRecord, "departure", 2, from DepartureRecordV1);

#[derive(Encode, Decode)]
struct DepartureRecordV1 {
    worker_id: String,
    at_ms: u64,
    cause: OfflineCause,
}

impl From<DepartureRecordV1> for DepartureRecord {
    fn from(old: DepartureRecordV1) -> Self {
        let DepartureRecordV1 { worker_id, at_ms, cause } = old;
        Self { worker_id, at_ms, cause, life: None }
    }
}

/// An entry of a worker's index of leases: whose message it is. The key says which one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WorkerLease {
    /// The queue.
    pub queue_id: String,
}

record!(WorkerLease, "lease of a worker", 1);
