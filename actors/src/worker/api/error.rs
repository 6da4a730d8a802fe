//! Why liveness refuses.

use lanekeeper_storage::{CommitError, LoadError};

use crate::{
    actor::{
        error::{AskError, NotExecuted, Unknown},
        id::InvalidId,
    },
    queue::api::item::InvalidItem,
};

/// The reason why a verb of a worker failed. A refusal changes nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LivenessError {
    /// The worker's id breaks a rule.
    #[error("worker id: {0}")]
    InvalidId(#[from] InvalidId),
    /// The metadata is not a JSON object.
    #[error("meta: {0}")]
    InvalidMeta(String),
    /// The metadata is too large.
    #[error("meta has {bytes} bytes; at most {bytes_max} are allowed")]
    MetaTooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The metadata of all workers together would be too large.
    #[error("the meta of all workers would be {bytes} bytes; at most {bytes_max} are kept")]
    MetasTooLarge {
        /// Its size with this one.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The largest number of workers is online, so that no other can be added.
    #[error("{workers_max} workers are online, and no more are allowed")]
    FleetFull {
        /// The bound.
        workers_max: usize,
    },
    /// Too many offline events wait for their handlers.
    #[error("{departures_max} offline events wait for their handlers, and no more are kept")]
    TooManyUntold {
        /// The bound.
        departures_max: usize,
    },
    /// The worker was never seen, or was deleted.
    #[error("the worker was never seen")]
    NotFound,
    /// The size of a page is out of range.
    #[error("limit must be from 1 to {limit_max}, not {limit}")]
    InvalidLimit {
        /// The size given.
        limit: usize,
        /// The largest size.
        limit_max: usize,
    },
    /// The workers could not be read from the store.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The heartbeat was not accepted ([`AskError::NotExecuted`]), its change was refused by the
    /// store ([`AskError::Refused`]), or may or may not be written ([`AskError::Unknown`]).
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl LivenessError {
    /// The node takes no more beats.
    pub(crate) fn shutting_down() -> Self {
        Self::Ask(NotExecuted::ShuttingDown.into())
    }

    /// The store refused: nothing was changed.
    pub(crate) fn refused(error: CommitError) -> Self {
        Self::Ask(AskError::Refused(error))
    }

    /// What was written may be lost.
    pub(crate) fn unknown(error: CommitError) -> Self {
        Self::Ask(AskError::Unknown(Unknown::Commit(error)))
    }
}

impl From<InvalidItem> for LivenessError {
    fn from(error: InvalidItem) -> Self {
        Self::InvalidMeta(match error {
            InvalidItem::NotAnObject { found } => format!("must be one JSON object, not {found}"),
            InvalidItem::NotJson(reason) => format!("is not valid JSON: {reason}"),
        })
    }
}
