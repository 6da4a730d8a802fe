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
    /// How many there are.
    pub count: usize,
}

/// A message that was leased, with what settles the lease.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Box<RawValue>")]
pub struct LeasedMessage {
    /// What is known of it.
    #[serde(flatten)]
    pub message: Message,
    /// The token of the lease: opaque, a secret, good for this delivery alone.
    pub lease: String,
    /// When the lease ends, in Unix milliseconds.
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

/// A lease that was not good any more, or never was.
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
    /// How many messages are done with.
    pub acked: usize,
    /// The leases that were not good; they harm no other.
    pub failed: Vec<FailedLease>,
}

/// The answer to a nack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nacked {
    /// How many messages were given back.
    pub nacked: usize,
    /// The leases that were not good; they harm no other.
    pub failed: Vec<FailedLease>,
}

/// A lease that was prolonged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtendedLease {
    /// Its token, the same as before.
    pub lease: String,
    /// When it ends now, in Unix milliseconds.
    pub lease_expires_at: u64,
}

/// The answer to the extension of leases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtendedLeases {
    /// The leases that were prolonged.
    pub extended: Vec<ExtendedLease>,
    /// The leases that were not good; they harm no other.
    pub failed: Vec<FailedLease>,
}

/// The answer to giving up the work on messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovedToDeadLetters {
    /// How many messages were moved.
    pub moved: usize,
    /// The queue they are in.
    pub queue: String,
    /// The leases that were not good; they harm no other.
    pub failed: Vec<FailedLease>,
}

/// The answer to a redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Redriven {
    /// How many dead letters came back.
    pub moved: u64,
}
