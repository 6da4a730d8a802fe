//! Why a queue refuses.

use std::time::Duration;

use lanekeeper_storage::{LoadError, key::Priority};

use super::{InvalidItem, InvalidMessageId};
use crate::{AskError, InvalidId};

/// Why a verb of a queue failed. A refusal changes nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue's id breaks a rule.
    #[error("queue id: {0}")]
    InvalidId(#[from] InvalidId),
    /// A payload is no item.
    #[error(transparent)]
    InvalidItem(#[from] InvalidItem),
    /// A priority is out of bounds.
    #[error("priority must be an integer from 0 to {}, not {number}", Priority::MAX.get())]
    InvalidPriority {
        /// What was asked for.
        number: u32,
    },
    /// Too few or too many messages in one push.
    #[error("items must hold 1 to {count_max} messages, not {count}")]
    InvalidItems {
        /// How many there were.
        count: usize,
        /// How many there may be.
        count_max: usize,
    },
    /// Too few or too many messages asked for.
    #[error("depth must be from 1 to {depth_max}, not {depth}")]
    InvalidDepth {
        /// How many were asked for.
        depth: usize,
        /// How many may be.
        depth_max: usize,
    },
    /// A wait is too long.
    #[error("wait must be from 0 to {} ms, not {} ms", .wait_max.as_millis(), .wait.as_millis())]
    InvalidWait {
        /// How long was asked for.
        wait: Duration,
        /// How long may be.
        wait_max: Duration,
    },
    /// Too few or too many entries of a list asked for.
    #[error("limit must be from 1 to {limit_max}, not {limit}")]
    InvalidLimit {
        /// How many were asked for.
        limit: usize,
        /// How many may be.
        limit_max: usize,
    },
    /// A message id is none.
    #[error(transparent)]
    InvalidMessageId(#[from] InvalidMessageId),
    /// A setting is out of bounds.
    #[error("{field}: {reason}")]
    InvalidConfig {
        /// The setting.
        field: &'static str,
        /// Its bound.
        reason: &'static str,
    },
    /// A payload is too large.
    #[error("item has {bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The verb is paused.
    #[error("{verb} is paused")]
    Paused {
        /// `push` or `pop`.
        verb: &'static str,
    },
    /// The queue is at its capacity and nothing in it gives way.
    #[error("the queue is full: it holds {current} of at most {capacity} messages")]
    Full {
        /// Messages held.
        current: u64,
        /// Messages held at most.
        capacity: u64,
    },
    /// There is no such message (any more).
    #[error("there is no such message in the queue")]
    MessageNotFound,
    /// The durability cannot enter or leave `memory` while the queue holds messages.
    #[error("durability: a queue enters or leaves memory only while it is empty; it holds {0}")]
    NotEmpty(u64),
    /// The store failed to deliver what the answer needs. Nothing was changed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The actor gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}
