//! Sinks: the messages of a queue, posted to an address.
//!
//! A [sink](crate::queue::Sink) belongs to its queue and survives restarts. While
//! [`run`] is at work, and as `lanekeeper serve` has it, each message is leased
//! and posted, byte for byte, with what is known of it in headers: `Lanekeeper-Queue`,
//! `Lanekeeper-Message-Id`, `Lanekeeper-Priority`, `Lanekeeper-Deliveries`, `Lanekeeper-Lease`,
//! `Lanekeeper-Lease-Expires-At`. An answer of 2xx acks it, but 202 leaves that to the receiver,
//! who has the lease. Anything else, or no answer within nine tenths of the lease, gives it back
//! with a delay that doubles with each delivery, from 1 s to 5 min, half of it random.
//!
//! A message is delivered at least once: what was sent when the process died is sent again.
//!
//! ```no_run
//! use std::time::Duration;
//! use lanekeeper::{Lanekeeper, queue::Sink, sink::{self, SinkOptions}};
//!
//! # async fn deliver() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Lanekeeper::open("./data").await?;
//! let sinks = sink::run(node.clone(), SinkOptions::default());
//! node.queue("orders").set_sink(Sink::new("https://example.org/orders")).await?;
//! // …
//! sinks.stop(Duration::from_secs(10)).await;
//! node.shutdown(Duration::from_secs(10)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A receiver that cannot be reached costs no delivery, and one that fails three times in a row is
//! left alone for 1 s, and twice as long after each further failure up to 30 s; then one message
//! alone is tried, and the first that succeeds has the others follow at once. One that answers 429
//! or 503 with `Retry-After` is left alone for as long as it says, up to an hour.
//!
//! Redirects are not followed, no proxy is used, and no address is connected to that
//! [`AddressPolicy`] forbids.

pub(crate) mod address;
mod backoff;
mod circuit_breaker;
mod client;
mod delivery;
mod dispatcher;
pub(crate) mod header;
mod retry_after;
pub(crate) mod runner;
pub(crate) mod stats;
mod supervisor;
mod trusted_cas;

pub use address::{
    policy::{AddressPolicy, ForbiddenAddress},
    range::{InvalidNetwork, Network},
    target::{InvalidTarget, check_url},
};
pub use header::check_headers;
pub use runner::{SinkOptions, Sinks, run};
pub use stats::{SinkFigures, SinkStats};
pub use trusted_cas::{InvalidRoots, TrustedRoots};
