//! What is said of the server itself, and what it says when it refuses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of the health calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `healthy`, `live` or `ready`, by the path.
    pub status: String,
    /// Always `lanekeeper`.
    pub service: String,
}

/// The name and version of the server.
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
    /// Always `about:blank`: `code` distinguishes problems.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The problem, with the field and its limit if there is one.
    pub detail: String,
    /// The code of the problem, for programs.
    pub code: String,
    /// The time to wait before trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The limit that was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The present value of what is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// The reason why a gate grants no permit: `drain`, `pause`, `full`, `quota`, `rate` or
    /// `concurrency`; of several, the first in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// The time an owner waited at a gate before it timed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// The end of the leases that lock the queue, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<u64>,
}

/// The answer to the deletion of a queue, gate, stream or worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// Whether it existed.
    pub deleted: bool,
}
