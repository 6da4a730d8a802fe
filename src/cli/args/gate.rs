//! What can be said of gates.

use clap::{ArgAction, Args, Subcommand, builder::FalseyValueParser};

use crate::{cli::args::Target, config::quantity::Span};

pub(crate) const GATE_HELP: &str = "\
A gate is a distributed semaphore: owners ask for permits, first come first served, and its policy
says how many hold one at once.

Examples:
  lanekeeper gate policy deploys --set '{\"max_concurrent\":1}'
  lanekeeper gate run deploys -- ./deploy.sh production
  lanekeeper gate stats deploys";

const ACQUIRE_HELP: &str = "\
Prints what the owner has: a permit, or with --no-wait perhaps a position in the line. Asked again,
an owner keeps what it has; so it is asked again while the server is away, as in a restart, until
the timeout. A server that was never there is waited for only with --timeout.

Examples:
  lanekeeper gate acquire deploys build-7 --timeout 10m --ttl 1h
  lanekeeper gate acquire deploys build-7 --no-wait
  lanekeeper gate acquire exports job-3 --group tenant=acme --priority 0";

const RELEASE_HELP: &str = "\
Prints who was let in instead. To release again does no harm.

Examples:
  lanekeeper gate release deploys build-7";

const EXTEND_HELP: &str = "\
The permit ends so long from now, be that later or earlier than before.

Examples:
  lanekeeper gate extend deploys build-7 --ttl 10m";

const CANCEL_HELP: &str = "\
An owner that holds a permit is left alone, and the command exits 1.

Examples:
  lanekeeper gate cancel deploys build-7";

const TICKET_HELP: &str = "\
An owner that neither waits nor holds a permit is not found, and the command exits 1.

Examples:
  lanekeeper gate ticket deploys build-7
  lanekeeper gate ticket deploys build-7 --json | jq -r .state";

const STATS_HELP: &str = "\
A gate that was never used shows zeros.

Examples:
  lanekeeper gate stats deploys
  lanekeeper gate stats deploys --json | jq .active_count";

const PAUSE_HELP: &str = "\
Examples:
  lanekeeper gate pause deploys";

const RESUME_HELP: &str = "\
Examples:
  lanekeeper gate resume deploys";

const RUN_HELP: &str = "\
The command runs while a permit is held, and this command ends with its exit code (128 and the
signal's number if a signal ended it). The permit has a ttl that is extended for as long as the
command runs, so that a machine that dies blocks nobody.

While the server is away, as in a restart, the permit is asked for, extended and released again and
again: an owner that asks again keeps its permit or its place. A server that was never there is
waited for only with --timeout. If the permit is lost, because somebody released it or it could not
be extended in time, the command gets SIGTERM, SIGKILL after --grace, and the exit code is 1.

SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to the command; Ctrl-C reaches it by
itself at a terminal and is passed on elsewhere, where the command has a process group of its own.
While it still waits for its permit, such a signal ends it with 130.

Examples:
  lanekeeper gate run deploys -- ./deploy.sh production
  lanekeeper gate run exports --group tenant=acme --timeout 10m -- make export";

const POLICY_HELP: &str = "\
Without --set and --unset it shows the policy that applies, and whose it is: the gate's own, that of
a parent (`pack`, for `pack.action`), the node's default, or none.

Examples:
  lanekeeper gate policy deploys --set '{\"max_concurrent\":2}'
  lanekeeper gate policy pack --set '{\"max_concurrent\":10,\"group\":{\"tenant\":1}}'
  lanekeeper gate policy pack --unset";

/// What to do with a gate.
#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Ask for a permit and wait for it
    #[command(after_help = ACQUIRE_HELP)]
    Acquire(Acquire),
    /// End a permit and let in who is next
    #[command(after_help = RELEASE_HELP)]
    Release(Place),
    /// Let a permit end so much later than now
    #[command(after_help = EXTEND_HELP)]
    Extend(Extend),
    /// Take a waiting owner out of the line
    #[command(after_help = CANCEL_HELP)]
    Cancel(Place),
    /// Show what an owner has: a permit, or a place in the line
    #[command(after_help = TICKET_HELP)]
    Ticket(Place),
    /// Show a gate in numbers
    #[command(after_help = STATS_HELP)]
    Stats(Gate),
    /// Show or set the policy of a gate
    #[command(after_help = POLICY_HELP)]
    Policy(Policy),
    /// Let nobody in from now on; those in line keep their places
    #[command(after_help = PAUSE_HELP)]
    Pause(Gate),
    /// Let owners in again
    #[command(after_help = RESUME_HELP)]
    Resume(Gate),
    /// Run a command while a permit is held
    #[command(after_help = RUN_HELP)]
    Run(Run),
}

/// A gate.
#[derive(Debug, Args)]
pub(crate) struct Gate {
    /// The gate
    #[arg(value_name = "GATE")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// An owner at a gate.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The gate
    #[arg(value_name = "GATE")]
    pub(crate) id: String,
    /// Who waits or holds a permit
    #[arg(value_name = "OWNER")]
    pub(crate) owner: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// What is asked for.
#[derive(Debug, Args)]
pub(crate) struct Wish {
    /// The priority: 0 (most urgent) to 2147483647
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) priority: u32,
    /// Count the permit also against a value, such as tenant=acme; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) group: Vec<String>,
    /// How long to wait at most [default: as the policy has it]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
    /// Let the permit end, too, when this worker is found dead
    #[arg(long, env = "LANEKEEPER_WORKER", value_name = "ID")]
    pub(crate) worker: Option<String>,
}

/// `gate acquire`
#[derive(Debug, Args)]
pub(crate) struct Acquire {
    /// The gate
    #[arg(value_name = "GATE")]
    pub(crate) id: String,
    /// Who asks
    #[arg(value_name = "OWNER")]
    pub(crate) owner: String,
    #[command(flatten)]
    pub(crate) wish: Wish,
    /// Let the permit end by itself: 1s to 12h [default: when it is released]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<Span>,
    /// Take a place in the line and do not wait for the permit
    #[arg(
        long, action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `gate extend`
#[derive(Debug, Args)]
pub(crate) struct Extend {
    /// The gate
    #[arg(value_name = "GATE")]
    pub(crate) id: String,
    /// Who holds the permit
    #[arg(value_name = "OWNER")]
    pub(crate) owner: String,
    /// How long the permit lasts from now: 1s to 12h
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) ttl: Span,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `gate policy`
#[derive(Debug, Args)]
pub(crate) struct Policy {
    /// The gate
    #[arg(value_name = "GATE")]
    pub(crate) id: String,
    /// Give the gate this policy of its own, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "unset")]
    pub(crate) set: Option<String>,
    /// Take the gate's own policy away
    #[arg(
        long, action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) unset: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `gate run`
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The gate
    #[arg(value_name = "GATE")]
    pub(crate) id: String,
    /// The command and its arguments, after `--`
    #[arg(value_name = "COMMAND", required = true, last = true)]
    pub(crate) command: Vec<String>,
    /// Who asks [default: a name of its own]
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,
    #[command(flatten)]
    pub(crate) wish: Wish,
    /// How long the permit outlives a machine that dies: 1s to 12h
    #[arg(long, env = "LANEKEEPER_PERMIT_TTL", value_name = "TIME", default_value = "30s")]
    pub(crate) ttl: Span,
    /// How long the command may go on after the permit was lost
    #[arg(long, env = "LANEKEEPER_GRACE", value_name = "TIME", default_value = "10s")]
    pub(crate) grace: Span,
    #[command(flatten)]
    pub(crate) target: Target,
}
