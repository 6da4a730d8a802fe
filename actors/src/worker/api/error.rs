//! Why liveness refuses.

use lanekeeper_storage::{CommitError, LoadError};

use crate::{
    actor::{
        error::{AskError, NotExecuted, Unknown},
        id::InvalidId,
    },
    queue::api::item::InvalidItem,
};

/// Why a verb of a worker failed. A refusal changes nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LivenessError {
    /// The worker's id breaks a rule.
    #[error("worker id: {0}")]
    InvalidId(#[from] InvalidId),
    /// What the worker says of itself is no JSON object.
    #[error("meta: {0}")]
    InvalidMeta(String),
    /// What the worker says of itself is too large.
    #[error("meta has {bytes} bytes; at most {bytes_max} are allowed")]
    MetaTooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// What all workers say of themselves is too large together.
    #[error("the meta of all workers would be {bytes} bytes; at most {bytes_max} are kept")]
    MetasTooLarge {
        /// Its size with this one.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// So many workers are online that another one cannot be kept.
    #[error("{workers_max} workers are online, and no more are allowed")]
    FleetFull {
        /// The bound.
        workers_max: usize,
    },
    /// So many departures wait to be told that another one cannot be kept.
    #[error("{departures_max} offline events wait for their handlers, and no more are kept")]
    TooManyUntold {
        /// The bound.
        departures_max: usize,
    },
    /// No such worker was ever seen, or it was forgotten.
    #[error("the worker was never seen")]
    NotFound,
    /// Too few or too many entries of a list asked for.
    #[error("limit must be from 1 to {limit_max}, not {limit}")]
    InvalidLimit {
        /// How many were asked for.
        limit: usize,
        /// How many may be.
        limit_max: usize,
    },
    /// The store failed to deliver what is known of the workers.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The beat was not taken ([`AskError::NotExecuted`]), what it changes was refused by the store
    /// ([`AskError::Refused`]), or whether that is written is not known ([`AskError::Unknown`]).
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
