//! What can be said of workers.

use clap::Args;
use lanekeeper::liveness::WorkerStatus;

use crate::{cli::args::Target, config::quantity::Span};

pub(crate) const HEARTBEAT_HELP: &str = "\
Beats until Ctrl-C, SIGTERM, SIGHUP or SIGQUIT and then says goodbye, so that the worker is offline
at once. While the server cannot be reached it goes on trying. Prints a line when the worker's
status changes; with --json the answer to each beat.

Examples:
  lanekeeper heartbeat w1 --every 15s
  lanekeeper heartbeat w1 --meta '{\"slots\":4}' &";

pub(crate) const WORKERS_HELP: &str = "\
Prints a line a worker: its id, its status, when it was last heard.

Examples:
  lanekeeper workers
  lanekeeper workers --status offline --json";

/// `heartbeat`
#[derive(Debug, Args)]
pub(crate) struct Heartbeat {
    /// The worker; its first beat makes it known
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Time between two beats: 10ms to 1h
    #[arg(long, env = "LANEKEEPER_EVERY", value_name = "TIME", default_value = "15s")]
    pub(crate) every: Span,
    /// What the worker says of itself: one JSON object
    #[arg(long, env = "LANEKEEPER_META", value_name = "JSON")]
    pub(crate) meta: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `workers`
#[derive(Debug, Args)]
pub(crate) struct Workers {
    /// Only workers of this status: online or offline
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<WorkerStatus>,
    /// Only workers after this one
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// Workers at most [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) target: Target,
}
