//! Why a gate refuses.

use lanekeeper_storage::record::Rate;
use std::time::Duration;

use lanekeeper_storage::{LoadError, key::Priority};

use crate::actor::{
    error::{AskError, NotExecuted},
    id::InvalidId,
};

/// Why a verb of a gate failed. A refusal changes nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GateError {
    /// The gate's id breaks a rule.
    #[error("gate id: {0}")]
    InvalidId(#[from] InvalidId),
    /// The owner's name breaks a rule of ids.
    #[error("owner: {0}")]
    InvalidOwner(InvalidId),
    /// A priority is out of bounds.
    #[error("priority must be an integer from 0 to {}, not {number}", Priority::MAX.get())]
    InvalidPriority {
        /// What was asked for.
        number: u32,
    },
    /// What an owner is grouped by breaks a rule.
    #[error("group: {reason}")]
    InvalidGroup {
        /// The rule.
        reason: String,
    },
    /// A timeout is too long.
    #[error(
        "timeout must be from 0 to {} ms, not {} ms",
        .timeout_max.as_millis(),
        .timeout.as_millis()
    )]
    InvalidTimeout {
        /// How long was asked for.
        timeout: Duration,
        /// How long may be.
        timeout_max: Duration,
    },
    /// A ttl is too short or too long.
    #[error("ttl must be from 1000 to 43200000 ms, not {} ms", .ttl.as_millis())]
    InvalidTtl {
        /// How long was asked for.
        ttl: Duration,
    },
    /// A policy is out of bounds.
    #[error("{field}: {reason}")]
    InvalidPolicy {
        /// The field.
        field: &'static str,
        /// Its bound.
        reason: &'static str,
    },
    /// A page of a list is too small or too large.
    #[error("limit must be from 1 to {limit_max}, not {limit}")]
    InvalidLimit {
        /// What was asked for.
        limit: usize,
        /// The largest page.
        limit_max: usize,
    },
    /// The gate lets nobody in for now.
    #[error("the gate is paused")]
    Paused,
    /// As many wait as may.
    #[error("the wait queue of the gate is full: {current} owners wait, at most {limit} may")]
    Full {
        /// Owners that wait.
        current: u32,
        /// Owners that may.
        limit: u32,
        /// When one of them is likely to be let in.
        retry_after: Duration,
    },
    /// The quota is used up.
    #[error("the quota of {limit} in {} s is used up", .window.as_secs())]
    QuotaExceeded {
        /// Owners accepted in the window.
        limit: u64,
        /// The window.
        window: Duration,
        /// When the next one is accepted, if nobody comes first.
        retry_after: Duration,
    },
    /// The rate is used up.
    #[error("the rate of {rate} is used up")]
    RateLimited {
        /// How often owners are accepted.
        rate: Rate,
        /// When the next one is accepted, if nobody comes first.
        retry_after: Duration,
    },
    /// No permit became free in time.
    #[error("no permit became free within {} ms", .waited.as_millis())]
    TimedOut {
        /// How long the owner waited.
        waited: Duration,
    },
    /// The owner left the line while it was waited for.
    #[error("the owner was removed from the wait queue")]
    Cancelled,
    /// The owner gave way to a newcomer, as the policy has it.
    #[error("the owner was removed from the full wait queue for a newcomer")]
    GaveWay,
    /// The gate cannot be deleted while somebody is at it.
    #[error(
        "{held} permits are held and {waiting} owners wait: let them end first, or force the \
         deletion"
    )]
    InUse {
        /// Permits that are held.
        held: u32,
        /// Owners that wait.
        waiting: u32,
    },
    /// The owner holds a permit: it can be released, not cancelled.
    #[error("the owner holds a permit and cannot be cancelled: release the permit")]
    Granted,
    /// The owner neither waits nor holds a permit.
    #[error("the owner neither waits at the gate nor holds a permit")]
    TicketNotFound,
    /// The owner holds no permit.
    #[error("the owner holds no permit of the gate")]
    PermitNotFound,
    /// The store failed to deliver what the answer needs. Nothing was changed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The actor gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// What keeps an owner out. Of several, the first in this order is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockedBy {
    /// The node shuts down.
    Drain,
    /// The gate is paused.
    Pause,
    /// The line is full.
    Full,
    /// The quota is used up.
    Quota,
    /// The rate is used up.
    Rate,
    /// Every permit is held: of the gate, or of one of the owner's groups.
    Concurrency,
}

impl BlockedBy {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Pause => "pause",
            Self::Full => "full",
            Self::Quota => "quota",
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
        }
    }
}

impl GateError {
    /// What keeps the owner out, if that is why the verb failed.
    pub fn blocked_by(&self) -> Option<BlockedBy> {
        Some(match self {
            Self::Paused => BlockedBy::Pause,
            Self::Full { .. } | Self::GaveWay => BlockedBy::Full,
            Self::QuotaExceeded { .. } => BlockedBy::Quota,
            Self::RateLimited { .. } => BlockedBy::Rate,
            Self::TimedOut { .. } => BlockedBy::Concurrency,
            Self::Ask(AskError::NotExecuted(NotExecuted::ShuttingDown)) => BlockedBy::Drain,
            _ => return None,
        })
    }

    /// When to come back, where the gate knows.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full { retry_after, .. }
            | Self::QuotaExceeded { retry_after, .. }
            | Self::RateLimited { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}
