//! What is said of a worker.

use std::{fmt, str::FromStr, sync::Arc, time::SystemTime};

use crate::queue::api::item::Item;

pub use lanekeeper_storage::record::OfflineCause;

/// Whether a worker is taken to be alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkerStatus {
    /// It was seen lately.
    Online,
    /// It was not, or it said goodbye.
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
    /// What the worker is now: online.
    pub status: WorkerStatus,
    /// Whether the worker should take no new work, because the node is shutting down.
    pub drain: bool,
    /// The number of the worker's life, to be given with its next heartbeats, its leases and its
    /// farewell.
    pub life: u64,
}

/// What is known of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Who it is.
    pub id: Arc<str>,
    /// Whether it is taken to be alive.
    pub status: WorkerStatus,
    /// When it was seen for the first time.
    pub first_seen_at: SystemTime,
    /// When it was last seen. A crash of the node takes this back by one flush at most.
    pub last_seen_at: SystemTime,
    /// Since when it is offline, if it is.
    pub offline_since: Option<SystemTime>,
    /// What it last said of itself, if it ever did.
    pub meta: Option<Item>,
}

/// A worker that went offline, as followers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Later departures have larger numbers, restarts included: whoever keeps the largest one it
    /// has dealt with, together with what it did, deals with each departure exactly once.
    pub number: u64,
    /// Which worker.
    pub worker: Arc<str>,
    /// When: what the worker was given later is not of the life that has ended.
    pub at: SystemTime,
    /// Why.
    pub cause: OfflineCause,
    /// The number of the life that has ended: leases of later lives stay. `None` if nobody knows.
    pub life: Option<u64>,
}

impl Departure {
    /// Whether something that the worker was given at this time (Unix milliseconds), in this life
    /// if that was said, ends with it.
    pub(crate) fn ends(&self, given_ms: u64, life: Option<u64>) -> bool {
        match (life, self.life) {
            (Some(given), Some(ended)) => given <= ended,
            _ => given_ms <= crate::time::clock::unix_ms(self.at),
        }
    }
}
