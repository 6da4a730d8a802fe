//! The kinds of requests that a load test knows.

use serde::{Deserialize, Serialize};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// One item into a queue.
    Push,
    /// The most urgent messages out of a queue.
    Pop,
    /// A push whose item is no object; right is a refusal as `invalid_item`.
    PushBadItem,
    /// A push of a negative priority; right is a refusal as `invalid_priority`.
    PushBadPriority,
    /// A pop of more than 100; right is a refusal as `invalid_depth`.
    PopBadDepth,
    /// A message to the subscribers of a stream.
    Publish,
    /// The most urgent messages, to be worked on; acks and nacks follow.
    Lease,
    /// The work on leased messages is done.
    Ack,
    /// Leased messages are given back.
    Nack,
    /// Up to 100 dead letters come back to the queue.
    Redrive,
}

impl Action {
    /// All there are.
    pub(crate) const ALL: [Self; 10] = [
        Self::Push,
        Self::Pop,
        Self::PushBadItem,
        Self::PushBadPriority,
        Self::PopBadDepth,
        Self::Publish,
        Self::Lease,
        Self::Ack,
        Self::Nack,
        Self::Redrive,
    ];

    /// Its name in reports and thresholds.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pop => "pop",
            Self::PushBadItem => "push_bad_item",
            Self::PushBadPriority => "push_bad_priority",
            Self::PopBadDepth => "pop_bad_depth",
            Self::Publish => "publish",
            Self::Lease => "lease",
            Self::Ack => "ack",
            Self::Nack => "nack",
            Self::Redrive => "redrive",
        }
    }

    /// Where it is posted: what comes before the name of the queue, and behind it.
    pub(crate) fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Push | Self::PushBadItem | Self::PushBadPriority => ("queue", "push"),
            Self::Pop | Self::PopBadDepth => ("queue", "pop"),
            Self::Publish => ("stream", "publish"),
            Self::Lease => ("queue", "lease"),
            Self::Ack => ("queue", "ack"),
            Self::Nack => ("queue", "nack"),
            Self::Redrive => ("queue", "redrive"),
        }
    }

    /// Whether it settles leases, and so follows a lease and nothing else.
    pub(crate) fn is_settling(self) -> bool {
        matches!(self, Self::Ack | Self::Nack)
    }

    /// The code of the refusal that is the right answer, where one is.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::PushBadItem => Some("invalid_item"),
            Self::PushBadPriority => Some("invalid_priority"),
            Self::PopBadDepth => Some("invalid_depth"),
            _ => None,
        }
    }
}
