//! What can be said of a push.

use clap::Args;

use crate::{cli::args::Target, config::quantity::HumanDuration};

pub(crate) const PUSH_HELP: &str = "\
Items given as arguments or read together from stdin go in batches of up to 1000; each batch is
accepted whole or not at all. With --json the answer to each batch is printed as one line.

A deduplication key makes a push safe to repeat: if the queue remembers the key (for 5 minutes,
unless configured otherwise), nothing is pushed and the count is 0.

Examples:
  lanekeeper push orders '{\"order\":41}' --priority 0
  lanekeeper push orders '{\"order\":42}' --delay 10m --ttl 1d --key order-42
  lanekeeper push orders < orders.jsonl";

/// `push`
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The queue; its first use creates it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Items, each one JSON object [default: read from stdin, one per line]
    #[arg(value_name = "ITEM")]
    pub(crate) items: Vec<String>,
    /// The priority: 0 (most urgent) to 2147483647
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) priority: u32,
    /// The time before the messages are ready: up to 366d
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    pub(crate) delay: HumanDuration,
    /// The time to live, up to 366d and longer than the delay [default: the queue's]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<HumanDuration>,
    /// The deduplication key: 1 to 256 bytes, for a single item only
    #[arg(long, value_name = "TEXT")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}
