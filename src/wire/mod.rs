//! What travels over HTTP, as types: what the server answers and what a client reads.
//!
//! Times are integers in milliseconds, instants Unix milliseconds. A payload is kept byte for byte.

pub(crate) mod convert;
mod convert_gate;
mod convert_lease;
mod convert_stream;
mod convert_worker;
pub(crate) mod gate;
pub(crate) mod lease;
pub(crate) mod queue;
mod rate;
pub(crate) mod service;
pub(crate) mod sink;
pub(crate) mod stream;
pub(crate) mod worker;

pub use gate::{
    ActionStats, AgeCount, AppliedPolicy, Extended, GatePaused, GatePolicy, GateQuota, GateRate,
    GateStats, GateWaits, OnFullLine, QuotaPeriod, Released, Ticket,
};
pub use lease::{
    Acked, ExtendedLease, ExtendedLeases, FailedLease, Leased, LeasedMessage, MovedToDeadLetters,
    Nacked, Redriven,
};
pub use queue::{
    Cancelled, Config, DeadLetter, Duplicate, Durability, Message, Messages, OnExpire, OnFull,
    Page, PauseState, PeekState, Popped, PriorityStats, Promoted, Purged, Pushed, QueueDepth,
    QueueDepths, QueueList, Rate, Stats, Verbs,
};
pub use rate::PerSecond;
pub use service::{Deleted, Health, Problem, Version};
pub use sink::{Sink, SinkRemoved, SinkView};
pub use stream::{
    Class, Counts, OnSlow, PerClass, Published, StreamConfig, StreamStats, SubscriberStats,
};
pub use worker::{Beat, Deregistered, Worker, WorkerList, WorkerStatus};
