//! What is said of the server itself, and what it says when it refuses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of the health calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `healthy`, `live` or `ready`, as was asked.
    pub status: String,
    /// Always `lanekeeper`.
    pub service: String,
}

/// What is running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Always `lanekeeper`.
    pub name: String,
    /// The version of the server.
    pub version: String,
}

/// A refusal or an error (RFC 9457), of the type `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong: the field and its bound, where there is one.
    pub detail: String,
    /// What a program branches on.
    pub code: String,
    /// How long to wait before asking again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The bound that was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How much there is of what is bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// What keeps an owner out of a gate: `drain`, `pause`, `full`, `quota`, `rate` or
    /// `concurrency`; of several, the first in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// How long an owner waited at a gate in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// When the leases end that are in the way, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<u64>,
}

/// The answer to the deletion of a queue, gate, stream or worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// Whether there was one.
    pub deleted: bool,
}
