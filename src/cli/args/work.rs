//! `work`: a command for each message.

use std::ffi::OsString;

use clap::{ArgAction, Args, builder::FalseyValueParser};

use crate::{cli::args::Target, config::quantity::HumanDuration};

pub(crate) const WORK_HELP: &str = "\
Each message is leased and the command run for it, with the payload on its stdin and its properties
in the environment: LANEKEEPER_MESSAGE_QUEUE, _ID, _LEASE, _PRIORITY, _DELIVERIES (from 1) and
_PUSHED_AT (Unix milliseconds). The lease is extended while the command runs. Exit code 0 acks the
message; any other code nacks it with a growing, random delay, and the exit code and the last line
of stderr as the reason.

`lanekeeper` inside the command talks to the same server: LANEKEEPER_SERVER is set. A token is
passed on if it is in the environment (LANEKEEPER_TOKEN), not if it was given as a flag. With
--data the directory stays in use until `work` ends.

After Ctrl-C, SIGTERM, SIGHUP or SIGQUIT it leases nothing more and lets commands finish for
--grace; a second signal does not wait. Commands still running are killed, and their messages given
back without counting the delivery. Exits with 130 after Ctrl-C and with 0 otherwise, or when
nothing is left to do, whatever the exit codes of the commands.

Examples:
  lanekeeper work orders -- ./charge.sh
  lanekeeper work orders --concurrency 4 --dead-letter-exit 65 -- python3 charge.py --verbose
  lanekeeper work orders --until-empty -- sh -c 'cat >> orders.jsonl'
  lanekeeper work orders -- sh -c 'jq -c .invoice | lanekeeper push invoices'";

/// `work`
#[derive(Debug, Args)]
pub(crate) struct Work {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, last = true)]
    pub(crate) command: Vec<OsString>,
    /// The largest number of commands at once: 1 to 1000
    #[arg(long, env = "LANEKEEPER_CONCURRENCY", value_name = "N", default_value_t = 1)]
    pub(crate) concurrency: usize,
    /// The duration of a lease between two extensions: 1s to 12h
    #[arg(long, env = "LANEKEEPER_LEASE_TTL", value_name = "TIME", default_value = "30s")]
    pub(crate) ttl: HumanDuration,
    /// The worker that holds the leases: they end if it goes offline
    #[arg(long, env = "LANEKEEPER_WORKER", value_name = "ID")]
    pub(crate) worker: Option<String>,
    /// The life of the worker, from the answer to its heartbeat; the end of an earlier life does
    /// not end these leases
    #[arg(long, env = "LANEKEEPER_LIFE", value_name = "N", requires = "worker")]
    pub(crate) life: Option<u64>,
    /// End after one message; wait for it if there is none
    #[arg(
        long, env = "LANEKEEPER_ONCE", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) once: bool,
    /// End when nothing is ready, without waiting for delayed messages
    ///
    /// It waits for a queue that is locked, paused, over its rate or out of permits: such a queue
    /// is not empty.
    #[arg(
        long, env = "LANEKEEPER_UNTIL_EMPTY", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) until_empty: bool,
    /// The exit code of the command that makes a message a dead letter: 1 to 255
    #[arg(
        long, env = "LANEKEEPER_DEAD_LETTER_EXIT", value_name = "CODE",
        value_parser = clap::value_parser!(u8).range(1..),
    )]
    pub(crate) dead_letter_exit: Option<u8>,
    /// The longest delay after the first failure; it doubles with each
    #[arg(long, env = "LANEKEEPER_RETRY_BASE", value_name = "TIME", default_value = "1s")]
    pub(crate) retry_base: HumanDuration,
    /// The longest delay after any failure
    #[arg(long, env = "LANEKEEPER_RETRY_MAX", value_name = "TIME", default_value = "5m")]
    pub(crate) retry_max: HumanDuration,
    /// The time commands may continue after a signal to end
    #[arg(long, env = "LANEKEEPER_GRACE", value_name = "TIME", default_value = "30s")]
    pub(crate) grace: HumanDuration,
    #[command(flatten)]
    pub(crate) target: Target,
}
