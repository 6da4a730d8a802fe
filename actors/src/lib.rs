//! What is alive now: the virtual-actor runtime, and the built-in actors on it.

mod error;
mod id;
pub mod queue;

pub use error::{ActivateError, AskError, NotExecuted, Unknown};
pub use id::{ActorId, ID_LENGTH_MAX, InvalidId, check_id};
