//! `check` and `export`: what can be said about a data directory that nobody has open.

use std::path::PathBuf;

use clap::{ArgAction, Args, builder::FalseyValueParser};

pub(crate) const CHECK_HELP: &str = "\
Verifies the checksums of the journal, every record of the store, and that the counts of queues
match their messages. Nothing in the directory is changed; the store is copied to the directory for
temporary files meanwhile. Exits with 6 if something is wrong.

With --repair, everything that can be read is written into a new directory, DIR.repaired, with
matching counts and indexes. Records that could not be saved are listed on stderr: exit code 0 if
there are none, otherwise 6. DIR itself is not changed, and may be one that `serve` refuses.

Examples:
  lanekeeper check ./lanekeeper-data
  lanekeeper check ./lanekeeper-data --json
  lanekeeper check --repair ./lanekeeper-data
  lanekeeper check ./lanekeeper-data --repair --to /mnt/spare/lanekeeper-data";

pub(crate) const EXPORT_HELP: &str = "\
Prints every readable message as a line of JSON: `queue`, `id`, `priority`, `state` (`ready`,
`scheduled` or `leased`), `pushed_at`, `deliveries`, `item`, and further fields if it has them.
Nothing in the directory is changed, and it may be one that `serve` refuses. Records that cannot be
read are listed on stderr, and the exit code is 6.

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
    /// Save everything readable into a new directory, and list what is lost
    #[arg(long)]
    pub(crate) repair: bool,
    /// The new directory, which must not exist yet [default: DIR.repaired]
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
    /// The data directory, as a flag like that of other commands
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Only the messages of this queue
    #[arg(long, value_name = "ID")]
    pub(crate) queue: Option<String>,
}
