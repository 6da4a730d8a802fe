//! `check` and `export`: what can be said about a data directory that nobody has open.

use std::path::PathBuf;

use clap::{ArgAction, Args, builder::FalseyValueParser};

pub(crate) const CHECK_HELP: &str = "\
Verifies the checksums of the journal, every record of the store, and that the counts of queues
agree with their messages. Nothing in the directory is changed; a copy of the store is made in the
directory for temporary files meanwhile. Exits 6 if something is wrong.

With --repair, what can be read is written into a new directory, DIR.repaired, in which everything
agrees again, and what could not be saved is told on stderr: exit code 0 if that is nothing, 6
otherwise. DIR itself is left as it is. It also works on a directory that `serve` refuses.

Examples:
  lanekeeper check ./lanekeeper-data
  lanekeeper check ./lanekeeper-data --json
  lanekeeper check --repair ./lanekeeper-data
  lanekeeper check ./lanekeeper-data --repair --to /mnt/spare/lanekeeper-data";

pub(crate) const EXPORT_HELP: &str = "\
Prints every message that can be read as a line of JSON: `queue`, `id`, `priority`, `state`
(`ready`, `scheduled` or `leased`), `pushed_at`, `deliveries`, `item`, and what else it has. Nothing
in the directory is changed, and it may be one that `serve` refuses. What cannot be read is told on
stderr, and the exit code is 6 then.

Examples:
  lanekeeper export ./lanekeeper-data > messages.jsonl
  lanekeeper export ./lanekeeper-data --queue orders
  lanekeeper export --data ./lanekeeper-data --queue orders";

/// `check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The data directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Save what can be read into a new directory, and tell what cannot
    #[arg(long)]
    pub(crate) repair: bool,
    /// The new directory, which must not exist yet; DIR.repaired when not given
    #[arg(long, value_name = "DIR", requires = "repair")]
    pub(crate) to: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(
        long, env = "LANEKEEPER_JSON", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) json: bool,
}

/// `export`
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The data directory
    #[arg(value_name = "DIR", required_unless_present = "data", conflicts_with = "data")]
    pub(crate) dir: Option<PathBuf>,
    /// The data directory, named as other commands do
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Only the messages of this queue
    #[arg(long, value_name = "ID")]
    pub(crate) queue: Option<String>,
}
