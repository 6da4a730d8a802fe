//! What is said of workers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Whether a worker is taken to be alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStatus {
    /// It was seen lately.
    Online,
    /// It was not, or it said goodbye.
    Offline,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Beat {
    /// Always `online`: a refusal is a problem document.
    pub status: WorkerStatus,
    /// Whether to take no new work, because the server is shutting down.
    pub drain: bool,
    /// The number of the worker's life, to be given with its next heartbeats, its leases and its
    /// farewell.
    #[serde(default)]
    pub life: u64,
}

/// The answer to a farewell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deregistered {
    /// Always `offline`: a refusal is a problem document.
    pub status: WorkerStatus,
}

/// What is known of a worker.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its id.
    pub id: String,
    /// Whether it is taken to be alive.
    pub status: WorkerStatus,
    /// When it was last seen, in Unix milliseconds.
    pub last_seen_at: u64,
    /// When it was seen for the first time, in Unix milliseconds.
    pub first_seen_at: u64,
    /// Since when it is offline, in Unix milliseconds; `null` while it is online.
    pub offline_since: Option<u64>,
    /// What it last said of itself; `null` if it never did.
    #[schema(value_type = Option<Object>)]
    pub meta: Option<Box<RawValue>>,
}

/// A page of the workers there are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct WorkerList {
    /// The workers, in the order of their ids.
    pub workers: Vec<Worker>,
    /// How many there are.
    pub count: usize,
    /// What to send as `after` for the next page; `null` at the end.
    pub next: Option<String>,
}
