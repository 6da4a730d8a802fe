//! The queue: a virtual actor that holds messages in priority order.

mod actor;
mod aged;
mod bucket;
mod bury;
mod change_config;
mod config;
mod consume;
mod consumption;
mod departure;
mod depths;
mod due;
mod error;
mod grant;
mod handle;
mod handler;
mod handling;
mod held;
mod item;
mod lanes;
mod layer;
mod lease;
mod leasing;
mod life;
mod line;
mod list;
mod message;
#[cfg(test)]
mod model;
mod patience;
mod permit;
mod place;
mod push;
mod recognise;
mod redrive;
mod retry;
mod rise;
mod rules;
mod serve;
mod settings;
mod settle;
mod settlement;
mod sink;
mod source;
mod stats;
mod survey;
mod tail;
mod take;
mod tally;
#[cfg(test)]
mod trial;
mod verb;
mod wake;
mod window;
mod work;

pub(crate) use actor::QueueActor;
pub use config::{OnExpire, OnFull, Paused, QueueConfig, QueueLimits, Rate};
pub use consume::{ConsumeOptions, Consumer, ConsumerStats};
pub(crate) use departure::follow;
pub use depths::{DepthList, ListDepths, QueueDepth};
pub use error::QueueError;
pub use handle::Queue;
pub use item::{IntoItem, InvalidItem, Item};
pub use lease::{InvalidLeaseToken, LeaseError, LeaseToken};
pub use leasing::LeaseMessages;
pub use list::{ListQueues, QueueList};
pub use message::{
    DeadLetter, InvalidMessageId, Message, MessageId, MessageState, NewMessage, Page, Pushed,
};
pub use retry::{Failure, Retry};
pub use settlement::{Extended, Settled};
pub(crate) use sink::install;
pub use sink::{ListSinks, Sink, SinkChange, SinkChanges, SinkHeaders, SinkList};
pub use source::LeaseSource;
pub use stats::{PriorityStats, QueueStats, QueueTotals};
pub use verb::{Peek, Pop, Push};
pub use work::{LEASES_MAX, Lease, NackOptions, Redrive};
