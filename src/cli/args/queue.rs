//! What can be said of a queue as a whole, and of messages that are taken or shown.

use clap::{ArgAction, Args, builder::FalseyValueParser};

use crate::{cli::args::Target, config::quantity::Span};

pub(crate) const POP_HELP: &str = "\
Prints one payload a line; an empty queue prints nothing and is no failure. What was popped is gone
from the queue.

Examples:
  lanekeeper pop orders --depth 10
  lanekeeper pop orders --wait 30s --json";

pub(crate) const PEEK_HELP: &str = "\
Prints a line a message: its id, its priority, its payload. Nothing is taken. The next page begins
after the last id of this one.

Examples:
  lanekeeper peek orders --depth 20
  lanekeeper peek orders --priority 0
  lanekeeper peek orders --after 000000000000004d00000001 --json";

pub(crate) const PURGE_HELP: &str = "\
Removes what is ready or scheduled; leased messages stay with those who work on them. At a terminal
it asks first, unless --yes is given.

Examples:
  lanekeeper purge orders
  lanekeeper purge orders --priority 7 --yes";

pub(crate) const STATS_HELP: &str = "\
A queue that was never used shows zeros.

Examples:
  lanekeeper stats orders
  lanekeeper stats orders --json | jq .ready";

pub(crate) const QUEUES_HELP: &str = "\
Prints one id a line, in the order of their letters; with --detail how many messages are ready,
scheduled, leased and dead.

Examples:
  lanekeeper queues
  lanekeeper queues --detail
  lanekeeper queues --prefix tenant-7. --limit 100
  lanekeeper queues --json";

/// `pop`
#[derive(Debug, Args)]
pub(crate) struct Pop {
    /// The queue
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Messages at most: 1 to 100
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) depth: usize,
    /// How long to wait for a message if there is none: up to 60s
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    pub(crate) wait: Span,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `peek`
#[derive(Debug, Args)]
pub(crate) struct Peek {
    /// The queue
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Messages at most: 1 to 100
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) depth: usize,
    /// Only messages of this priority
    #[arg(long, value_name = "N")]
    pub(crate) priority: Option<u32>,
    /// Only messages after this one
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `purge`
#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// The queue
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Only messages of this priority
    #[arg(long, value_name = "N")]
    pub(crate) priority: Option<u32>,
    /// Do not ask first; without a terminal nothing is asked
    #[arg(
        long, action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `stats`
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The queue
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `queues`
#[derive(Debug, Args)]
pub(crate) struct Queues {
    /// Only queues whose id begins so
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
    /// Only queues after this one
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// Queues at most [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Show how much is in each
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) detail: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}
