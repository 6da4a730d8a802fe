//! What can be said of messages under work.

use clap::{ArgAction, Args, builder::FalseyValueParser};

use crate::{cli::args::Target, config::quantity::Span};

pub(crate) const LEASE_HELP: &str = "\
Prints a line a message: its lease, its id, its priority, its payload. The lease is the right to
settle the message and a secret; it ends after its ttl, and the message is ready again. An empty
queue prints nothing and is no failure.

Examples:
  lanekeeper lease orders --ttl 5m --wait 30s
  lanekeeper lease orders --depth 10 --worker w1 --json";

pub(crate) const ACK_HELP: &str = "\
The work is done and the messages are gone for good. A lease that failed is named on stderr, and
harms no other; then the command exits 1.

Examples:
  lanekeeper ack orders \"$LEASE\"
  lanekeeper lease orders | cut -f1 | xargs lanekeeper ack orders";

pub(crate) const NACK_HELP: &str = "\
The messages return to their places, priority and arrival, at once or after a delay; a queue with
max_deliveries makes those that were delivered too often dead letters. A lease that failed is named
on stderr, and harms no other; then the command exits 1.

Examples:
  lanekeeper nack orders \"$LEASE\" --delay 30s --reason 'the bank does not answer'
  lanekeeper nack orders \"$LEASE\" --no-count";

pub(crate) const EXTEND_HELP: &str = "\
The leases end so long from now, be that later or earlier than before. A lease that failed is named
on stderr, and harms no other; then the command exits 1.

Examples:
  lanekeeper extend orders \"$LEASE\" --ttl 10m";

pub(crate) const DEAD_LETTER_HELP: &str = "\
The messages go to the queue QUEUE-deadletter, an ordinary queue, with the reason and what is known
of them; `redrive` brings them back. A lease that failed is named on stderr, and harms no other;
then the command exits 1.

Examples:
  lanekeeper dead-letter orders \"$LEASE\" --reason 'no such customer'
  lanekeeper peek orders-deadletter --depth 10";

pub(crate) const REDRIVE_HELP: &str = "\
Brings dead letters from QUEUE-deadletter back to QUEUE, behind what waits there, with no deliveries
counted: all of them, the first so many in pop order, or those named. An id that is not there is
passed over.

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
    /// Messages at most: 1 to 100
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) depth: usize,
    /// How long the leases last: 1s to 12h [default: as the queue says, else 30s]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<Span>,
    /// How long to wait for a message if there is none: up to 60s
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    pub(crate) wait: Span,
    /// Who works on them: should this worker be found dead, the leases end
    #[arg(long, env = "LANEKEEPER_WORKER", value_name = "ID")]
    pub(crate) worker: Option<String>,
    /// Which life of the worker it is, as its heartbeats are answered: the end of an earlier one
    /// leaves the leases alone
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
    /// The leases, as `lease` printed them: 1 to 1000
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
    /// How long the messages wait before they are ready again
    #[arg(long, value_name = "TIME", default_value = "0ms")]
    pub(crate) delay: Span,
    /// Why, in at most 1024 bytes: kept with the messages
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
    /// How long they last from now: 1s to 12h [default: as the queue says, else 30s]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<Span>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `dead-letter`
#[derive(Debug, Args)]
pub(crate) struct DeadLetter {
    #[command(flatten)]
    pub(crate) of: Leases,
    /// Why, in at most 1024 bytes: kept with the dead letters
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `redrive`
#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// The queue whose dead letters come back
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// The first so many, in pop order [default: all]
    #[arg(long, value_name = "N", conflicts_with = "ids")]
    pub(crate) depth: Option<usize>,
    /// This one, by its id in the dead-letter queue; may be given again, up to 1000 times
    #[arg(
        long = "id", value_name = "MESSAGE", value_delimiter = ',',
        num_args = 1..,
    )]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}
