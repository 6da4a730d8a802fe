//! What `loadtest` takes.

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args, builder::FalseyValueParser};

use crate::{config::quantity::HumanDuration, loadtest::plan::threshold::Threshold};

pub(crate) const LOADTEST_HELP: &str = "\
Without --server it starts a server on a temporary directory for each scenario. Requests are sent at
the times of the scenario's schedule regardless of the answers, and latency counts from those times,
so that stalls of the server are visible. Every item is tracked from its push to its pop.

Ctrl-C, SIGTERM, SIGHUP and SIGQUIT end the run, show and save the results so far, and exit with
130; a second one does not wait. Files that cannot be written are reported before the run. Exits
with 6 if verification finds a message lost, duplicated, invented or out of order.

Examples:
  lanekeeper loadtest list
  lanekeeper loadtest all --duration 10s
  lanekeeper loadtest s3a --server http://127.0.0.1:8000 --scale 10 --json result.json
  lanekeeper loadtest s3a --users 64 --duration 10s
  lanekeeper loadtest s3 --threshold 'push.p95<50ms' --threshold 'errors<1%' --junit report.xml
  lanekeeper loadtest s3a --max --targets baseline
  lanekeeper loadtest --web";

pub(crate) const COMPARE_HELP: &str = "\
A figure is worse if the median of the new runs is worse than that of the base runs by more than
the tolerance: the difference between repeated runs on either side, at least 5 %; 30 % with one run
on each side. The mix of requests is random, so latencies and errors are judged by kind of request,
and the rate of all requests together; a difference that is chance in so small a sample is not
judged. Results of different kinds of runs are refused. Exits with 5 if anything is worse.

Examples:
  lanekeeper loadtest s3a --repeat 5 --json base.json
  lanekeeper compare base.json new.json
  lanekeeper compare locust_stats.csv new_stats.csv --band 10%";

pub(crate) const PREPOPULATE_HELP: &str = "\
Counts the messages in the queue and pushes the missing ones. An interrupted run continues when it
is started again. Exits with 6 if messages are missing in the end.

Examples:
  lanekeeper prepopulate backlog --count 1000000
  lanekeeper prepopulate backlog --count 100000 --priorities 8 --item-bytes 1024";

pub(crate) const ANALYZE_HELP: &str = "\
Shows the results that `loadtest --json` or `--csv` wrote, as after the run.

Examples:
  lanekeeper analyze result.json
  lanekeeper analyze base.json new.json locust_stats.csv";

/// `loadtest`
#[derive(Debug, Args)]
pub(crate) struct Loadtest {
    /// Scenarios: `s3a`, a group such as `s3`, or `all`; `list` names them
    #[arg(value_name = "NAME", required_unless_present_any = ["web", "join", "file"])]
    pub(crate) names: Vec<String>,
    /// The server to test [default: start one on a temporary directory]
    #[arg(long, env = "LANEKEEPER_LOADTEST_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The token of the server, if it requires one
    #[arg(long, env = "LANEKEEPER_TOKEN", value_name = "SECRET", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The process of the server, to measure it and for scenarios that kill it
    #[arg(long, env = "LANEKEEPER_LOADTEST_SERVER_PID", value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
    /// Run each scenario N times: the difference between runs is the tolerance of `compare`
    #[arg(long, env = "LANEKEEPER_LOADTEST_REPEAT", value_name = "N", default_value_t = 1)]
    pub(crate) repeat: u32,
    /// Find the highest rate that meets the thresholds [baseline, if none are given]
    #[arg(
        long, env = "LANEKEEPER_LOADTEST_MAX", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(), conflicts_with = "users",
    )]
    pub(crate) max: bool,
    /// Serve a page to start, change and watch runs
    #[arg(
        long, env = "LANEKEEPER_LOADTEST_WEB", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) web: bool,
    /// The address of the page; loopback only
    #[arg(
        long,
        env = "LANEKEEPER_LOADTEST_WEB_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8089"
    )]
    pub(crate) web_listen: SocketAddr,
    /// Scenarios of your own, in a TOML file; without names, all of them
    #[arg(long, env = "LANEKEEPER_LOADTEST_FILE", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Generate the load from N processes; with --coordinator, wait for N agents [1]
    #[arg(long, env = "LANEKEEPER_LOADTEST_WORKERS", value_name = "N", conflicts_with = "web")]
    pub(crate) workers: Option<usize>,
    /// Coordinate agents of other machines, which join here; for trusted networks only
    #[arg(
        long,
        env = "LANEKEEPER_LOADTEST_COORDINATOR",
        value_name = "ADDR",
        conflicts_with = "web"
    )]
    pub(crate) coordinator: Option<SocketAddr>,
    /// Join a coordinator as an agent
    #[arg(
        long, env = "LANEKEEPER_LOADTEST_JOIN", value_name = "ADDR",
        conflicts_with_all = ["coordinator", "workers", "web"],
    )]
    pub(crate) join: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) load: Load,
    #[command(flatten)]
    pub(crate) own: Own,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How much is asked, and when.
#[derive(Clone, Debug, Args)]
pub(crate) struct Load {
    /// The measured time of each scenario [default: the scenario's]
    #[arg(long, env = "LANEKEEPER_LOADTEST_DURATION", value_name = "TIME")]
    pub(crate) duration: Option<HumanDuration>,
    /// The time each scenario runs before it is measured [default: a fifth of that, at most 2s]
    #[arg(long, env = "LANEKEEPER_LOADTEST_WARMUP", value_name = "TIME")]
    pub(crate) warmup: Option<HumanDuration>,
    /// Multiply the rates of the scenario
    #[arg(long, env = "LANEKEEPER_LOADTEST_SCALE", value_name = "X", default_value_t = 1.0)]
    pub(crate) scale: f64,
    /// Repeat the random choices of another run
    #[arg(long, env = "LANEKEEPER_LOADTEST_SEED", value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Closed model: N users, each waiting for its answer before the next request
    #[arg(long, env = "LANEKEEPER_LOADTEST_USERS", value_name = "N")]
    pub(crate) users: Option<u32>,
    /// Users started per second [default: all at once]
    #[arg(long, env = "LANEKEEPER_LOADTEST_SPAWN_RATE", value_name = "N", requires = "users")]
    pub(crate) spawn_rate: Option<f64>,
    /// The time a user waits between requests: `1s`, or `500ms-2s` for a random time
    #[arg(long, env = "LANEKEEPER_LOADTEST_WAIT", value_name = "TIME", requires = "users")]
    pub(crate) wait: Option<String>,
    /// Generator threads
    #[arg(long, env = "LANEKEEPER_LOADTEST_THREADS", value_name = "N", default_value_t = 1)]
    pub(crate) threads: usize,
    /// The largest number of connections in the open model
    #[arg(long, env = "LANEKEEPER_LOADTEST_CONNECTIONS", value_name = "N", default_value_t = 256)]
    pub(crate) connections: usize,
    /// The longest time to wait for an answer
    #[arg(long, env = "LANEKEEPER_LOADTEST_TIMEOUT", value_name = "TIME", default_value = "10s")]
    pub(crate) timeout: HumanDuration,
    /// Do not track items from push to pop
    #[arg(
        long, env = "LANEKEEPER_LOADTEST_NO_VERIFY", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) no_verify: bool,
}

/// The server of its own.
#[derive(Clone, Debug, Args)]
pub(crate) struct Own {
    /// Durability of the server it starts: durable, relaxed or memory
    #[arg(
        long,
        env = "LANEKEEPER_LOADTEST_DURABILITY",
        value_name = "LEVEL",
        default_value = "durable",
        value_parser = ["durable", "relaxed", "memory"],
    )]
    pub(crate) durability: String,
    /// The parent of its temporary directory [default: the system's]
    #[arg(long, env = "LANEKEEPER_LOADTEST_DIR", value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// What is written.
#[derive(Clone, Debug, Args)]
pub(crate) struct Output {
    /// Write the results as JSON
    #[arg(long, env = "LANEKEEPER_LOADTEST_JSON", value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write CSV files as Locust does: PREFIX_stats.csv and three more, for several scenarios
    /// PREFIX-NAME_stats.csv and so on
    #[arg(long, env = "LANEKEEPER_LOADTEST_CSV", value_name = "PREFIX")]
    pub(crate) csv: Option<PathBuf>,
    /// Write a report with charts, one HTML file that needs no network
    #[arg(long, env = "LANEKEEPER_LOADTEST_HTML", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the verdicts as JUnit XML
    #[arg(long, env = "LANEKEEPER_LOADTEST_JUNIT", value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Exit with 4 unless this holds: push.p95<50ms, max<500ms, errors<1%, rate>=100
    #[arg(long, env = "LANEKEEPER_LOADTEST_THRESHOLD", value_name = "EXPR", value_delimiter = ',')]
    pub(crate) threshold: Vec<Threshold>,
    /// A named set of thresholds; baseline: p50<30ms p95<50ms p99<100ms max<500ms errors<1%
    #[arg(
        long, env = "LANEKEEPER_LOADTEST_TARGETS", value_name = "PRESET",
        value_parser = ["baseline"],
    )]
    pub(crate) targets: Option<String>,
}

/// `prepopulate`
#[derive(Debug, Args)]
pub(crate) struct Prepopulate {
    /// The queue; nothing else may have used it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// The number of messages in the end
    #[arg(long, env = "LANEKEEPER_PREPOPULATE_COUNT", value_name = "N")]
    pub(crate) count: u64,
    /// The number of priorities, used in turn from 0 on; a single one is priority 1
    #[arg(long, env = "LANEKEEPER_PREPOPULATE_PRIORITIES", value_name = "N", default_value_t = 1)]
    pub(crate) priorities: u64,
    /// Bytes of each item
    #[arg(
        long,
        env = "LANEKEEPER_PREPOPULATE_ITEM_BYTES",
        value_name = "N",
        default_value_t = 256
    )]
    pub(crate) item_bytes: usize,
    /// The server
    #[arg(
        long,
        env = "LANEKEEPER_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8000"
    )]
    pub(crate) server: String,
    /// The token of the server, if it requires one
    #[arg(long, env = "LANEKEEPER_TOKEN", value_name = "SECRET", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// `analyze`
#[derive(Debug, Args)]
pub(crate) struct Analyze {
    /// Results as JSON, or a _stats.csv
    #[arg(value_name = "RESULT", required = true)]
    pub(crate) results: Vec<PathBuf>,
}

/// `compare`
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The base: results as JSON, or a _stats.csv; several separated by commas
    #[arg(value_name = "BASE", num_args = 1, value_delimiter = ',', required = true)]
    pub(crate) base: Vec<PathBuf>,
    /// The new results; several separated by commas
    #[arg(value_name = "NEW", num_args = 1, value_delimiter = ',', required = true)]
    pub(crate) new: Vec<PathBuf>,
    /// The tolerance [default: the difference between repeated runs]
    #[arg(long, env = "LANEKEEPER_COMPARE_BAND", value_name = "PERCENT")]
    pub(crate) band: Option<String>,
    /// Print the comparison as JSON
    #[arg(
        long, env = "LANEKEEPER_JSON", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) json: bool,
}
