//! What can be said of messages under work.

use clap::{ArgAction, Args, builder::FalseyValueParser};

use crate::{cli::args::Target, config::quantity::HumanDuration};

pub(crate) const LEASE_HELP: &str = "\
Prints one line per message: lease token, id, priority, payload. The token is the right to settle
the message, and a secret. The lease expires after its ttl, and the message is ready again. An empty
queue prints nothing and exits with 0.

Examples:
  lanekeeper lease orders --ttl 5m --wait 30s
  lanekeeper lease orders --depth 10 --worker w1 --json";

pub(crate) const ACK_HELP: &str = "\
The messages are done and leave the queue. A lease that failed is named on stderr and does not
affect the others; the command then exits with 1.

Examples:
  lanekeeper ack orders \"$LEASE\"
  lanekeeper lease orders | cut -f1 | xargs lanekeeper ack orders";

pub(crate) const NACK_HELP: &str = "\
The messages are ready again at their own positions, at once or after a delay; those that have
reached the max_deliveries of the queue become dead letters. A lease that failed is named on stderr
and does not affect the others; the command then exits with 1.

Examples:
  lanekeeper nack orders \"$LEASE\" --delay 30s --reason 'the bank does not answer'
  lanekeeper nack orders \"$LEASE\" --no-count";

pub(crate) const EXTEND_HELP: &str = "\
The leases expire after --ttl from now, even if that is earlier than before. A lease that failed is
named on stderr and does not affect the others; the command then exits with 1.

Examples:
  lanekeeper extend orders \"$LEASE\" --ttl 10m";

pub(crate) const DEAD_LETTER_HELP: &str = "\
The messages move to QUEUE-deadletter, an ordinary queue, with the reason and their history;
`redrive` moves them back. A lease that failed is named on stderr and does not affect the others;
the command then exits with 1.

Examples:
  lanekeeper dead-letter orders \"$LEASE\" --reason 'no such customer'
  lanekeeper peek orders-deadletter --depth 10";

pub(crate) const REDRIVE_HELP: &str = "\
Moves dead letters from QUEUE-deadletter back to QUEUE, behind the messages waiting there, with no
deliveries counted: all of them, the first N in pop order, or those named. Unknown ids are ignored.

Examples:
  lanekeeper redrive orders
  lanekeeper redrive orders --depth 10
  lanekeeper redrive orders --id 000000000000004d00000001";

/// `lease`
#[derive(Debug, Args)]
pub(crate) struct Lease {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// The largest number of messages: 1 to 100
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) depth: usize,
    /// The duration of the leases: 1s to 12h [default: the queue's, otherwise 30s]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<HumanDuration>,
    /// The time to wait for a message if the queue is empty: up to 60s
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    pub(crate) wait: HumanDuration,
    /// The worker that holds the leases: they end if it goes offline
    #[arg(long, env = "LANEKEEPER_WORKER", value_name = "ID")]
    pub(crate) worker: Option<String>,
    /// The life of the worker, from the answer to its heartbeat; the end of an earlier life does
    /// not end these leases
    #[arg(long, env = "LANEKEEPER_LIFE", value_name = "N", requires = "worker")]
    pub(crate) life: Option<u64>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Leases of a queue.
#[derive(Debug, Args)]
pub(crate) struct Leases {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// The lease tokens, as printed by `lease`: 1 to 1000
    #[arg(value_name = "LEASE", required = true)]
    pub(crate) leases: Vec<String>,
}

/// `ack`
#[derive(Debug, Args)]
pub(crate) struct Ack {
    #[command(flatten)]
    pub(crate) of: Leases,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `nack`
#[derive(Debug, Args)]
pub(crate) struct Nack {
    #[command(flatten)]
    pub(crate) of: Leases,
    /// The time before the messages are ready again
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    pub(crate) delay: HumanDuration,
    /// The reason, at most 1024 bytes, kept with the messages
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not count the deliveries for max_deliveries
    #[arg(
        long, action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) no_count: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `extend`
#[derive(Debug, Args)]
pub(crate) struct Extend {
    #[command(flatten)]
    pub(crate) of: Leases,
    /// The duration of the leases from now: 1s to 12h [default: the queue's, otherwise 30s]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<HumanDuration>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `dead-letter`
#[derive(Debug, Args)]
pub(crate) struct DeadLetter {
    #[command(flatten)]
    pub(crate) of: Leases,
    /// The reason, at most 1024 bytes, kept with the dead letters
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `redrive`
#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// The queue to move dead letters back to
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// Only the first N in pop order [default: all]
    #[arg(long, value_name = "N", conflicts_with = "ids")]
    pub(crate) depth: Option<usize>,
    /// Only these, by their ids in the dead-letter queue; may be repeated, up to 1000 ids
    #[arg(
        long = "id", value_name = "MESSAGE", value_delimiter = ',',
        num_args = 1..,
    )]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}
