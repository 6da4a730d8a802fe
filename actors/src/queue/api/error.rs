//! Why a queue refuses.

use std::time::{Duration, SystemTime};

use lanekeeper_storage::{LoadError, key::Priority};

use crate::{
    actor::{error::AskError, id::InvalidId},
    gate::api::error::BlockedBy,
    queue::api::{item::InvalidItem, lease_token::LeaseError, message::InvalidMessageId},
    runtime::memory_budget::MemoryFull,
};

/// The reason why a verb of a queue failed. A refusal changes nothing.
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
    /// A sink is out of bounds.
    #[error("{field} must be {bound}, not {found}")]
    InvalidSink {
        /// Which of its fields.
        field: &'static str,
        /// The bound.
        bound: &'static str,
        /// What was asked for; of a text, its bytes.
        found: u64,
    },
    /// A payload is too large.
    #[error("item has {bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A lease's time is out of bounds.
    #[error("ttl must be from 1000 ms (1 s) to 43200000 ms (12 h), not {} ms", .0.as_millis())]
    InvalidLeaseTtl(Duration),
    /// A message's time to live is out of bounds.
    #[error(
        "ttl must be from 1 to 31622400000 ms (366 days) and longer than the delay, not {} ms",
        .0.as_millis()
    )]
    InvalidMessageTtl(Duration),
    /// A delay is out of bounds.
    #[error("delay must be from 0 to 31622400000 ms (366 days), not {} ms", .0.as_millis())]
    InvalidDelay(Duration),
    /// A deduplication key is out of bounds.
    #[error("key must have 1 to 256 bytes, not {bytes}")]
    InvalidKey {
        /// Its size.
        bytes: usize,
    },
    /// A reason is too long.
    #[error("reason must have at most 1024 bytes, not {bytes}")]
    InvalidReason {
        /// Its size.
        bytes: usize,
    },
    /// The id of a worker breaks a rule of ids.
    #[error("worker: {0}")]
    InvalidWorker(InvalidId),
    /// Too few or too many leases to be settled together.
    #[error("leases must hold 1 to {count_max} tokens, not {count}")]
    InvalidLeases {
        /// How many there were.
        count: usize,
        /// How many there may be.
        count_max: usize,
    },
    /// There is no such lease, or it was settled.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The message is leased.
    #[error("the message is leased: only the holder of the lease can settle it")]
    Leased,
    /// An exclusive queue has messages under work.
    #[error("the queue is exclusive and a batch of it is leased")]
    Locked {
        /// When that ends, at most.
        until: SystemTime,
    },
    /// Too much in too little time.
    #[error("the rate of {verb} is used up: try again in {} ms", .retry_after.as_millis())]
    RateLimited {
        /// `push`, `pop` or `lease`.
        verb: &'static str,
        /// After how long there is room.
        retry_after: Duration,
    },
    /// The queue's gate has no permit for a lease now.
    #[error("lease: the gate {gate:?} has no free permit ({})", .blocked_by.as_str())]
    NoPermit {
        /// The id of the gate.
        gate: String,
        /// What keeps the queue out.
        blocked_by: BlockedBy,
        /// After how long there may be one, where the gate knows.
        retry_after: Option<Duration>,
    },
    /// The id leaves no room for that of the dead-letter queue.
    #[error("queue id: its dead-letter queue {id:?} would have more than {length_max} characters")]
    NoDeadLetterId {
        /// The id of the dead-letter queue.
        id: String,
        /// Characters an id may have.
        length_max: usize,
    },
    /// The verb is paused.
    #[error("{verb} is paused")]
    Paused {
        /// `push`, `pop` or `lease`.
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
    #[error("the message is not in the queue")]
    MessageNotFound,
    /// The queue cannot be deleted while messages are in it.
    #[error(
        "the queue holds {messages} messages, {leased} of them leased: purge it first, or force \
         its deletion"
    )]
    InUse {
        /// Messages in it, in whatever state.
        messages: u64,
        /// Those of them that are leased.
        leased: u64,
    },
    /// The durability cannot enter or leave `memory` while the queue holds messages.
    #[error(
        "durability: a queue enters or leaves memory only while it is empty; it holds {0} messages"
    )]
    NotEmpty(u64),
    /// There is no memory for a message of this size.
    #[error(transparent)]
    NoMemory(MemoryFull),
    /// The store failed to deliver what the answer needs. Nothing was changed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The actor gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}
