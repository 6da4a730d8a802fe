//! What can be said of the settings of a queue.

use clap::{ArgAction, Args, Subcommand, builder::FalseyValueParser};

use crate::cli::args::{Target, stream::Remote};

pub(crate) const CONFIG_HELP: &str = "\
The settings of a queue: capacity, on_full, max_deliveries, lease_ttl_ms, message_ttl_ms, exclusive,
push_rate, gate and others, as PUT and PATCH /queue/{id}/config take them.

Examples:
  lanekeeper config get orders
  lanekeeper config patch orders capacity=100000 on_full=reject";

const GET_HELP: &str = "\
Examples:
  lanekeeper config get orders
  lanekeeper config get orders --json > orders.config.json";

const SET_HELP: &str = "\
Replaces all settings: those that are not named get their defaults. To change a few, use `patch`.

Examples:
  lanekeeper config set orders max_deliveries=5 lease_ttl_ms=60000
  lanekeeper config set orders \"$(cat orders.config.json)\"";

const PATCH_HELP: &str = "\
Changes the settings that are named, in one step, and leaves the others as they are; null stands for
the default.

Examples:
  lanekeeper config patch orders capacity=100000
  lanekeeper config patch orders 'pop_rate={\"per_second\":20}' exclusive=null
  lanekeeper config patch orders '{\"capacity\":100000}'";

pub(crate) const PAUSE_HELP: &str = "\
Both pushes and pops are refused from now on, beyond a restart too, unless one of them is named;
what is leased can still be settled.

Examples:
  lanekeeper pause orders
  lanekeeper pause orders --pop";

pub(crate) const RESUME_HELP: &str = "\
Pushes and pops are taken again, unless one of them is named.

Examples:
  lanekeeper resume orders
  lanekeeper resume orders --push";

pub(crate) const SINK_HELP: &str = "\
A sink is a webhook: the server posts the messages of the queue to an address. Private addresses are
refused unless the server allows them (--sink-allow).

Examples:
  lanekeeper sink set orders https://example.com/orders
  lanekeeper sink get orders
  lanekeeper sink remove orders";

const SINK_GET_HELP: &str = "\
A queue without a sink is told as sink_not_found, and the command exits 1.

Examples:
  lanekeeper sink get orders
  lanekeeper sink get orders --json";

const SINK_SET_HELP: &str = "\
Replaces the sink: settings that are not named get their defaults.

Examples:
  lanekeeper sink set orders https://example.com/orders
  lanekeeper sink set orders https://example.com/orders max_concurrency=20 lease_ttl_ms=60000";

const SINK_REMOVE_HELP: &str = "\
What is being delivered is finished; the messages stay in the queue.

Examples:
  lanekeeper sink remove orders";

pub(crate) const DELETE_HELP: &str = "\
Examples:
  lanekeeper delete message orders 000000000000004d00000001
  lanekeeper delete queue orders
  lanekeeper delete gate deploys --force --yes";

const DELETE_MESSAGE_HELP: &str = "\
A message that is leased stays with whoever works on it: told as leased, and the command exits 1.

Examples:
  lanekeeper delete message orders 000000000000004d00000001
  lanekeeper peek orders --priority 7 | cut -f1 | xargs -n1 lanekeeper delete message orders";

const DELETE_QUEUE_HELP: &str = "\
Its settings, its sink and its totals go too; its dead-letter queue stays. A queue that is not empty
is refused and left as it is, unless --force is given: then its messages go, those that are leased
too. At a terminal it asks first, unless --yes is given.

Examples:
  lanekeeper delete queue orders
  lanekeeper delete queue orders --force --yes";

const DELETE_GATE_HELP: &str = "\
Its policy and its totals go too. A gate at which somebody waits or holds a permit is refused and
left as it is, unless --force is given: then those who wait are sent away, and permits end. At a
terminal it asks first, unless --yes is given.

Examples:
  lanekeeper delete gate deploys
  lanekeeper delete gate deploys --force --yes";

const DELETE_STREAM_HELP: &str = "\
Its settings and what it kept for late subscribers go too; subscribers get what waits for them and
are told that it was deleted. At a terminal it asks first, unless --yes is given.

Examples:
  lanekeeper delete stream prices
  lanekeeper delete stream prices --yes";

const DELETE_WORKER_HELP: &str = "\
It goes offline if it is online: its leases and permits are given back. At a terminal it asks first,
unless --yes is given.

Examples:
  lanekeeper delete worker worker-7
  lanekeeper delete worker worker-7 --yes";

/// `config`
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// What to do with the settings
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
    Set(Settings),
    /// Change some settings of a queue
    #[command(after_help = PATCH_HELP)]
    Patch(Settings),
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
pub(crate) struct Settings {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) id: String,
    /// NAME=VALUE, the value in JSON or a word; or all of them as one JSON object
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
    /// Pushes alone, unless --pop is given too
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) push: bool,
    /// Pops and leases alone, unless --push is given too
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) pop: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `sink`
#[derive(Debug, Args)]
pub(crate) struct Sink {
    /// What to do with the sink
    #[command(subcommand)]
    pub(crate) command: SinkCommand,
}

/// What to do with the sink of a queue.
#[derive(Debug, Subcommand)]
pub(crate) enum SinkCommand {
    /// Show where the messages of a queue are posted to
    #[command(after_help = SINK_GET_HELP)]
    Get(QueueOfServer),
    /// Have the messages of a queue posted to an address
    #[command(after_help = SINK_SET_HELP)]
    Set(SetSink),
    /// Have them posted no longer
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
    /// NAME=VALUE, the value in JSON or a word
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
    /// Remove one message of a queue
    #[command(after_help = DELETE_MESSAGE_HELP)]
    Message(Message),
    /// Remove a queue and all that is known of it
    #[command(after_help = DELETE_QUEUE_HELP)]
    Queue(Whole),
    /// Remove a gate and all that is known of it
    #[command(after_help = DELETE_GATE_HELP)]
    Gate(Whole),
    /// Remove a stream and all that is known of it
    #[command(after_help = DELETE_STREAM_HELP)]
    Stream(Whole),
    /// Forget a worker
    #[command(after_help = DELETE_WORKER_HELP)]
    Worker(Whole),
}

/// What is deleted as a whole.
#[derive(Debug, Args)]
pub(crate) struct Whole {
    /// Its id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Even if it is in use; a stream or a worker goes without it, too
    #[arg(
        long, action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) force: bool,
    /// Do not ask first; without a terminal nothing is asked
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
    /// The message, as `peek` shows it
    #[arg(value_name = "MESSAGE")]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) target: Target,
}
