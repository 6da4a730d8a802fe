//! What can be said of workers.

use clap::Args;
use lanekeeper::worker::WorkerStatus;

use crate::{cli::args::Target, config::quantity::HumanDuration};

pub(crate) const HEARTBEAT_HELP: &str = "\
Sends heartbeats until Ctrl-C, SIGTERM, SIGHUP or SIGQUIT, and then deregisters, so that the worker
is offline at once. While the server cannot be reached it keeps trying. Prints a line when the
status of the worker changes; with --json the answer to each heartbeat.

Examples:
  lanekeeper heartbeat w1 --every 15s
  lanekeeper heartbeat w1 --meta '{\"slots\":4}' &";

pub(crate) const WORKERS_HELP: &str = "\
Prints one line per worker: id, status, time of the last heartbeat.

Examples:
  lanekeeper workers
  lanekeeper workers --status offline --json";

/// `heartbeat`
#[derive(Debug, Args)]
pub(crate) struct Heartbeat {
    /// The worker; its first heartbeat registers it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Time between two heartbeats: 10ms to 1h
    #[arg(long, env = "LANEKEEPER_EVERY", value_name = "TIME", default_value = "15s")]
    pub(crate) every: HumanDuration,
    /// Metadata of the worker: one JSON object
    #[arg(long, env = "LANEKEEPER_META", value_name = "JSON")]
    pub(crate) meta: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `workers`
#[derive(Debug, Args)]
pub(crate) struct Workers {
    /// Only workers with this status: online or offline
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<WorkerStatus>,
    /// Only workers after this id
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// The largest number of workers [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) target: Target,
}
