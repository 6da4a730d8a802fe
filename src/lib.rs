//! Lanekeeper: durable priority queues on a virtual-actor runtime, as a crate to embed and as one
//! binary that serves the same over HTTP.
//!
//! ```
//! use lanekeeper::Lanekeeper;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Lanekeeper::in_memory();
//! let orders = node.queue("tenant-7.orders");
//! orders.push(json!({"order": 41})).await?;
//! orders.push(json!({"order": 42})).priority(0).await?;
//! let popped = orders.pop(10).await?;
//! assert_eq!(popped[0].item.as_str(), r#"{"order":42}"#);
//! # Ok(())
//! # }
//! ```
//!
//! [`Lanekeeper::open`] keeps everything in a data directory, [`Lanekeeper::builder`] takes
//! settings, [`server`] serves a node over HTTP, and [`VirtualActor`] is where one's own actors
//! begin.
//!
//! # The path of a push
//!
//! `main` → `cli::command::serve` opens the node and binds the server. Then, for each request:
//!
//! 1. `server::dispatch` admits it: the size of its head, the token, the route, whether the node
//!    serves.
//! 2. `server::resource::queue` reads its body and calls [`queue::Queue::push`]. An embedder
//!    starts here.
//! 3. The handle asks the queue's actor: `actor::actor_ref` → `runtime::directory` →
//!    `runtime::activation` → `runtime::turn`, on the thread of the request.
//! 4. The turn hands its writes to the commit: `runtime::commit_barrier` → the engine's journal.
//! 5. The reply waits behind the commit barrier until they are as durable as promised.
//! 6. `server::http::response` writes it; had it been refused, `server::error_mapping` says with
//!    which code and `server::http::problem` writes that.

pub mod docs;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
#[doc(hidden)]
pub use webhook as sink;
#[cfg(feature = "server")]
pub mod webhook;
#[cfg(feature = "server")]
pub mod wire;

#[doc(hidden)]
pub use lanekeeper_actors::worker as liveness;
pub use lanekeeper_actors::{
    ActivateError, Actor, ActorId, ActorRef, ArmedTimer, Ask, AskError, AskFuture, CheckReport,
    Clock, CommitError, DeferredReply, Durability, EngineStatus, Event, EventError, EventReceiver,
    Handler, ID_LENGTH_MAX, InvalidId, LoadContext, LoadError, ManualSleep, MemoryBudget,
    MemoryFull, MemoryPermit, MemoryUse, Node as Lanekeeper, NodeBuilder, NodeStatus, NotExecuted,
    OpenError, Reminder, ReminderError, ReplyHandle, Request, Salvage, SavedMessage, ShutdownError,
    Sleep, Store, Turn, Unknown, VirtualActor, check, check_id, decode_state, gate, queue, stream,
    worker,
};
#[expect(deprecated, reason = "former names, for one release")]
pub use lanekeeper_actors::{Asking, Deferred, Origin, Promise};
/// Makes a [`serde_json::Value`] in place, to be pushed.
pub use serde_json::json;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
