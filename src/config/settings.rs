//! Settings as they are given: by flag, by environment variable, by file.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use lanekeeper::{Durability, sink::Network};
use serde::{Deserialize, Deserializer, de};

use crate::config::quantity::{ByteCount, HumanDuration};

/// What `serve` can be told. A field that is not given anywhere takes its default.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The address to listen on; port 0 picks a free one [default: 127.0.0.1:8000]
    ///
    /// An address off loopback requires a token.
    #[arg(long, env = "LANEKEEPER_LISTEN", value_name = "ADDR")]
    pub(crate) listen: Option<String>,

    /// The data directory, created if it does not exist [default: ./lanekeeper-data]
    #[arg(long, env = "LANEKEEPER_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// When a push is acknowledged: durable, relaxed or memory [default: durable]
    ///
    /// durable: after an fsync; nothing is lost on a kill or a power cut. relaxed: after the write
    /// to the journal; a power cut loses at most the flush interval. memory: at once; everything is
    /// lost when the process ends.
    #[arg(long, env = "LANEKEEPER_DURABILITY", value_name = "LEVEL")]
    pub(crate) durability: Option<Level>,

    /// Time between two fsyncs of relaxed commits [default: 50ms]
    #[arg(long, env = "LANEKEEPER_FLUSH_INTERVAL", value_name = "TIME")]
    pub(crate) flush_interval: Option<HumanDuration>,

    /// The time an actor stays in memory without a request [default: 5m]
    #[arg(long, env = "LANEKEEPER_IDLE_TIMEOUT", value_name = "TIME")]
    pub(crate) idle_timeout: Option<HumanDuration>,

    /// The largest number of actors in memory; the longest idle leave first [default: 1000000]
    #[arg(long, env = "LANEKEEPER_ACTIVATIONS_MAX", value_name = "COUNT")]
    pub(crate) activations_max: Option<u64>,

    /// Delete queues, gates and workers not used for this long [default: never]
    ///
    /// At least 1m. Queues and gates only if they are empty and have no settings, workers only if
    /// they are offline. A later use creates them anew.
    #[arg(long, env = "LANEKEEPER_FORGET_IDLE_AFTER", value_name = "TIME")]
    pub(crate) forget_idle_after: Option<HumanDuration>,

    /// The memory the process should use at most [default: 3/4 of the available memory]
    ///
    /// Requests, answers and unwritten changes share half of the part beyond 128 MiB; requests that
    /// do not fit are refused as overloaded. The available memory is the limit of the control
    /// group, or the free memory at the start. If given, idle actors use at most an eighth of it.
    #[arg(long, env = "LANEKEEPER_MEMORY_MAX", value_name = "BYTES")]
    pub(crate) memory_max: Option<ByteCount>,

    /// The largest number of requests waiting for one actor [default: 10000]
    #[arg(long, env = "LANEKEEPER_MAILBOX_MAX", value_name = "COUNT")]
    pub(crate) mailbox_max: Option<u64>,

    /// Permits at once of a gate without a policy of its own or a parent's [default: unlimited]
    #[arg(long, env = "LANEKEEPER_GATE_MAX_CONCURRENT", value_name = "COUNT")]
    pub(crate) gate_max_concurrent: Option<u64>,

    /// Time between two writes of merged heartbeats [default: 60s]
    ///
    /// The sum of this, the heartbeat interval and the sweep interval must be below --stale-after.
    #[arg(long, env = "LANEKEEPER_HEARTBEAT_FLUSH", value_name = "TIME")]
    pub(crate) heartbeat_flush: Option<HumanDuration>,

    /// The expected time between two heartbeats of a worker [default: 15s]
    #[arg(long, env = "LANEKEEPER_HEARTBEAT_INTERVAL", value_name = "TIME")]
    pub(crate) heartbeat_interval: Option<HumanDuration>,

    /// Write every heartbeat before it is answered, instead of merging [default: false]
    #[arg(
        long, env = "LANEKEEPER_HEARTBEAT_PASSTHROUGH", value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true",
    )]
    pub(crate) heartbeat_passthrough: Option<bool>,

    /// Time between two sweeps for workers to mark offline [default: 30s]
    #[arg(long, env = "LANEKEEPER_SWEEP_INTERVAL", value_name = "TIME")]
    pub(crate) sweep_interval: Option<HumanDuration>,

    /// The time without a heartbeat after which a worker is marked offline [default: 150s]
    #[arg(long, env = "LANEKEEPER_STALE_AFTER", value_name = "TIME")]
    pub(crate) stale_after: Option<HumanDuration>,

    /// The largest number of workers, offline ones included [default: 100000]
    #[arg(long, env = "LANEKEEPER_FLEET_MAX", value_name = "COUNT")]
    pub(crate) fleet_max: Option<u64>,

    /// The largest metadata of a worker [default: 4KiB]
    #[arg(long, env = "LANEKEEPER_WORKER_META_MAX", value_name = "BYTES")]
    pub(crate) worker_meta_max: Option<ByteCount>,

    /// The largest item [default: 1MiB]
    #[arg(long, env = "LANEKEEPER_ITEM_BYTES_MAX", value_name = "BYTES")]
    pub(crate) item_bytes_max: Option<ByteCount>,

    /// The largest number of messages in one push, 1 to 10,000 [default: 1000]
    #[arg(long, env = "LANEKEEPER_PUSH_ITEMS_MAX", value_name = "COUNT")]
    pub(crate) push_items_max: Option<u64>,

    /// The largest body of a request [default: 8MiB]
    #[arg(long, env = "LANEKEEPER_BODY_BYTES_MAX", value_name = "BYTES")]
    pub(crate) body_bytes_max: Option<ByteCount>,

    /// The largest head of a request, its target and headers [default: 32KiB]
    #[arg(long, env = "LANEKEEPER_HEAD_BYTES_MAX", value_name = "BYTES")]
    pub(crate) head_bytes_max: Option<ByteCount>,

    /// The time for the head of a request to arrive [default: 5s]
    #[arg(long, env = "LANEKEEPER_HEAD_TIMEOUT", value_name = "TIME")]
    pub(crate) head_timeout: Option<HumanDuration>,

    /// The time for the body of a request to arrive [default: 30s]
    #[arg(long, env = "LANEKEEPER_BODY_TIMEOUT", value_name = "TIME")]
    pub(crate) body_timeout: Option<HumanDuration>,

    /// The longest time a client may read no byte of an answer [default: 30s]
    #[arg(long, env = "LANEKEEPER_WRITE_TIMEOUT", value_name = "TIME")]
    pub(crate) write_timeout: Option<HumanDuration>,

    /// The longest time a connection may be idle [default: 75s]
    #[arg(long, env = "LANEKEEPER_KEEP_ALIVE", value_name = "TIME")]
    pub(crate) keep_alive: Option<HumanDuration>,

    /// The largest number of connections, within the limit on open files [default: 10000]
    ///
    /// At the limit, idle connections are closed for new requests, and /health* is still answered.
    #[arg(long, env = "LANEKEEPER_CONNECTIONS_MAX", value_name = "COUNT")]
    pub(crate) connections_max: Option<u64>,

    /// Connections from one address that have not shown the token yet [default: 1024]
    ///
    /// Beyond that the oldest is closed. Without a token there is no such limit.
    #[arg(long, env = "LANEKEEPER_UNAUTHENTICATED_MAX_PER_PEER", value_name = "COUNT")]
    pub(crate) unauthenticated_max_per_peer: Option<u64>,

    /// The largest number of subscribers of one stream [default: 10000]
    #[arg(long, env = "LANEKEEPER_STREAM_SUBSCRIBERS_MAX", value_name = "COUNT")]
    pub(crate) stream_subscribers_max: Option<u64>,

    /// Connections used by WebSockets and server-sent events [default: 5000]
    #[arg(long, env = "LANEKEEPER_SOCKET_CONNECTIONS_MAX", value_name = "COUNT")]
    pub(crate) socket_connections_max: Option<u64>,

    /// Host names of the server, such as queue.example.org, separated by commas [default: none]
    ///
    /// localhost, loopback addresses and the address a connection arrives at are always allowed;
    /// requests for other names are refused. A * allows any name.
    #[arg(long, env = "LANEKEEPER_HOST_NAMES", value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) host_names: Option<Vec<String>>,

    /// Origins of pages that may use the server, such as https://example.org [default: none]
    ///
    /// Separated by commas. Only browsers send an origin; other clients are not affected.
    #[arg(long, env = "LANEKEEPER_CORS_ORIGINS", value_name = "ORIGIN,…", value_delimiter = ',')]
    pub(crate) cors_origins: Option<Vec<String>>,

    /// The old name of --cors-origins
    #[arg(
        long,
        env = "LANEKEEPER_SOCKET_ORIGINS",
        value_name = "ORIGIN,…",
        value_delimiter = ',',
        hide = true
    )]
    pub(crate) socket_origins: Option<Vec<String>>,

    /// Time between two pings; a client silent between two of them is disconnected [default: 20s]
    #[arg(long, env = "LANEKEEPER_SOCKET_PING_INTERVAL", value_name = "TIME")]
    pub(crate) socket_ping_interval: Option<HumanDuration>,

    /// The longest send to a subscriber before it is disconnected [default: 5s]
    #[arg(long, env = "LANEKEEPER_SOCKET_SEND_TIMEOUT", value_name = "TIME")]
    pub(crate) socket_send_timeout: Option<HumanDuration>,

    /// The largest message of a client over a WebSocket [default: 128KiB]
    #[arg(long, env = "LANEKEEPER_SOCKET_FRAME_BYTES_MAX", value_name = "BYTES")]
    pub(crate) socket_frame_bytes_max: Option<ByteCount>,

    /// Networks webhooks may post to besides public ones, such as 10.1.0.0/16 [default: none]
    ///
    /// Separated by commas. Other loopback, private, link-local and special addresses are refused.
    #[arg(long, env = "LANEKEEPER_SINK_ALLOW", value_name = "CIDR,…", value_delimiter = ',')]
    pub(crate) sink_allow: Option<Vec<Network>>,

    /// The largest number of webhook deliveries at once, each on a thread [default: 128]
    #[arg(long, env = "LANEKEEPER_SINK_POSTS_MAX", value_name = "COUNT")]
    pub(crate) sink_posts_max: Option<u64>,

    /// Certificate authorities for webhooks, in PEM [default: the built-in public ones]
    ///
    /// Replaces the built-in authorities, for receivers with a certificate of a private one.
    #[arg(long, env = "LANEKEEPER_SINK_CA", value_name = "FILE")]
    pub(crate) sink_ca: Option<PathBuf>,

    /// The largest number of queues with a webhook [default: 1000]
    #[arg(long, env = "LANEKEEPER_SINKS_MAX", value_name = "COUNT")]
    pub(crate) sinks_max: Option<u64>,

    /// Worker threads [default: one for each core]
    #[arg(long, env = "LANEKEEPER_WORKERS", value_name = "COUNT")]
    pub(crate) workers: Option<u64>,

    /// The longest drain before the remaining requests are cut off [default: 10s]
    #[arg(long, env = "LANEKEEPER_DRAIN_TIMEOUT", value_name = "TIME")]
    pub(crate) drain_timeout: Option<HumanDuration>,

    /// The token clients must send as `Authorization: Bearer …` [default: none]
    ///
    /// All calls but /health* then require it. Pages send it in the subprotocol bearer.… of a
    /// WebSocket or in the cookie lanekeeper_token. Prefer the environment variable: flags are
    /// visible to every user of the machine.
    #[arg(long, env = "LANEKEEPER_TOKEN", value_name = "SECRET", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// The format of the logs on stderr; RUST_LOG selects them [default: text]
    #[arg(long, env = "LANEKEEPER_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

impl Settings {
    /// These, and where they are silent, those of `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            data: self.data.or(other.data),
            durability: self.durability.or(other.durability),
            flush_interval: self.flush_interval.or(other.flush_interval),
            idle_timeout: self.idle_timeout.or(other.idle_timeout),
            forget_idle_after: self.forget_idle_after.or(other.forget_idle_after),
            activations_max: self.activations_max.or(other.activations_max),
            memory_max: self.memory_max.or(other.memory_max),
            mailbox_max: self.mailbox_max.or(other.mailbox_max),
            gate_max_concurrent: self.gate_max_concurrent.or(other.gate_max_concurrent),
            heartbeat_flush: self.heartbeat_flush.or(other.heartbeat_flush),
            heartbeat_interval: self.heartbeat_interval.or(other.heartbeat_interval),
            heartbeat_passthrough: self.heartbeat_passthrough.or(other.heartbeat_passthrough),
            sweep_interval: self.sweep_interval.or(other.sweep_interval),
            stale_after: self.stale_after.or(other.stale_after),
            fleet_max: self.fleet_max.or(other.fleet_max),
            worker_meta_max: self.worker_meta_max.or(other.worker_meta_max),
            item_bytes_max: self.item_bytes_max.or(other.item_bytes_max),
            push_items_max: self.push_items_max.or(other.push_items_max),
            body_bytes_max: self.body_bytes_max.or(other.body_bytes_max),
            head_bytes_max: self.head_bytes_max.or(other.head_bytes_max),
            head_timeout: self.head_timeout.or(other.head_timeout),
            body_timeout: self.body_timeout.or(other.body_timeout),
            write_timeout: self.write_timeout.or(other.write_timeout),
            keep_alive: self.keep_alive.or(other.keep_alive),
            connections_max: self.connections_max.or(other.connections_max),
            unauthenticated_max_per_peer: self
                .unauthenticated_max_per_peer
                .or(other.unauthenticated_max_per_peer),
            stream_subscribers_max: self.stream_subscribers_max.or(other.stream_subscribers_max),
            socket_connections_max: self.socket_connections_max.or(other.socket_connections_max),
            host_names: self.host_names.or(other.host_names),
            cors_origins: self.cors_origins.or(other.cors_origins),
            socket_origins: self.socket_origins.or(other.socket_origins),
            socket_ping_interval: self.socket_ping_interval.or(other.socket_ping_interval),
            socket_send_timeout: self.socket_send_timeout.or(other.socket_send_timeout),
            socket_frame_bytes_max: self.socket_frame_bytes_max.or(other.socket_frame_bytes_max),
            sink_allow: self.sink_allow.or(other.sink_allow),
            sink_posts_max: self.sink_posts_max.or(other.sink_posts_max),
            sink_ca: self.sink_ca.or(other.sink_ca),
            sinks_max: self.sinks_max.or(other.sinks_max),
            workers: self.workers.or(other.workers),
            drain_timeout: self.drain_timeout.or(other.drain_timeout),
            token: self.token.or(other.token),
            log_format: self.log_format.or(other.log_format),
        }
    }
}

/// A durability as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level(pub(crate) Durability);

impl FromStr for Level {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        word.parse().map(Self)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}
