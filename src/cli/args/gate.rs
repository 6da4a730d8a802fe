//! What can be said of gates.

use clap::{ArgAction, Args, Subcommand, builder::FalseyValueParser};

use crate::{cli::args::Target, config::quantity::HumanDuration};

pub(crate) const GATE_HELP: &str = "\
A gate is a distributed semaphore: owners acquire permits in the order of priority and arrival, and
the policy limits how many hold one at once.

Examples:
  lanekeeper gate policy deploys --set '{\"max_concurrent\":1}'
  lanekeeper gate run deploys -- ./deploy.sh production
  lanekeeper gate stats deploys";

const ACQUIRE_HELP: &str = "\
Prints the state of the owner: granted, or with --no-wait perhaps queued with its position. An owner
that acquires again keeps its permit or position, so the command tries again while the server is
away, as in a restart, until the timeout. It waits for a server that has never answered only with
--timeout.

Examples:
  lanekeeper gate acquire deploys build-7 --timeout 10m --ttl 1h
  lanekeeper gate acquire deploys build-7 --no-wait
  lanekeeper gate acquire exports job-3 --group tenant=acme --priority 0";

const RELEASE_HELP: &str = "\
Prints the owners that were granted a permit instead. Releasing twice has no effect.

Examples:
  lanekeeper gate release deploys build-7";

const EXTEND_HELP: &str = "\
The permit ends after --ttl from now, even if that is earlier than before.

Examples:
  lanekeeper gate extend deploys build-7 --ttl 10m";

const CANCEL_HELP: &str = "\
An owner that holds a permit keeps it, and the command exits with 1.

Examples:
  lanekeeper gate cancel deploys build-7";

const TICKET_HELP: &str = "\
Exits with 1 if the owner neither waits nor holds a permit.

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
The command runs while a permit is held. The exit code is that of the command, or 128 plus the
number of the signal that ended it. The ttl of the permit is extended while the command runs, so
that the permit of a crashed machine ends.

While the server is away, as in a restart, acquiring, extending and releasing are tried again: an
owner that acquires again keeps its permit or position. It waits for a server that has never
answered only with --timeout. If the permit is lost, because it was released or could not be
extended in time, the command gets SIGTERM, SIGKILL after --grace, and the exit code is 1.

SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to the command. Ctrl-C reaches it
directly at a terminal and is passed on elsewhere, where the command has its own process group.
A signal while the permit is awaited ends it with 130.

Examples:
  lanekeeper gate run deploys -- ./deploy.sh production
  lanekeeper gate run exports --group tenant=acme --timeout 10m -- make export";

const POLICY_HELP: &str = "\
Without --set and --unset it shows the policy that applies and its source: the gate itself, a parent
(`pack`, for `pack.action`), the node's default, or none.

Examples:
  lanekeeper gate policy deploys --set '{\"max_concurrent\":2}'
  lanekeeper gate policy pack --set '{\"max_concurrent\":10,\"group\":{\"tenant\":1}}'
  lanekeeper gate policy pack --unset";

/// What to do with a gate.
#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Acquire a permit, waiting for it
    #[command(after_help = ACQUIRE_HELP)]
    Acquire(Acquire),
    /// Release a permit, which is granted to the next owner
    #[command(after_help = RELEASE_HELP)]
    Release(OwnerArgs),
    /// Extend a permit
    #[command(after_help = EXTEND_HELP)]
    Extend(Extend),
    /// Remove a waiting owner from the wait queue
    #[command(after_help = CANCEL_HELP)]
    Cancel(OwnerArgs),
    /// Show the permit of an owner, or its position in the wait queue
    #[command(after_help = TICKET_HELP)]
    Ticket(OwnerArgs),
    /// Show the counts and totals of a gate
    #[command(after_help = STATS_HELP)]
    Stats(Gate),
    /// Show or set the policy of a gate
    #[command(after_help = POLICY_HELP)]
    Policy(Policy),
    /// Grant no more permits; waiting owners keep their positions
    #[command(after_help = PAUSE_HELP)]
    Pause(Gate),
    /// Grant permits again
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
pub(crate) struct OwnerArgs {
    /// The gate
    #[arg(value_name = "GATE")]
    pub(crate) id: String,
    /// The owner that waits or holds a permit
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
    /// Count the permit also against a group, such as tenant=acme; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) group: Vec<String>,
    /// The longest time to wait [default: the policy's]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<HumanDuration>,
    /// End the permit also when this worker goes offline
    #[arg(long, env = "LANEKEEPER_WORKER", value_name = "ID")]
    pub(crate) worker: Option<String>,
}

/// `gate acquire`
#[derive(Debug, Args)]
pub(crate) struct Acquire {
    /// The gate
    #[arg(value_name = "GATE")]
    pub(crate) id: String,
    /// The owner of the permit
    #[arg(value_name = "OWNER")]
    pub(crate) owner: String,
    #[command(flatten)]
    pub(crate) wish: Wish,
    /// End the permit after this time: 1s to 12h [default: only when it is released]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<HumanDuration>,
    /// Take a position in the wait queue and return at once
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
    /// The owner that holds the permit
    #[arg(value_name = "OWNER")]
    pub(crate) owner: String,
    /// The duration of the permit from now: 1s to 12h
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) ttl: HumanDuration,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `gate policy`
#[derive(Debug, Args)]
pub(crate) struct Policy {
    /// The gate
    #[arg(value_name = "GATE")]
    pub(crate) id: String,
    /// Set the gate's own policy, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "unset")]
    pub(crate) set: Option<String>,
    /// Remove the gate's own policy
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
    /// The owner of the permit [default: a unique name]
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,
    #[command(flatten)]
    pub(crate) wish: Wish,
    /// The time after which the permit of a crashed machine ends: 1s to 12h
    #[arg(long, env = "LANEKEEPER_PERMIT_TTL", value_name = "TIME", default_value = "30s")]
    pub(crate) ttl: HumanDuration,
    /// The time the command may continue after the permit was lost
    #[arg(long, env = "LANEKEEPER_GRACE", value_name = "TIME", default_value = "10s")]
    pub(crate) grace: HumanDuration,
    #[command(flatten)]
    pub(crate) target: Target,
}
