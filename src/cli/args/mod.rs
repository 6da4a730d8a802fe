//! The command line: what can be said, and what `--help` teaches.

pub(crate) mod check;
pub(crate) mod environment;
pub(crate) mod gate;
pub(crate) mod lease;
pub(crate) mod loadtest;
pub(crate) mod push;
pub(crate) mod queue;
pub(crate) mod setting;
pub(crate) mod stream;
pub(crate) mod work;
pub(crate) mod worker;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, builder::FalseyValueParser};

use crate::{
    cli::args::{
        check::{Check, Export},
        lease::{Ack, DeadLetter, Extend, Lease, Nack, Redrive},
        loadtest::{Analyze, Compare, Loadtest, Prepopulate},
        push::Push,
        queue::{Peek, Pop, Purge, Queues, Stats},
        setting::{Config, Delete, Sink, Verbs},
        stream::{Publish, Subscribe},
        work::Work,
        worker::{Heartbeat, Workers},
    },
    config::settings::Settings,
};

const AFTER_HELP: &str = "\
Where a command works, and the settings of a command that keeps running, can also be given as
environment variables: the help of each command lists them. A flag overrides the variable, and the
variable overrides the configuration file; an empty variable counts as unset. The messages a command
acts on, and their properties, are given by arguments only.

Examples:
  lanekeeper serve --data ./data
  lanekeeper push orders '{\"order\":41}' --priority 0
  lanekeeper work orders -- ./charge.sh

Exit codes:
  0    done
  1    failed: the server refused, or could not be reached
  2    usage: a flag or a setting is wrong
  3    could not start: the address or the data directory is not available
  4    a threshold of a load test was missed
  5    a regression was found
  6    verification failed: `check` found something wrong, `export` could not read everything, or a
       load test lost, duplicated, invented or misordered messages
  130  interrupted by Ctrl-C";

const SERVE_HELP: &str = "\
When it is ready it prints one line to stdout, `listening on http://ADDR`. Logs go to stderr.

SIGTERM, SIGQUIT and Ctrl-C drain: new requests are refused as `shutting_down`, readiness turns to
503, requests under way are finished, and everything is flushed. A clean drain exits with 0, or with
130 after Ctrl-C; a second signal ends the process at once. Acknowledged messages are kept in either
case. SIGHUP drains a server that was started at a terminal; elsewhere, as under `nohup` or a
supervisor, it is logged and ignored, as are SIGUSR1 and SIGUSR2: settings are read only at the
start.

The configuration file is TOML; its keys are the names of the flags with underscores:
  listen = \"127.0.0.1:8000\"
  data = \"/var/lib/lanekeeper\"
  idle_timeout = \"5m\"

Examples:
  lanekeeper serve
  lanekeeper serve --listen 127.0.0.1:0 --data ./data --durability relaxed
  LANEKEEPER_TOKEN=… lanekeeper serve --listen 0.0.0.0:8000 --config lanekeeper.toml";

const DOCS_HELP: &str = "\
The guides are Markdown; without a topic it lists them with their titles.

Examples:
  lanekeeper docs
  lanekeeper docs queue
  lanekeeper docs http | less";

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
    #[command(after_help = queue::POP_HELP)]
    Pop(Pop),
    /// Take messages under a lease: they come back unless they are acked
    #[command(after_help = lease::LEASE_HELP)]
    Lease(Lease),
    /// Acknowledge leased messages: they are done
    #[command(after_help = lease::ACK_HELP)]
    Ack(Ack),
    /// Give leased messages back
    #[command(after_help = lease::NACK_HELP)]
    Nack(Nack),
    /// Extend leases
    #[command(after_help = lease::EXTEND_HELP)]
    Extend(Extend),
    /// Move leased messages to the dead-letter queue
    #[command(after_help = lease::DEAD_LETTER_HELP)]
    DeadLetter(DeadLetter),
    /// Move dead letters back to their queue
    #[command(after_help = lease::REDRIVE_HELP)]
    Redrive(Redrive),
    /// Show messages by priority and arrival without taking them
    #[command(after_help = queue::PEEK_HELP)]
    Peek(Peek),
    /// Remove all messages of a queue, or those of one priority
    #[command(after_help = queue::PURGE_HELP)]
    Purge(Purge),
    /// Show the counts and totals of a queue
    #[command(after_help = queue::STATS_HELP)]
    Stats(Stats),
    /// List the queues
    #[command(after_help = queue::QUEUES_HELP)]
    Queues(Queues),
    /// Show or change the settings of a queue
    #[command(after_help = setting::CONFIG_HELP)]
    Config(Config),
    /// Refuse pushes, pops or both until they are resumed
    #[command(after_help = setting::PAUSE_HELP)]
    Pause(Verbs),
    /// Accept pushes, pops or both again
    #[command(after_help = setting::RESUME_HELP)]
    Resume(Verbs),
    /// Show, set or remove the webhook of a queue
    #[command(after_help = setting::SINK_HELP)]
    Sink(Sink),
    /// Delete one message, or a whole queue, gate, stream or worker
    #[command(after_help = setting::DELETE_HELP)]
    Delete(Delete),
    /// Run a command for each message of a queue
    #[command(after_help = work::WORK_HELP)]
    Work(Box<Work>),
    /// Send heartbeats of a worker until a signal ends it
    #[command(after_help = worker::HEARTBEAT_HELP)]
    Heartbeat(Heartbeat),
    /// List the workers
    #[command(after_help = worker::WORKERS_HELP)]
    Workers(Workers),
    /// Print the messages published to a stream
    #[command(after_help = stream::SUBSCRIBE_HELP)]
    Subscribe(Subscribe),
    /// Send messages to the subscribers of a stream
    #[command(after_help = stream::PUBLISH_HELP)]
    Publish(Publish),
    /// Acquire and release permits of gates, and manage gates
    #[command(after_help = gate::GATE_HELP)]
    Gate(GateArgs),
    /// Verify a data directory that no process has open
    #[command(after_help = check::CHECK_HELP)]
    Check(Check),
    /// Print every readable message of a data directory, even a damaged one
    #[command(after_help = check::EXPORT_HELP)]
    Export(Export),
    /// Print a guide, or list the guides
    #[command(after_help = DOCS_HELP)]
    Docs(Docs),
    /// Measure a server under load, and verify its guarantees
    #[command(after_help = loadtest::LOADTEST_HELP)]
    Loadtest(Box<Loadtest>),
    /// Fill a queue with messages; an interrupted run continues where it stopped
    #[command(after_help = loadtest::PREPOPULATE_HELP)]
    Prepopulate(Prepopulate),
    /// Show the results of load tests
    #[command(after_help = loadtest::ANALYZE_HELP)]
    Analyze(Analyze),
    /// Compare new results with a base, and report what is worse
    #[command(after_help = loadtest::COMPARE_HELP)]
    Compare(Compare),
}

/// `gate`
#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    /// The command
    #[command(subcommand)]
    pub(crate) command: gate::GateCommand,
}

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A TOML file with settings
    #[arg(long, env = "LANEKEEPER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// End at once when the parent process ends
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
    /// The token of the server, if it requires one
    #[arg(long, env = "LANEKEEPER_TOKEN", value_name = "SECRET", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Open this data directory instead of talking to a server
    ///
    /// No server may have it open. LANEKEEPER_DATA is the variable of the server, not of this flag.
    #[arg(long, env = "LANEKEEPER_CLIENT_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(
        long, env = "LANEKEEPER_JSON", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) json: bool,
}

/// `docs`
#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// The guide to print [default: list all guides]
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn visit(command: &clap::Command, path: &str, check: &impl Fn(&clap::Command, &str)) {
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            let path = format!("{path} {}", below.get_name());
            check(below, &path);
            visit(below, &path, check);
        }
    }

    #[test]
    fn every_command_has_an_example_of_itself() {
        visit(&Cli::command(), "lanekeeper", &|command, path| {
            let help = command.clone().render_long_help().to_string();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_default();
            assert!(examples.contains(path), "{path} --help has no example: {help}");
        });
    }

    /// An example that is no longer understood teaches what is wrong.
    #[test]
    fn every_flag_of_an_example_is_a_flag_of_its_command() {
        visit(&Cli::command(), "lanekeeper", &|command, path| {
            let help = command.clone().render_long_help().to_string();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_default();
            if command.has_subcommands() {
                return;
            }
            let start = format!("  {path} ");
            for line in examples.lines().filter(|line| line.starts_with(&start)) {
                let own = line.split(" -- ").next().unwrap_or_default();
                let own = own.split(['|', ';']).next().unwrap_or_default();
                for flag in own.split_whitespace().filter_map(|word| word.strip_prefix("--")) {
                    let mut flags = command.get_arguments().filter_map(clap::Arg::get_long);
                    assert!(flags.any(|known| known == flag), "{path} has no --{flag}");
                }
            }
        });
    }

    #[test]
    fn every_flag_has_a_help_and_every_setting_of_the_server_a_variable() {
        visit(&Cli::command(), "lanekeeper", &|command, path| {
            for flag in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let name = format!("{path} --{}", flag.get_id());
                assert!(flag.get_help().is_some(), "{name} has no help");
                let has_one = flag.get_env().is_some() || command.get_name() != "serve";
                assert!(has_one, "{name} has no variable");
            }
        });
    }
}
