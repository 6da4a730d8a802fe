//! What can be said of the settings of a queue.

use clap::{ArgAction, Args, Subcommand, builder::FalseyValueParser};

use crate::cli::args::{Target, stream::Remote};

pub(crate) const CONFIG_HELP: &str = "\
The settings of a queue: capacity, on_full, max_deliveries, lease_ttl_ms, message_ttl_ms, exclusive,
push_rate, gate and others, as in PUT and PATCH /queue/{id}/config.

Examples:
  lanekeeper config get orders
  lanekeeper config patch orders capacity=100000 on_full=reject";

const GET_HELP: &str = "\
Examples:
  lanekeeper config get orders
  lanekeeper config get orders --json > orders.config.json";

const SET_HELP: &str = "\
Replaces all settings: those not named get their defaults. To change some of them, use `patch`.

Examples:
  lanekeeper config set orders max_deliveries=5 lease_ttl_ms=60000
  lanekeeper config set orders \"$(cat orders.config.json)\"";

const PATCH_HELP: &str = "\
Changes the named settings atomically and keeps the others; null means the default.

Examples:
  lanekeeper config patch orders capacity=100000
  lanekeeper config patch orders 'pop_rate={\"per_second\":20}' exclusive=null
  lanekeeper config patch orders '{\"capacity\":100000}'";

pub(crate) const PAUSE_HELP: &str = "\
Refuses pushes and pops, or one of them with --push or --pop, until `resume`, also after a restart.
Leases can still be settled.

Examples:
  lanekeeper pause orders
  lanekeeper pause orders --pop";

pub(crate) const RESUME_HELP: &str = "\
Accepts pushes and pops again, or one of them with --push or --pop.

Examples:
  lanekeeper resume orders
  lanekeeper resume orders --push";

pub(crate) const SINK_HELP: &str = "\
A sink is a webhook: the server posts the messages of the queue to an address. Private addresses are
refused unless the server allows them (`serve --sink-allow`).

Examples:
  lanekeeper sink set orders https://example.com/orders
  lanekeeper sink get orders
  lanekeeper sink remove orders";

const SINK_GET_HELP: &str = "\
A queue without a webhook fails as sink_not_found, and the command exits with 1.

Examples:
  lanekeeper sink get orders
  lanekeeper sink get orders --json";

const SINK_SET_HELP: &str = "\
Replaces the webhook: settings not named get their defaults.

Examples:
  lanekeeper sink set orders https://example.com/orders
  lanekeeper sink set orders https://example.com/orders max_concurrency=20 lease_ttl_ms=60000";

const SINK_REMOVE_HELP: &str = "\
Deliveries under way are finished; the messages stay in the queue.

Examples:
  lanekeeper sink remove orders";

pub(crate) const DELETE_HELP: &str = "\
Examples:
  lanekeeper delete message orders 000000000000004d00000001
  lanekeeper delete queue orders
  lanekeeper delete gate deploys --force --yes";

const DELETE_MESSAGE_HELP: &str = "\
A leased message is kept: the command fails as leased and exits with 1.

Examples:
  lanekeeper delete message orders 000000000000004d00000001
  lanekeeper peek orders --priority 7 | cut -f1 | xargs -n1 lanekeeper delete message orders";

const DELETE_QUEUE_HELP: &str = "\
Deletes also its settings, webhook and totals; its dead-letter queue stays. A queue that is not
empty is refused, unless --force is given: then its messages are deleted, leased ones included. At a
terminal it asks first, unless --yes is given.

Examples:
  lanekeeper delete queue orders
  lanekeeper delete queue orders --force --yes";

const DELETE_GATE_HELP: &str = "\
Deletes also its policy and totals. A gate with waiting owners or permits is refused, unless --force
is given: then waiting owners are refused and permits end. At a terminal it asks first, unless --yes
is given.

Examples:
  lanekeeper delete gate deploys
  lanekeeper delete gate deploys --force --yes";

const DELETE_STREAM_HELP: &str = "\
Deletes also its settings and retained messages; subscribers get the messages queued for them and a
notice. At a terminal it asks first, unless --yes is given.

Examples:
  lanekeeper delete stream prices
  lanekeeper delete stream prices --yes";

const DELETE_WORKER_HELP: &str = "\
An online worker goes offline first: its leases and permits are given back. At a terminal it asks
first, unless --yes is given.

Examples:
  lanekeeper delete worker worker-7
  lanekeeper delete worker worker-7 --yes";

/// `config`
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The command
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to do with the settings of a queue.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the settings of a queue
    #[command(after_help = GET_HELP)]
    Get(OneQueue),
    /// Replace the settings of a queue
    #[command(after_help = SET_HELP)]
    Set(SettingArgs),
    /// Change some settings of a queue
    #[command(after_help = PATCH_HELP)]
    Patch(SettingArgs),
}

/// A queue.
#[derive(Debug, Args)]
pub(crate) struct OneQueue {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Settings of a queue.
#[derive(Debug, Args)]
pub(crate) struct SettingArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// NAME=VALUE, with the value as JSON or a word; or one JSON object with all settings
    #[arg(value_name = "SETTING", required = true)]
    pub(crate) settings: Vec<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `pause` and `resume`
#[derive(Debug, Args)]
pub(crate) struct Verbs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// Only pushes, unless --pop is given too
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) push: bool,
    /// Only pops and leases, unless --push is given too
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) pop: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `sink`
#[derive(Debug, Args)]
pub(crate) struct Sink {
    /// The command
    #[command(subcommand)]
    pub(crate) command: SinkCommand,
}

/// What to do with the sink of a queue.
#[derive(Debug, Subcommand)]
pub(crate) enum SinkCommand {
    /// Show the webhook of a queue
    #[command(after_help = SINK_GET_HELP)]
    Get(QueueOfServer),
    /// Post the messages of a queue to an address
    #[command(after_help = SINK_SET_HELP)]
    Set(SetSink),
    /// Remove the webhook of a queue
    #[command(after_help = SINK_REMOVE_HELP)]
    Remove(QueueOfServer),
}

/// A queue of a server: nobody else delivers.
#[derive(Debug, Args)]
pub(crate) struct QueueOfServer {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// `sink set`
#[derive(Debug, Args)]
pub(crate) struct SetSink {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// The address, http:// or https://
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// NAME=VALUE, with the value as JSON or a word
    #[arg(value_name = "SETTING")]
    pub(crate) settings: Vec<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// `delete`
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// What to delete
    #[command(subcommand)]
    pub(crate) command: DeleteCommand,
}

/// What to delete.
#[derive(Debug, Subcommand)]
pub(crate) enum DeleteCommand {
    /// Delete one message of a queue
    #[command(after_help = DELETE_MESSAGE_HELP)]
    Message(Message),
    /// Delete a queue
    #[command(after_help = DELETE_QUEUE_HELP)]
    Queue(Whole),
    /// Delete a gate
    #[command(after_help = DELETE_GATE_HELP)]
    Gate(Whole),
    /// Delete a stream
    #[command(after_help = DELETE_STREAM_HELP)]
    Stream(Whole),
    /// Delete a worker
    #[command(after_help = DELETE_WORKER_HELP)]
    Worker(Whole),
}

/// What is deleted as a whole.
#[derive(Debug, Args)]
pub(crate) struct Whole {
    /// Its id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Delete it even if it is in use; not needed for streams and workers
    #[arg(
        long, action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) force: bool,
    /// Do not ask for confirmation, as without a terminal
    #[arg(
        long, action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// A message.
#[derive(Debug, Args)]
pub(crate) struct Message {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// The id of the message, as printed by `peek`
    #[arg(value_name = "MESSAGE")]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) target: Target,
}
