//! What is alive now: the virtual-actor runtime, and the built-in actors on it.
//!
//! An ask, end to end: [`ActorRef::ask`] → `registry` (which shard, which slot) → `activation`
//! (loaded, if it was not there) → `turn` (handled by the caller's own thread) → `store` (its
//! writes handed to the engine, the reply behind the output gate).

mod activation;
mod actor;
mod actor_ref;
mod advance;
mod ask;
mod built_in;
mod caller;
mod chain;
mod clock;
mod deferred;
mod delivery;
mod duty;
mod error;
mod event;
pub mod gate;
mod id;
mod kind;
mod list;
pub mod liveness;
mod memory;
mod node;
mod node_builder;
mod outbox;
mod passivation;
pub mod queue;
mod registry;
mod reminder;
mod request;
mod runtime;
mod service;
mod setting;
mod shared;
mod slab;
mod stamp;
mod store;
pub mod stream;
mod timer;
mod turn;

pub use actor::{Actor, Handler, Origin, Request, VirtualActor};
pub use actor_ref::ActorRef;
pub use ask::{Ask, Asking};
pub use caller::{Caller, poll_request};
pub use clock::{Clock, ManualSleep, Sleep};
pub use deferred::{Deferred, Promise};
pub use error::{ActivateError, AskError, NotExecuted, Unknown};
pub use event::{Event, EventError, EventReceiver};
pub use id::{ActorId, ID_LENGTH_MAX, InvalidId, check_id};
pub use lanekeeper_storage::{
    CheckReport, CommitError, Durability, EngineStatus, LoadError, OpenError, Salvage,
    SavedMessage, check, decode_state,
};
pub use list::List;
pub use memory::{MemoryBudget, MemoryFull, MemoryPermit, MemoryUse};
pub use node::{Node, NodeStatus, ShutdownError};
pub use node_builder::NodeBuilder;
pub use reminder::{Reminder, ReminderError};
pub use store::Store;
pub use timer::ArmedTimer;
pub use turn::Turn;
