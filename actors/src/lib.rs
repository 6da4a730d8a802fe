//! What is alive now: the virtual-actor runtime, and the built-in actors on it.
//!
//! An ask, end to end: [`ActorRef::ask`] → `registry` (which shard, which slot) → `activation`
//! (loaded, if it was not there) → `turn` (handled by the caller's own thread) → `store` (its
//! writes handed to the engine, the reply behind the output gate).

mod actor;
mod built_in;
pub mod gate;
mod maintenance;
mod node;
mod outbox;
pub mod queue;
mod runtime;
mod slab;
pub mod stream;
mod time;
mod token_bucket;
#[doc(hidden)]
pub use worker as liveness;
pub mod worker;

pub use actor::{
    actor_ref::ActorRef,
    ask::{Ask, AskFuture},
    caller::{Caller, poll_request},
    deferred_reply::{DeferredReply, ReplyHandle},
    error::{ActivateError, AskError, NotExecuted, Unknown},
    id::{ActorId, ID_LENGTH_MAX, InvalidId, check_id},
    virtual_actor::{Actor, Handler, LoadContext, Request, VirtualActor},
};
pub use lanekeeper_storage::{
    CheckReport, CommitError, Durability, EngineStatus, LoadError, OpenError, Salvage,
    SavedMessage, check, decode_state,
};
pub use node::{
    builder::NodeBuilder,
    event::{Event, EventError, EventReceiver},
    lifecycle::{Node, NodeStatus, ShutdownError},
    list::List,
};
pub use runtime::{
    commit_barrier::Store,
    memory_budget::{MemoryBudget, MemoryFull, MemoryPermit, MemoryUse},
    turn::Turn,
};
pub use time::{
    clock::{Clock, ManualSleep, Sleep},
    reminder::{Reminder, ReminderError},
    timer::ArmedTimer,
};

/// The former name of [`AskFuture`].
#[deprecated(note = "it is called `AskFuture`")]
pub type Asking<'a, A, R> = AskFuture<'a, A, R>;
/// The former name of [`DeferredReply`].
#[deprecated(note = "it is called `DeferredReply`")]
pub type Deferred<T> = DeferredReply<T>;
/// The former name of [`LoadContext`].
#[deprecated(note = "it is called `LoadContext`")]
pub type Origin<'a> = LoadContext<'a>;
/// The former name of [`ReplyHandle`].
#[deprecated(note = "it is called `ReplyHandle`")]
pub type Promise<T> = ReplyHandle<T>;
