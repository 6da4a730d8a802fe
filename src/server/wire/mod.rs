//! What travels over HTTP, as types: what the server answers and what a client reads.
//!
//! Times are integers in milliseconds, instants Unix milliseconds. A payload is kept byte for byte.

mod convert;
mod convert_gate;
mod gate;
mod lease;
mod lease_convert;
mod queue;
mod rate;
mod service;
mod sink;
mod stream;
mod stream_convert;
mod worker;
mod worker_convert;

pub(crate) use convert::{millis, unix_millis};
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
pub(crate) use sink::HIDDEN;
pub use sink::{Sink, SinkRemoved, SinkView};
pub use stream::{
    Class, Counts, OnSlow, PerClass, Published, StreamConfig, StreamStats, SubscriberStats,
};
pub use worker::{Beat, Deregistered, Worker, WorkerList, WorkerStatus};
