//! The stream: a virtual actor that fans messages out to subscribers that cannot hurt each other.
//!
//! `class_queue` says what stays when there is no room, `backlog` where something is missing,
//! `pace` who is slow, and `outlet` puts the three together as the rules of one subscriber, without
//! a clock or a lock. `inbox` is the lock around them where the actor and its subscriber meet, and
//! `audience` is all of those together. `numbering` tells what a client that comes back has seen.

mod actor;
mod audience;
mod backlog;
mod change_config;
mod class;
mod class_queue;
mod config;
mod deletion;
mod error;
mod event;
mod handle;
mod handler;
mod inbox;
mod numbering;
mod outlet;
mod pace;
mod retained;
mod stats;
mod subscriber;
mod tally;
mod verb;

pub use class::{Class, InvalidClass, PerClass};
pub use class_queue::{CONTROL_MAX, ClassQueue, Pushed};
pub use config::{OnSlow, StreamConfig, StreamLimits};
pub use error::StreamError;
pub use event::{End, Gap, JsonPieces, Message, Notice, StreamEvent, SubscriberId};
pub use handle::Topic;
pub use numbering::{EventId, InvalidEventId};
pub use stats::{
    Counts, Published, SEND_BOUNDS, StreamStats, StreamTotals, SubscriberStats, SubscriberStatus,
};
pub use subscriber::Subscriber;
pub use verb::{Publish, Subscribe};
