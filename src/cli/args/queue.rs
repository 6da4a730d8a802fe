//! What can be said of a queue as a whole, and of messages that are taken or shown.

use clap::{ArgAction, Args, builder::FalseyValueParser};

use crate::{cli::args::Target, config::quantity::HumanDuration};

pub(crate) const POP_HELP: &str = "\
Prints one payload per line; an empty queue prints nothing and exits with 0. A pop is final: popped
messages are gone from the queue.

Examples:
  lanekeeper pop orders --depth 10
  lanekeeper pop orders --wait 30s --json";

pub(crate) const PEEK_HELP: &str = "\
Prints one line per message: id, priority, payload. Nothing is taken. Pass the last id of a page to
--after for the next page.

Examples:
  lanekeeper peek orders --depth 20
  lanekeeper peek orders --priority 0
  lanekeeper peek orders --after 000000000000004d00000001 --json";

pub(crate) const PURGE_HELP: &str = "\
Removes ready and scheduled messages; leased messages stay. At a terminal it asks first, unless
--yes is given.

Examples:
  lanekeeper purge orders
  lanekeeper purge orders --priority 7 --yes";

pub(crate) const STATS_HELP: &str = "\
A queue that was never used shows zeros.

Examples:
  lanekeeper stats orders
  lanekeeper stats orders --json | jq .ready";

pub(crate) const QUEUES_HELP: &str = "\
Prints one id per line in alphabetical order; with --detail also the numbers of ready, scheduled,
leased and dead messages.

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
    /// The largest number of messages: 1 to 100
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) depth: usize,
    /// The time to wait for a message if the queue is empty: up to 60s
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    pub(crate) wait: HumanDuration,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `peek`
#[derive(Debug, Args)]
pub(crate) struct Peek {
    /// The queue
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// The largest number of messages: 1 to 100
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) depth: usize,
    /// Only messages of this priority
    #[arg(long, value_name = "N")]
    pub(crate) priority: Option<u32>,
    /// Only messages after this id
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
    /// Do not ask for confirmation, as without a terminal
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
    /// Only queues whose id starts with this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
    /// Only queues after this id
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// The largest number of queues [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Show the counts of each queue
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) detail: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}
