//! The queue: a virtual actor that holds messages in priority order.

pub(crate) mod actor;
pub(crate) mod api;
mod consumer;
mod listing;
pub(crate) mod setting;
mod state;
#[cfg(test)]
mod testing;
pub(crate) mod verb;

pub use api::{
    config::{OnExpire, OnFull, Paused, QueueConfig, QueueLimits, Rate},
    error::QueueError,
    handle::Queue,
    item::{IntoItem, InvalidItem, Item},
    lease_handle::{LEASES_MAX, Lease, NackOptions, Redrive},
    lease_request::LeaseMessages,
    lease_token::{InvalidLeaseToken, LeaseError, LeaseToken},
    message::{
        DeadLetter, InvalidMessageId, Message, MessageId, MessageState, NewMessage, Page, Pushed,
    },
    requests::{Peek, Pop, Push},
    stats::{PriorityStats, QueueStats, QueueTotals},
};
pub use consumer::{
    lease_source::LeaseSource,
    options::{ConsumeOptions, Consumer, ConsumerStats},
    retry::{HandlerFailure, Retry},
};
pub use listing::{
    counts::QueueCounts,
    depths::{DepthList, ListDepths, QueueDepth},
    ids::{ListQueues, QueueList},
};
pub use setting::sink::{ListSinks, Sink, SinkChange, SinkChanges, SinkHeaders, SinkList};
pub use verb::{
    inspect::{DueCursor, DueMessage, DuePage, InvalidDueCursor, PeekDue},
    settle::{ExtendedLeases, SettledLeases},
};

/// The former name of [`ExtendedLeases`].
#[deprecated(note = "it is called `ExtendedLeases`")]
pub type Extended = ExtendedLeases;
/// The former name of [`HandlerFailure`].
#[deprecated(note = "it is called `HandlerFailure`")]
pub type Failure = HandlerFailure;
/// The former name of [`SettledLeases`].
#[deprecated(note = "it is called `SettledLeases`")]
pub type Settled = SettledLeases;
