//! The stream: a virtual actor that fans messages out to subscribers that cannot hurt each other.
//!
//! `state::class_queue` says what stays when there is no room, `state::send_queue` where something
//! is missing, `state::drain_rate` who is slow, and `state::subscriber_state` puts the three
//! together as the rules of one subscriber, without a clock or a lock. `state::shared_buffer` is
//! the lock around them where the actor and its subscriber meet, and `state::subscriber_set` is all
//! of those together. `state::numbering` tells what a client that comes back has seen.

mod actor;
mod api;
mod state;
mod verb;

pub use api::{
    config::{OnSlow, StreamConfig, StreamLimits},
    error::StreamError,
    event::{End, Gap, JsonPieces, Message, Notice, StreamEvent, SubscriberId},
    handle::Topic,
    priority_class::{Class, InvalidClass, PerClass},
    requests::{Publish, Subscribe},
    stats::{
        Counts, Published, SEND_BOUNDS, StreamStats, StreamTotals, SubscriberStats,
        SubscriberStatus,
    },
    subscriber::Subscriber,
};
pub use state::{
    class_queue::{CONTROL_MAX, ClassPushed, ClassQueue},
    numbering::{EventId, InvalidEventId},
};
