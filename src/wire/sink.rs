//! Where the messages of a queue are delivered to.

use std::{collections::BTreeMap, time::Duration};

use lanekeeper_actors::queue;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::convert::millis;

/// A sink: a webhook that gets the messages of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    /// The address, http:// or https://, without a user or a fragment.
    #[schema(min_length = 1, max_length = 2048)]
    pub url: String,
    /// The largest number of deliveries at once.
    #[serde(default = "concurrency")]
    #[schema(minimum = 1, maximum = 100, default = 5)]
    pub max_concurrency: u32,
    /// The longest delivery, and the lease of a receiver that answers 202, in milliseconds.
    #[serde(default = "lease_ttl")]
    #[schema(minimum = 1000, maximum = 43200000, default = 30000)]
    pub lease_ttl_ms: u64,
    /// Headers that are sent with each message, such as `{"authorization":"Bearer …"}`: at most 20.
    /// Values are never shown: each is answered as `********`, which stands for the present value
    /// as long as the address names the same host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// What stands for the value of a header.
pub(crate) const HIDDEN: &str = "********";

/// A sink and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SinkView {
    /// The settings.
    #[serde(flatten)]
    pub sink: Sink,
    /// The reason why it is not delivered to, if the node has more sinks than allowed: it starts
    /// when another one is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

/// The answer to the removal of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SinkRemoved {
    /// Always `true`: a refusal is a problem document.
    pub removed: bool,
}

fn concurrency() -> u32 {
    queue::Sink::new("").concurrency_max
}

fn lease_ttl() -> u64 {
    millis(queue::Sink::new("").lease_ttl)
}

impl From<queue::Sink> for Sink {
    fn from(sink: queue::Sink) -> Self {
        let lease_ttl_ms = millis(sink.lease_ttl);
        let hidden = |(name, _): (&str, &str)| (name.to_owned(), HIDDEN.to_owned());
        let headers = sink.headers.iter().map(hidden).collect();
        Self { url: sink.url, max_concurrency: sink.concurrency_max, lease_ttl_ms, headers }
    }
}

impl From<Sink> for queue::Sink {
    fn from(sink: Sink) -> Self {
        let lease_ttl = Duration::from_millis(sink.lease_ttl_ms);
        let headers = sink.headers.into_iter().collect();
        Self { url: sink.url, concurrency_max: sink.max_concurrency, lease_ttl, headers }
    }
}
