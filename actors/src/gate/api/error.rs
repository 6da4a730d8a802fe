//! Why a gate refuses.

use lanekeeper_storage::record::Rate;
use std::time::Duration;

use lanekeeper_storage::{LoadError, key::Priority};

use crate::actor::{
    error::{AskError, NotExecuted},
    id::InvalidId,
};

/// The reason why a verb of a gate failed. A refusal changes nothing.
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
    /// A group of an owner breaks a rule.
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
    /// The gate is paused.
    #[error("the gate is paused")]
    Paused,
    /// The wait queue is full.
    #[error("the wait queue of the gate is full: {current} owners wait, at most {limit} may")]
    Full {
        /// Waiting owners.
        current: u32,
        /// The largest number of waiting owners.
        limit: u32,
        /// The estimated time until one of them is granted.
        retry_after: Duration,
    },
    /// The quota is used up.
    #[error("the quota of {limit} in {} s is used up", .window.as_secs())]
    QuotaExceeded {
        /// Owners accepted in the window.
        limit: u64,
        /// The window.
        window: Duration,
        /// The time until the next owner is accepted.
        retry_after: Duration,
    },
    /// The rate is used up.
    #[error("the rate of {rate} is used up")]
    RateLimited {
        /// How often owners are accepted.
        rate: Rate,
        /// The time until the next owner is accepted.
        retry_after: Duration,
    },
    /// No permit became free in time.
    #[error("no permit became free within {} ms", .waited.as_millis())]
    TimedOut {
        /// How long the owner waited.
        waited: Duration,
    },
    /// The owner was cancelled while it waited.
    #[error("the owner was removed from the wait queue")]
    Cancelled,
    /// The owner was removed for a newcomer, by the policy.
    #[error("the owner was removed from the full wait queue for a newcomer")]
    GaveWay,
    /// The gate has owners and cannot be deleted.
    #[error(
        "{held} permits are held and {waiting} owners wait: let them end first, or force the \
         deletion"
    )]
    InUse {
        /// Permits that are held.
        held: u32,
        /// Waiting owners.
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
    /// The actor did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// The reason why no permit is granted; of several, the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockedBy {
    /// The node is shutting down.
    Drain,
    /// The gate is paused.
    Pause,
    /// The wait queue is full.
    Full,
    /// The quota is used up.
    Quota,
    /// The rate is used up.
    Rate,
    /// Every permit of the gate, or of a group of the owner, is held.
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
    /// The reason why no permit is granted, if the verb failed because of that.
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

    /// The time after which to try again, if the gate knows it.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full { retry_after, .. }
            | Self::QuotaExceeded { retry_after, .. }
            | Self::RateLimited { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}
