//! `work`: a command for each message.

use std::ffi::OsString;

use clap::{ArgAction, Args, builder::FalseyValueParser};

use crate::{cli::args::Target, config::quantity::Span};

pub(crate) const WORK_HELP: &str = "\
Each message is leased and the command run for it, with the payload on its stdin and about it in its
environment: LANEKEEPER_MESSAGE_QUEUE, _ID, _LEASE, _PRIORITY, _DELIVERIES (from 1) and _PUSHED_AT
(Unix milliseconds). The lease is prolonged while it runs. Exit code 0 acknowledges the message;
anything else gives it back after a growing, random delay, with the exit code and the last line of
stderr as the reason.

`lanekeeper` inside the command talks to the same server: LANEKEEPER_SERVER is set. A token is
passed on if it is in the environment (LANEKEEPER_TOKEN), not if it was given as a flag. Under
--data the directory stays in use until `work` ends.

Ctrl-C, SIGTERM, SIGHUP and SIGQUIT lease no more and let commands finish for --grace; a second
signal does not wait. What is cut off is killed, and its message given back without counting the
delivery. Exits 130 after Ctrl-C and 0 otherwise, or when there is nothing more to do, however the
commands ended.

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
    /// Commands at once: 1 to 1000
    #[arg(long, env = "LANEKEEPER_CONCURRENCY", value_name = "N", default_value_t = 1)]
    pub(crate) concurrency: usize,
    /// How long a lease lasts unless it is prolonged: 1s to 12h
    #[arg(long, env = "LANEKEEPER_LEASE_TTL", value_name = "TIME", default_value = "30s")]
    pub(crate) ttl: Span,
    /// Who works: should this worker be found dead, the leases end
    #[arg(long, env = "LANEKEEPER_WORKER", value_name = "ID")]
    pub(crate) worker: Option<String>,
    /// Which life of the worker it is, as its heartbeats are answered: the end of an earlier one
    /// leaves the leases alone
    #[arg(long, env = "LANEKEEPER_LIFE", value_name = "N", requires = "worker")]
    pub(crate) life: Option<u64>,
    /// End after one message; wait for it if there is none
    #[arg(
        long, env = "LANEKEEPER_ONCE", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) once: bool,
    /// End when nothing is ready; what waits for another try is not waited for
    ///
    /// A queue that is locked, paused, over its rate or out of permits is not empty: it is waited
    /// for.
    #[arg(
        long, env = "LANEKEEPER_UNTIL_EMPTY", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) until_empty: bool,
    /// The exit code by which the command gives a message up: 1 to 255
    #[arg(
        long, env = "LANEKEEPER_DEAD_LETTER_EXIT", value_name = "CODE",
        value_parser = clap::value_parser!(u8).range(1..),
    )]
    pub(crate) dead_letter_exit: Option<u8>,
    /// The longest delay after the first failure; it doubles with each
    #[arg(long, env = "LANEKEEPER_RETRY_BASE", value_name = "TIME", default_value = "1s")]
    pub(crate) retry_base: Span,
    /// The longest delay of all
    #[arg(long, env = "LANEKEEPER_RETRY_MAX", value_name = "TIME", default_value = "5m")]
    pub(crate) retry_max: Span,
    /// How long commands may go on after they were told to end
    #[arg(long, env = "LANEKEEPER_GRACE", value_name = "TIME", default_value = "30s")]
    pub(crate) grace: Span,
    #[command(flatten)]
    pub(crate) target: Target,
}
