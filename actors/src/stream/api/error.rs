//! Why a stream refuses.

use lanekeeper_storage::LoadError;

use crate::{
    actor::{error::AskError, id::InvalidId},
    queue::api::item::InvalidItem,
    stream::api::{event::SubscriberId, priority_class::InvalidClass},
};

/// Why a verb of a stream failed. A refusal changes nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// The topic breaks a rule of ids.
    #[error("topic: {0}")]
    InvalidId(#[from] InvalidId),
    /// A payload is no JSON object.
    #[error("{}", about_data(.0))]
    InvalidData(#[from] InvalidItem),
    /// A word names no class.
    #[error(transparent)]
    InvalidClass(#[from] InvalidClass),
    /// A payload is too large.
    #[error("data has {bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// Too few or too many messages to wait.
    #[error("queue_max must be from 1 to {most}, not {count}")]
    InvalidQueueMax {
        /// How many were asked for.
        count: usize,
        /// How many may be.
        most: usize,
    },
    /// The stream has as many subscribers as it may.
    #[error("the stream has {subscribers_max} subscribers, and no more are allowed")]
    TooManySubscribers {
        /// The bound.
        subscribers_max: usize,
    },
    /// There is no such subscriber (any more).
    #[error("the stream has no subscriber {0}")]
    SubscriberNotFound(SubscriberId),
    /// A setting is out of bounds.
    #[error("{reason}")]
    InvalidConfig {
        /// The setting.
        field: &'static str,
        /// Its bound.
        reason: &'static str,
    },
    /// The store failed to deliver what the answer needs. Nothing was changed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The actor gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// A payload is an item of its own name.
fn about_data(error: &InvalidItem) -> String {
    match error {
        InvalidItem::NotAnObject { found } => format!("data must be one JSON object, not {found}"),
        InvalidItem::NotJson(reason) => format!("data is not valid JSON: {reason}"),
    }
}
