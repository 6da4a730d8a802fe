//! The queue: a virtual actor that holds messages in priority order.

mod config;
mod error;
mod item;
mod message;
mod stats;

pub use config::{OnFull, Paused, QueueConfig, QueueLimits};
pub use error::QueueError;
pub use item::{IntoItem, InvalidItem, Item};
pub use message::{InvalidMessageId, Message, MessageId, MessageState, NewMessage, Page};
pub use stats::{PriorityStats, QueueStats};
