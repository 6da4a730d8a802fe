//! Settings whose bounds were checked: nothing below looks again.

use std::{
    fs,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use lanekeeper::{
    Durability, Lanekeeper, MemoryBudget, NodeBuilder, OpenError,
    gate::GatePolicy,
    queue::QueueLimits,
    server::{ServerOptions, SocketOptions, Token},
    sink::{AddressPolicy, SinkOptions, TrustedRoots},
    stream::StreamLimits,
    worker::{InvalidLiveness, LivenessOptions},
};

use crate::config::{
    memory,
    quantity::{ByteCount, HumanDuration},
    settings::{LogFormat, Settings},
};

/// What `serve` does, with every bound checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// How to listen.
    pub(crate) server: ServerOptions,
    /// How long a drain may take.
    pub(crate) drain_timeout: Duration,
    /// How logs are written.
    pub(crate) log_format: LogFormat,
    node: NodeBuilder,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key or a value that is unknown.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A setting is out of bounds.
    #[error("{field} must be {bound}, not {found}")]
    OutOfBounds {
        /// The setting, as the file names it.
        field: &'static str,
        /// What it may be.
        bound: String,
        /// What it is.
        found: String,
    },
    /// Living workers could be taken for dead.
    #[error(transparent)]
    Liveness(#[from] InvalidLiveness),
}

impl Config {
    /// Puts flags and environment before the file and the file before the defaults, and checks.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting and its bound.
    pub(crate) fn resolve(given: Settings, file: Option<&Path>) -> Result<Self, ConfigError> {
        let from_file = file.map(read).transpose()?.unwrap_or_default();
        Self::check(&given.or(from_file))
    }

    fn check(given: &Settings) -> Result<Self, ConfigError> {
        let item_bytes_max = bytes("item_bytes_max", given.item_bytes_max, 2..=64 << 20, 1 << 20)?;
        let memory = memory_budget(given)?;
        let drain = spans("drain_timeout", given.drain_timeout, 0..=HOUR, 10_000)?;
        Ok(Self {
            data: given.data.clone().unwrap_or_else(|| PathBuf::from("lanekeeper-data")),
            server: server_options(given, item_bytes_max, &memory)?,
            drain_timeout: drain,
            log_format: given.log_format.unwrap_or_default(),
            node: node_builder(given, item_bytes_max, &memory)?,
        })
    }

    /// Opens the node.
    ///
    /// # Errors
    /// As [`Lanekeeper::open`].
    pub(crate) async fn open(&self) -> Result<Lanekeeper, OpenError> {
        self.node.clone().data(&self.data).open().await
    }
}

const HOUR: u64 = 3_600_000;

fn read(path: &Path) -> Result<Settings, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|error| {
        let reason = error.to_string().trim_end().to_owned();
        ConfigError::Malformed { path: path.to_owned(), reason }
    })
}

/// Copies of a body that there may be at a time, and so how much more of memory there must be.
const BODY_COPIES: u64 = 4;

fn memory_budget(given: &Settings) -> Result<MemoryBudget, ConfigError> {
    let bytes_max = match given.memory_max {
        Some(_) => bytes("memory_max", given.memory_max, 128 << 20..=1 << 50, 0)? as u64,
        None => match memory::default_bytes() {
            Some(bytes) => bytes,
            None => return Ok(MemoryBudget::unbounded()),
        },
    };
    Ok(MemoryBudget::of_process(bytes_max))
}

fn queue_limits(given: &Settings, item_bytes_max: usize) -> Result<QueueLimits, ConfigError> {
    let items_max = count("push_items_max", given.push_items_max, 1..=10_000, 1_000)?;
    Ok(QueueLimits { item_bytes_max, items_max, ..QueueLimits::default() })
}

fn node_builder(
    given: &Settings,
    item_bytes_max: usize,
    memory: &MemoryBudget,
) -> Result<NodeBuilder, ConfigError> {
    let durability = given.durability.map_or(Durability::Durable, |level| level.0);
    let month = 30 * 24 * HOUR;
    let mut node = Lanekeeper::builder()
        .durability(durability)
        .flush_interval(spans("flush_interval", given.flush_interval, 1..=60_000, 50)?)
        .idle_timeout(spans("idle_timeout", given.idle_timeout, 1..=month, 300_000)?)
        .activations_max(count("activations_max", given.activations_max, 1..=1 << 30, 1_000_000)?)
        .mailbox_max(count("mailbox_max", given.mailbox_max, 1..=1_000_000, 10_000)?)
        .queue_limits(queue_limits(given, item_bytes_max)?)
        .stream_limits(stream_limits(given, item_bytes_max)?)
        .liveness(liveness_options(given)?)?;
    if given.gate_max_concurrent.is_some() {
        let most = count("gate_max_concurrent", given.gate_max_concurrent, 1..=1_000_000, 1)?;
        let policy = GatePolicy::concurrent(most as u32);
        node = node.gate_policy(policy).expect("its only bound was checked");
    }
    if given.forget_idle_after.is_some() {
        let bounds = 60_000..=12 * month;
        let after = spans("forget_idle_after", given.forget_idle_after, bounds, 60_000)?;
        node = node.forget_idle_after(after);
    }
    if let Some(bytes) = memory.process_bytes().filter(|_| given.memory_max.is_some()) {
        node = node.memory_max_bytes(usize::try_from(bytes / 8).unwrap_or(usize::MAX));
    }
    Ok(node.memory_budget(memory.clone()))
}

fn liveness_options(given: &Settings) -> Result<LivenessOptions, ConfigError> {
    let (flush, beat, stale) = (given.heartbeat_flush, given.heartbeat_interval, given.stale_after);
    let meta = given.worker_meta_max;
    Ok(LivenessOptions {
        heartbeat_flush: spans("heartbeat_flush", flush, 1..=HOUR, 60_000)?,
        heartbeat_interval: spans("heartbeat_interval", beat, 1..=HOUR, 15_000)?,
        sweep_interval: spans("sweep_interval", given.sweep_interval, 1..=HOUR, 30_000)?,
        stale_after: spans("stale_after", stale, 1..=24 * HOUR, 150_000)?,
        is_passthrough: given.heartbeat_passthrough.unwrap_or_default(),
        workers_max: count("fleet_max", given.fleet_max, 1..=10_000_000, 100_000)?,
        meta_bytes_max: bytes("worker_meta_max", meta, 2..=64 << 10, 4 << 10)?,
        ..LivenessOptions::default()
    })
}

fn stream_limits(given: &Settings, data_bytes_max: usize) -> Result<StreamLimits, ConfigError> {
    let given = given.stream_subscribers_max;
    let subscribers_max = count("stream_subscribers_max", given, 1..=1_000_000, 10_000)?;
    Ok(StreamLimits { subscribers_max, data_bytes_max, ..StreamLimits::default() })
}

fn socket_options(given: &Settings) -> Result<SocketOptions, ConfigError> {
    let (connections, ping) = (given.socket_connections_max, given.socket_ping_interval);
    let (send, frame) = (given.socket_send_timeout, given.socket_frame_bytes_max);
    Ok(SocketOptions {
        connections_max: count("socket_connections_max", connections, 1..=1_000_000, 5_000)?,
        ping_interval: spans("socket_ping_interval", ping, 100..=HOUR, 20_000)?,
        send_timeout: spans("socket_send_timeout", send, 100..=HOUR, 5_000)?,
        frame_bytes_max: bytes("socket_frame_bytes_max", frame, 1024..=16 << 20, 128 << 10)?,
    })
}

fn strangers_max(given: &Settings) -> Result<Option<usize>, ConfigError> {
    let (name, most) = ("unauthenticated_max_per_peer", given.unauthenticated_max_per_peer);
    most.map(|most| count(name, Some(most), 1..=1_000_000, 1)).transpose()
}

fn sink_options(given: &Settings) -> Result<SinkOptions, ConfigError> {
    let (posts, most) = (given.sink_posts_max, SinkOptions::POSTS_MAX as u64);
    Ok(SinkOptions {
        policy: AddressPolicy { allowed: given.sink_allow.clone().unwrap_or_default() },
        posts_max: count("sink_posts_max", posts, 1..=most, 128)?,
        trusted_cas: given.sink_ca.as_deref().map(trusted_cas).transpose()?,
        sinks_max: count("sinks_max", given.sinks_max, 1..=100_000, 1_000)?,
    })
}

fn trusted_cas(path: &Path) -> Result<TrustedRoots, ConfigError> {
    let wrong = |reason: String| {
        let found = format!("{}, which {reason}", path.display());
        out_of_bounds("sink_ca", "a file with certificates in PEM", &found)
    };
    let text = fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    TrustedRoots::from_pem(&text).map_err(|error| wrong(error.to_string()))
}

/// Origins are compared as they are sent: without a path, not even `/`.
fn origins(given: &Settings) -> Result<Vec<String>, ConfigError> {
    let origins = given.cors_origins.as_ref().or(given.socket_origins.as_ref());
    let is_origin = |origin: &&String| {
        let (scheme, host) = origin.split_once("://").unwrap_or_default();
        !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' ', '*'])
    };
    let origins = origins.cloned().unwrap_or_default();
    match origins.iter().find(|origin| !is_origin(origin)) {
        None => Ok(origins),
        Some(other) => {
            let bound = "origins such as https://example.org, without a path";
            Err(out_of_bounds("cors_origins", bound, &format!("{other:?}")))
        }
    }
}

fn host_names(given: &Settings) -> Result<Vec<String>, ConfigError> {
    let names = given.host_names.clone().unwrap_or_default();
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_name = |name: &&String| {
        let is_address = name.parse::<IpAddr>().is_ok();
        *name == "*" || is_address || (!name.is_empty() && name.bytes().all(is_part))
    };
    match names.iter().find(|name| !is_name(name)) {
        None => Ok(names),
        Some(other) => {
            let bound = "names such as queue.example.org, without a port, or *";
            Err(out_of_bounds("host_names", bound, &format!("{other:?}")))
        }
    }
}

fn server_options(
    given: &Settings,
    item_bytes_max: usize,
    memory: &MemoryBudget,
) -> Result<ServerOptions, ConfigError> {
    let least = item_bytes_max as u64;
    // What could never be read is refused at the start.
    let most = (memory.bytes_max() / BODY_COPIES).clamp(least, 1 << 30);
    let usual = most.min(8 << 20) as usize;
    Ok(ServerOptions {
        listen: listen(given)?,
        token: token(given)?,
        host_names: host_names(given)?,
        origins: origins(given)?,
        worker_count: count("workers", given.workers, 1..=1_024, 0)?,
        connections_max: count("connections_max", given.connections_max, 1..=1_000_000, 10_000)?,
        unauthenticated_max_per_peer: strangers_max(given)?,
        body_bytes_max: bytes("body_bytes_max", given.body_bytes_max, least..=most, usual)?,
        memory: memory.clone(),
        head_bytes_max: bytes("head_bytes_max", given.head_bytes_max, 1024..=128 << 10, 32 << 10)?,
        head_timeout: spans("head_timeout", given.head_timeout, 100..=HOUR, 5_000)?,
        body_timeout: spans("body_timeout", given.body_timeout, 100..=HOUR, 30_000)?,
        write_timeout: spans("write_timeout", given.write_timeout, 100..=HOUR, 30_000)?,
        keep_alive: spans("keep_alive", given.keep_alive, 1_000..=HOUR, 75_000)?,
        socket: socket_options(given)?,
        sink: sink_options(given)?,
    })
}

fn listen(given: &Settings) -> Result<SocketAddr, ConfigError> {
    let Some(text) = &given.listen else { return Ok(ServerOptions::default().listen) };
    let addr = text.to_socket_addrs().ok().and_then(|mut addrs| addrs.next());
    let bound = "an address and a port such as 127.0.0.1:8000";
    addr.ok_or_else(|| out_of_bounds("listen", bound, &format!("{text:?}")))
}

fn token(given: &Settings) -> Result<Option<Token>, ConfigError> {
    let wrong = |_| out_of_bounds("token", "visible ASCII without blanks", "what it is");
    given.token.as_ref().map(|secret| Token::new(secret).map_err(wrong)).transpose()
}

/// A count within bounds. The default is not checked: it may mean something else, as 0 does.
fn count(
    field: &'static str,
    given: Option<u64>,
    bounds: RangeInclusive<u64>,
    default: usize,
) -> Result<usize, ConfigError> {
    match given {
        None => Ok(default),
        Some(count) if bounds.contains(&count) => Ok(count as usize),
        Some(count) => {
            let bound = format!("from {} to {}", bounds.start(), bounds.end());
            Err(out_of_bounds(field, bound, &count))
        }
    }
}

fn bytes(
    field: &'static str,
    given: Option<ByteCount>,
    bounds: RangeInclusive<u64>,
    default: usize,
) -> Result<usize, ConfigError> {
    let bytes = given.map_or(default as u64, |bytes| bytes.0);
    if bounds.contains(&bytes) {
        return Ok(bytes as usize);
    }
    let (least, most) = (ByteCount(*bounds.start()), ByteCount(*bounds.end()));
    Err(out_of_bounds(field, format!("from {least} to {most}"), &ByteCount(bytes)))
}

/// A span within bounds, which are in milliseconds as the default is.
fn spans(
    field: &'static str,
    given: Option<HumanDuration>,
    bounds: RangeInclusive<u64>,
    default: u64,
) -> Result<Duration, ConfigError> {
    let [least, most, default] = [*bounds.start(), *bounds.end(), default]
        .map(|millis| HumanDuration(Duration::from_millis(millis)));
    let span = given.unwrap_or(default);
    if (least..=most).contains(&span) {
        return Ok(span.0);
    }
    Err(out_of_bounds(field, format!("from {least} to {most}"), &span))
}

fn out_of_bounds(
    field: &'static str,
    bound: impl Into<String>,
    found: &(impl ToString + ?Sized),
) -> ConfigError {
    ConfigError::OutOfBounds { field, bound: bound.into(), found: found.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> Result<Config, String> {
        let given: Settings = toml::from_str(toml).map_err(|error| error.to_string())?;
        Config::check(&given).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_given_is_a_loopback_server_with_the_documented_bounds() {
        let config = check("").expect("the defaults");
        assert_eq!(config.server.listen, SocketAddr::from(([127, 0, 0, 1], 8000)));
        assert_eq!(config.server.body_bytes_max, 8 << 20);
        assert_eq!(config.drain_timeout, Duration::from_secs(10));
        assert_eq!(config.data, Path::new("lanekeeper-data"));
    }

    #[test]
    fn a_setting_out_of_bounds_is_refused_with_its_name_and_bound() {
        let refused = |toml| check(toml).expect_err("a refusal");
        assert_eq!(refused("workers = 0"), "workers must be from 1 to 1024, not 0");
        let expected = "flush_interval must be from 1ms to 1m, not 2m";
        assert_eq!(refused("flush_interval = \"2m\""), expected);
        let given = "body_bytes_max = 1000\nmemory_max = \"254MiB\"";
        assert!(
            refused(given).starts_with("body_bytes_max must be from 1MiB to"),
            "{}",
            refused(given)
        );
        assert_eq!(
            refused("memory_max = 1000"),
            "memory_max must be from 128MiB to 1048576GiB, not 1000"
        );
        let expected = "cors_origins must be origins such as https://example.org, without a \
                        path, not \"https://example.org/\"";
        assert_eq!(refused("cors_origins = [\"https://example.org/\"]"), expected);
        assert_eq!(refused("socket_origins = [\"https://example.org/\"]"), expected);
        assert!(refused("host_names = [\"a:80\"]").starts_with("host_names must be names such as"));
        let expected = "stale_after must be more than heartbeat_flush + heartbeat_interval + \
                        sweep_interval = 60s + 15s + 40s = 115s, not 110s";
        assert_eq!(refused("stale_after = \"110s\"\nsweep_interval = \"40s\""), expected);
        assert_eq!(refused("sink_posts_max = 0"), "sink_posts_max must be from 1 to 256, not 0");
        let items = "push_items_max must be from 1 to 10000, not 10001";
        assert_eq!(refused("push_items_max = 10001"), items);
        assert_eq!(refused("sinks_max = 0"), "sinks_max must be from 1 to 100000, not 0");
        let missing = "sink_ca must be a file with certificates in PEM, not /no/such, which cannot";
        assert!(refused("sink_ca = \"/no/such\"").starts_with(missing));
        let empty = "not /dev/null, which has no certificate";
        assert!(refused("sink_ca = \"/dev/null\"").ends_with(empty));
        assert!(refused("sink_allow = [\"10.0.0.1/8\"]").contains("is not a network such as"));
        assert!(refused("listen = \"nowhere\"").starts_with("listen must be an address"));
        assert!(refused("token = \"a b\"").starts_with("token must be visible ASCII"));
        assert!(!refused("token = \"a b\"").contains("a b"));
    }

    #[test]
    fn a_key_or_a_value_that_is_unknown_is_refused_by_name() {
        let refused = |toml| check(toml).expect_err("a refusal");
        assert!(refused("lisen = \"x\"").contains("unknown field `lisen`"));
        assert!(refused("durability = \"fast\"").contains("durable, relaxed, memory"));
        assert!(refused("idle_timeout = 5").contains("idle_timeout"));
        assert!(refused("log_format = \"xml\"").contains("unknown variant `xml`"));
    }

    #[test]
    fn what_is_given_first_wins() {
        let first = Settings { workers: Some(3), ..Settings::default() };
        let second = Settings { workers: Some(5), mailbox_max: Some(7), ..Settings::default() };
        let both = first.or(second);
        assert_eq!((both.workers, both.mailbox_max), (Some(3), Some(7)));
    }
}
