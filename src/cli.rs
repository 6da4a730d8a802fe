//! The command line: what can be said, and what `--help` teaches.

pub(crate) mod gate;
mod lease;
mod loadtest;
mod push;
mod stream;
mod work;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, builder::FalseyValueParser};

use lanekeeper::liveness::WorkerStatus;

use crate::config::{Settings, Span};
pub(crate) use lease::{Ack, DeadLetter, Extend, Lease, Nack, Redrive};
pub(crate) use loadtest::{Analyze, Compare, Load, Loadtest, Output, Prepopulate};
pub(crate) use push::Push;
pub(crate) use stream::{Publish, Subscribe};
pub(crate) use work::Work;

const AFTER_HELP: &str = "\
Every flag can be given as an environment variable, LANEKEEPER_ and its name: the help of each
command lists them. A flag wins over the variable, the variable over the configuration file.

Exit codes:
  0    done
  1    failed: the server refused, or could not be reached
  2    usage: a flag or a setting is wrong
  3    could not start: the address or the data directory cannot be had
  4    a threshold of a load test was missed
  5    a regression was found
  6    verification failed: `check` found something wrong, or a load test lost, doubled, invented or
       misordered messages
  130  interrupted by Ctrl-C";

const SERVE_HELP: &str = "\
When it is ready it prints one line to stdout, `listening on http://ADDR`. Logs go to stderr.

SIGTERM and Ctrl-C drain: new requests are refused as `shutting_down`, readiness turns to 503, what
is under way is finished, everything is flushed. A clean drain exits 0 after SIGTERM and 130 after
Ctrl-C; a second signal ends the process at once. Nothing acknowledged is lost either way.

The configuration file is TOML; its keys are the names of the flags with underscores:
  listen = \"127.0.0.1:8000\"
  data = \"/var/lib/lanekeeper\"
  idle_timeout = \"5m\"

Examples:
  lanekeeper serve
  lanekeeper serve --listen 127.0.0.1:0 --data ./data --durability relaxed
  LANEKEEPER_TOKEN=… lanekeeper serve --listen 0.0.0.0:8000 --config lanekeeper.toml";

const POP_HELP: &str = "\
Prints one payload a line; an empty queue prints nothing and is no failure. What was popped is gone
from the queue.

Examples:
  lanekeeper pop orders --depth 10
  lanekeeper pop orders --wait 30s --json";

const HEARTBEAT_HELP: &str = "\
Beats until Ctrl-C or SIGTERM and then says goodbye, so that the worker is offline at once. While
the server cannot be reached it goes on trying. Prints a line when the worker's status changes; with
--json the answer to each beat.

Examples:
  lanekeeper heartbeat w1 --every 15s
  lanekeeper heartbeat w1 --meta '{\"slots\":4}' &";

const CHECK_HELP: &str = "\
Verifies the checksums of the journal, every record of the store, and that the counts of queues
agree with their messages. Nothing in the directory is changed; a copy of the store is made in the
directory for temporary files meanwhile. Exits 6 if something is wrong.

Examples:
  lanekeeper check ./lanekeeper-data
  lanekeeper check ./lanekeeper-data --json";

const DOCS_HELP: &str = "\
The guides are Markdown; without a topic they are listed with what each is about.

Examples:
  lanekeeper docs
  lanekeeper docs queue
  lanekeeper docs http | less";

const LOADTEST_HELP: &str = "\
Without --server it starts a server of its own on a temporary directory for each scenario. Requests
leave at the moments of the scenario's schedule whatever the answers do, and latency counts from
those moments: a stall of the server cannot hide. Every item is followed from its push to its pop.

Ctrl-C ends the run, shows and keeps what there is, and exits 130. Verification that finds a message
lost, doubled, invented or out of order exits 6.

Examples:
  lanekeeper loadtest list
  lanekeeper loadtest all --duration 10s
  lanekeeper loadtest s3a --server http://127.0.0.1:8000 --scale 10 --json result.json
  lanekeeper loadtest s3a --users 64 --duration 10s
  lanekeeper loadtest s3 --threshold 'push.p95<50ms' --threshold 'errors<1%' --junit report.xml
  lanekeeper loadtest s3a --max --targets baseline
  lanekeeper loadtest --web";

const COMPARE_HELP: &str = "\
A figure is worse when the median of the new runs is worse than that of the base runs by more than
the band: what repeated runs on either side differ by, at least 5 %; 30 % if there is one run on
each side. Results that were not run alike are refused. Anything worse exits 5.

Examples:
  lanekeeper loadtest s3a --repeat 5 --json base.json
  lanekeeper compare base.json new.json
  lanekeeper compare locust_stats.csv new_stats.csv --band 10%";

/// Durable priority queues: a server, and commands that talk to it.
#[derive(Debug, Parser)]
#[command(name = "lanekeeper", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve queues over HTTP
    #[command(after_help = SERVE_HELP)]
    Serve(Box<Serve>),
    /// Put messages into a queue
    #[command(after_help = push::PUSH_HELP)]
    Push(Push),
    /// Take the most urgent messages out of a queue
    #[command(after_help = POP_HELP)]
    Pop(Pop),
    /// Take messages to work on: they come back unless the work is done
    #[command(after_help = lease::LEASE_HELP)]
    Lease(Lease),
    /// Say that the work on leased messages is done
    #[command(after_help = lease::ACK_HELP)]
    Ack(Ack),
    /// Give leased messages back
    #[command(after_help = lease::NACK_HELP)]
    Nack(Nack),
    /// Let leases last longer
    #[command(after_help = lease::EXTEND_HELP)]
    Extend(Extend),
    /// Give up the work on leased messages
    #[command(after_help = lease::DEAD_LETTER_HELP)]
    DeadLetter(DeadLetter),
    /// Bring dead letters back to their queue
    #[command(after_help = lease::REDRIVE_HELP)]
    Redrive(Redrive),
    /// Show messages by priority and arrival and take none
    Peek(Peek),
    /// Remove all messages of a queue, or those of one priority
    Purge(Purge),
    /// Show a queue in numbers
    Stats(Stats),
    /// List the queues there are
    Queues(Queues),
    /// Run a command for each message of a queue
    #[command(after_help = work::WORK_HELP)]
    Work(Box<Work>),
    /// Say that a worker is alive, again and again
    #[command(after_help = HEARTBEAT_HELP)]
    Heartbeat(Heartbeat),
    /// List the workers there are
    Workers(Workers),
    /// Print what is published to a stream
    #[command(after_help = stream::SUBSCRIBE_HELP)]
    Subscribe(Subscribe),
    /// Send messages to the subscribers of a stream
    #[command(after_help = stream::PUBLISH_HELP)]
    Publish(Publish),
    /// Ask gates for permits, and look after them
    Gate(GateArgs),
    /// Verify a data directory that nobody has open
    #[command(after_help = CHECK_HELP)]
    Check(Check),
    /// Print a guide, or list the guides there are
    #[command(after_help = DOCS_HELP)]
    Docs(Docs),
    /// Measure a server under load, and verify that it keeps its promises meanwhile
    #[command(after_help = LOADTEST_HELP)]
    Loadtest(Box<Loadtest>),
    /// Fill a queue with any number of messages; run again, it goes on where it was ended
    Prepopulate(Prepopulate),
    /// Show the results of load tests
    Analyze(Analyze),
    /// Tell whether new results are worse than a base
    #[command(after_help = COMPARE_HELP)]
    Compare(Compare),
}

/// `gate`
#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    /// What to do with a gate
    #[command(subcommand)]
    pub(crate) command: gate::GateCommand,
}

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A TOML file with settings
    #[arg(long, env = "LANEKEEPER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// End at once when the process that started this one ends
    #[arg(
        long, env = "LANEKEEPER_END_WITH_PARENT", hide = true, action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) end_with_parent: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Where a command finds the queues, and how it prints.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The server to talk to
    #[arg(
        long,
        env = "LANEKEEPER_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8000"
    )]
    pub(crate) server: String,
    /// The token of the server, if it wants one
    #[arg(long, env = "LANEKEEPER_TOKEN", value_name = "SECRET", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Open this data directory instead of talking to a server
    ///
    /// No server may have it open. The variable is not LANEKEEPER_DATA: that is the server's.
    #[arg(long, env = "LANEKEEPER_CLIENT_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(
        long, env = "LANEKEEPER_JSON", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) json: bool,
}

/// `pop`
#[derive(Debug, Args)]
pub(crate) struct Pop {
    /// The queue
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Messages at most: 1 to 100
    #[arg(long, env = "LANEKEEPER_DEPTH", value_name = "N", default_value_t = 1)]
    pub(crate) depth: usize,
    /// How long to wait for a message if there is none: up to 60s
    #[arg(long, env = "LANEKEEPER_WAIT", value_name = "TIME", default_value = "0ms")]
    pub(crate) wait: Span,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `peek`
#[derive(Debug, Args)]
pub(crate) struct Peek {
    /// The queue
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Messages at most: 1 to 100
    #[arg(long, env = "LANEKEEPER_DEPTH", value_name = "N", default_value_t = 1)]
    pub(crate) depth: usize,
    /// Only messages of this priority
    #[arg(long, env = "LANEKEEPER_PRIORITY", value_name = "N")]
    pub(crate) priority: Option<u32>,
    /// Only messages after this one
    #[arg(long, env = "LANEKEEPER_AFTER", value_name = "MESSAGE")]
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
    #[arg(long, env = "LANEKEEPER_PRIORITY", value_name = "N")]
    pub(crate) priority: Option<u32>,
    /// Do not ask first; without a terminal nothing is asked
    #[arg(
        long, env = "LANEKEEPER_YES", action = ArgAction::SetTrue,
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
    /// Only queues whose id begins so
    #[arg(long, env = "LANEKEEPER_PREFIX", value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
    /// Only queues after this one
    #[arg(long, env = "LANEKEEPER_AFTER", value_name = "ID")]
    pub(crate) after: Option<String>,
    /// Queues at most [default: all]
    #[arg(long, env = "LANEKEEPER_LIMIT", value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `heartbeat`
#[derive(Debug, Args)]
pub(crate) struct Heartbeat {
    /// The worker; its first beat makes it known
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Time between two beats: 10ms to 1h
    #[arg(long, env = "LANEKEEPER_EVERY", value_name = "TIME", default_value = "15s")]
    pub(crate) every: Span,
    /// What the worker says of itself: one JSON object
    #[arg(long, env = "LANEKEEPER_META", value_name = "JSON")]
    pub(crate) meta: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `workers`
#[derive(Debug, Args)]
pub(crate) struct Workers {
    /// Only workers of this status: online or offline
    #[arg(long, env = "LANEKEEPER_STATUS", value_name = "STATUS")]
    pub(crate) status: Option<WorkerStatus>,
    /// Only workers after this one
    #[arg(long, env = "LANEKEEPER_AFTER", value_name = "ID")]
    pub(crate) after: Option<String>,
    /// Workers at most [default: all]
    #[arg(long, env = "LANEKEEPER_LIMIT", value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The data directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Print the report as JSON
    #[arg(
        long, env = "LANEKEEPER_JSON", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) json: bool,
}

/// `docs`
#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// The guide to print; all are listed when none is named
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_has_an_environment_variable_and_a_help() {
        let mut cli = Cli::command();
        cli.build();
        let mut commands: Vec<_> = cli.get_subcommands().collect();
        commands.extend(cli.get_subcommands().flat_map(clap::Command::get_subcommands));
        for command in commands.into_iter().filter(|command| command.get_name() != "help") {
            for flag in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let name = format!("{} --{}", command.get_name(), flag.get_id());
                assert!(flag.get_help().is_some(), "{name} has no help");
                let is_own = matches!(flag.get_id().as_str(), "help" | "version");
                assert!(is_own || flag.get_env().is_some(), "{name} has no variable");
            }
        }
    }
}
