//! What is said of messages under work.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::DeadLetter;

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
pub struct LeasedMessage {
    /// Its id: opaque.
    pub id: String,
    /// Its urgency, 0 first.
    pub priority: u32,
    /// Its payload.
    #[schema(value_type = Object)]
    pub item: Box<RawValue>,
    /// When it was accepted, in Unix milliseconds.
    pub pushed_at: u64,
    /// How often it was leased, this time included.
    pub deliveries: u32,
    /// When its time to live ends, in Unix milliseconds, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Why it was given back last, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it was before it died, for a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetter>,
    /// The token of the lease: opaque, a secret, good for this delivery alone.
    pub lease: String,
    /// When the lease ends, in Unix milliseconds.
    pub lease_expires_at: u64,
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
