//! What is said of messages under work.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::wire::queue::Message;

/// The answer to a lease.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Leased {
    /// The messages, the most urgent first.
    pub messages: Vec<LeasedMessage>,
    /// The number of entries in this answer.
    pub count: usize,
}

/// A leased message, with the token that settles the lease.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Box<RawValue>")]
pub struct LeasedMessage {
    /// The message.
    #[serde(flatten)]
    pub message: Message,
    /// The lease token: opaque, secret, and valid for this delivery only.
    pub lease: String,
    /// The end of the lease, in Unix milliseconds.
    pub lease_expires_at: u64,
}

impl TryFrom<Box<RawValue>> for LeasedMessage {
    type Error = serde_json::Error;

    /// Reads the object twice: a payload that is kept as it was sent cannot be read as a part of
    /// another struct.
    fn try_from(text: Box<RawValue>) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Terms {
            lease: String,
            lease_expires_at: u64,
        }
        let Terms { lease, lease_expires_at } = serde_json::from_str(text.get())?;
        Ok(Self { message: serde_json::from_str(text.get())?, lease, lease_expires_at })
    }
}

/// A lease that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedLease {
    /// The token as it was sent.
    pub lease: String,
    /// `lease_not_found` or `lease_expired`.
    pub code: String,
}

/// The answer to an ack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Acked {
    /// The number of messages that are done.
    pub acked: usize,
    /// The leases that failed; the others are not affected.
    pub failed: Vec<FailedLease>,
}

/// The answer to a nack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nacked {
    /// The number of messages given back.
    pub nacked: usize,
    /// The leases that failed; the others are not affected.
    pub failed: Vec<FailedLease>,
}

/// An extended lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtendedLease {
    /// Its token, the same as before.
    pub lease: String,
    /// The new end of the lease, in Unix milliseconds.
    pub lease_expires_at: u64,
}

/// The answer to the extension of leases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtendedLeases {
    /// The extended leases.
    pub extended: Vec<ExtendedLease>,
    /// The leases that failed; the others are not affected.
    pub failed: Vec<FailedLease>,
}

/// The answer to a dead-letter call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovedToDeadLetters {
    /// The number of messages moved.
    pub moved: usize,
    /// The dead-letter queue they are in.
    pub queue: String,
    /// The leases that failed; the others are not affected.
    pub failed: Vec<FailedLease>,
}

/// The answer to a redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Redriven {
    /// The number of dead letters moved back.
    pub moved: u64,
}
