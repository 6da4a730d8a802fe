//! The queue: a virtual actor that holds messages in priority order.

mod actor;
mod config;
mod error;
mod handle;
mod handler;
mod item;
mod lanes;
mod line;
mod list;
mod message;
#[cfg(test)]
mod model;
mod place;
mod push;
mod rules;
mod settings;
mod stats;
mod survey;
mod tail;
mod take;
#[cfg(test)]
mod trial;
mod verb;
mod window;

pub use config::{OnFull, Paused, QueueConfig, QueueLimits};
pub use error::QueueError;
pub use handle::Queue;
pub use item::{IntoItem, InvalidItem, Item};
pub use list::{ListQueues, QueueList};
pub use message::{InvalidMessageId, Message, MessageId, MessageState, NewMessage, Page};
pub use stats::{PriorityStats, QueueStats};
pub use verb::{Peek, Pop, Push};
