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

mod access;
mod dispatch;
mod error_mapping;
pub(crate) mod http;
mod lifecycle;
mod listen;
mod metrics;
mod openapi;
mod options;
mod request_log;
mod resource;
mod router;
mod socket;

#[doc(hidden)]
pub use crate::wire;
pub use access::{
    auth::{InvalidToken, Token},
    door::{Caller, Door, Forbidden, RequestSource},
};
pub use lifecycle::{Server, ServerHandle};
pub use options::{BindError, ServerOptions, SocketOptions};
