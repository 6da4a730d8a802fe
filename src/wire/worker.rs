//! What is said of workers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The status of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStatus {
    /// It was seen recently.
    Online,
    /// It was not seen for too long, or deregistered.
    Offline,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Beat {
    /// Always `online`: a refusal is a problem document.
    pub status: WorkerStatus,
    /// Whether the server is shutting down, so that the worker should take no new work.
    pub drain: bool,
    /// The number of the worker's life, to send with its heartbeats, leases and deregistration.
    #[serde(default)]
    pub life: u64,
}

/// The answer to a deregistration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deregistered {
    /// Always `offline`: a refusal is a problem document.
    pub status: WorkerStatus,
}

/// A worker.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: WorkerStatus,
    /// The time of its last heartbeat, in Unix milliseconds.
    pub last_seen_at: u64,
    /// The time of its first heartbeat, in Unix milliseconds.
    pub first_seen_at: u64,
    /// The time it went offline, in Unix milliseconds; `null` while it is online.
    pub offline_since: Option<u64>,
    /// Its metadata; `null` if it never sent any.
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Box<RawValue>>,
}

/// A page of workers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct WorkerList {
    /// The workers, in the order of their ids.
    pub workers: Vec<Worker>,
    /// The number of entries in this answer.
    pub count: usize,
    /// The value of `after` for the next page; `null` at the end.
    pub next: Option<String>,
}
