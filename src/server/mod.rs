//! The HTTP server, to run in a process of one's own.
//!
//! ```no_run
//! use lanekeeper::{Lanekeeper, server::{Server, ServerOptions}};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Lanekeeper::open("./data").await?;
//! let server = Server::bind(node.clone(), ServerOptions::default())?;
//! println!("listening on http://{}", server.addr());
//! server.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! `listen` takes the address, `connection` is what a client speaks to, and `app` admits and counts
//! each request on its way to the file of its verb. From there it reaches the public handles; what
//! comes back is written by `answer` or, if it was refused, by `refusal` and `problem`. An answer
//! that does not end is a `socket`.

mod answer;
mod app;
mod auth;
mod body;
mod call;
mod code;
mod connection;
mod consume;
mod consumer;
mod cors;
mod counters;
mod descriptors;
mod door;
mod gate;
mod head;
mod lease;
mod list;
mod listen;
mod log;
mod merge;
mod message;
mod metrics;
mod openapi;
mod operation;
mod options;
mod parse;
mod pieces;
mod problem;
mod push;
mod query;
mod queue;
mod refusal;
mod route;
mod serve;
mod setting;
mod sink;
mod socket;
mod stream;
mod subscribe;
mod text;
pub mod wire;
mod worker;

pub use auth::{InvalidToken, Token};
pub use door::{Caller, Door, Forbidden, RequestSource};
pub use options::{BindError, ServerOptions, SocketOptions};
pub use serve::{Server, ServerHandle};
