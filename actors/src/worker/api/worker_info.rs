//! What is said of a worker.

use std::{fmt, str::FromStr, sync::Arc, time::SystemTime};

use crate::queue::api::item::Item;

pub use lanekeeper_storage::record::OfflineCause;

/// The status of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkerStatus {
    /// It was seen recently.
    Online,
    /// It was not seen for too long, or deregistered.
    Offline,
}

impl WorkerStatus {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }
}

impl fmt::Display for WorkerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WorkerStatus {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = [Self::Online, Self::Offline].into_iter().find(|own| own.as_str() == word);
        known.ok_or_else(|| format!("{word:?} is not one of online, offline"))
    }
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The status of the worker: online.
    pub status: WorkerStatus,
    /// Whether the worker should take no new work, because the node is shutting down.
    pub drain: bool,
    /// The number of the worker's life, to send with its heartbeats, leases and deregistration.
    pub life: u64,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its id.
    pub id: Arc<str>,
    /// Its status.
    pub status: WorkerStatus,
    /// The time of its first heartbeat.
    pub first_seen_at: SystemTime,
    /// The time of its last heartbeat. A crash of the node sets it back by at most one flush.
    pub last_seen_at: SystemTime,
    /// The time it went offline; `None` while it is online.
    pub offline_since: Option<SystemTime>,
    /// Its metadata; `None` if it never sent any.
    pub meta: Option<Item>,
}

/// The event of a worker that went offline, for handlers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The number of the event; later ones are larger, also over restarts. A handler that stores
    /// the largest number together with its own changes handles each event exactly once.
    pub number: u64,
    /// The id of the worker.
    pub worker: Arc<str>,
    /// The time: leases and permits granted later are not of the life that has ended.
    pub at: SystemTime,
    /// Why.
    pub cause: OfflineCause,
    /// The number of the life that has ended: leases of later lives stay. `None` if it is not
    /// known.
    pub life: Option<u64>,
}

impl Departure {
    /// Whether a lease or permit granted at this time (Unix milliseconds), in this life if it is
    /// known, ends with the worker.
    pub(crate) fn ends(&self, given_ms: u64, life: Option<u64>) -> bool {
        match (life, self.life) {
            (Some(given), Some(ended)) => given <= ended,
            _ => given_ms <= crate::time::clock::unix_ms(self.at),
        }
    }
}
