//! The commands of streams, which talk to a server alone.

use clap::{ArgAction, Args, builder::FalseyValueParser};
use lanekeeper::stream::Class;

pub(crate) const SUBSCRIBE_HELP: &str = "\
Prints the payload of each message on a line of its own as it arrives; gaps and notices go to
stderr. With --json every frame is printed as it was sent. Exits with 1 when the stream ends, with
130 after Ctrl-C, and with 0 after SIGTERM, SIGHUP or SIGQUIT.

Examples:
  lanekeeper subscribe prices
  lanekeeper subscribe prices --count 10 --json";

pub(crate) const PUBLISH_HELP: &str = "\
Messages are given as arguments or read from stdin, each one JSON object. A publish does not wait
for subscribers; it prints how many have the messages queued.

Examples:
  lanekeeper publish prices '{\"eur\":1.08}' --class critical
  lanekeeper publish prices < prices.jsonl";

/// Which server a command talks to that needs one, and how it prints.
#[derive(Debug, Args)]
pub(crate) struct Remote {
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
    /// Print JSON
    #[arg(
        long, env = "LANEKEEPER_JSON", action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new(),
    )]
    pub(crate) json: bool,
}

/// `subscribe`
#[derive(Debug, Args)]
pub(crate) struct Subscribe {
    /// The stream
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    /// End after N messages [default: never]
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// The largest number of messages queued for this subscriber: 1 to 100000 [default: 1000]
    #[arg(long, value_name = "N")]
    pub(crate) queue_max: Option<usize>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// `publish`
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The stream
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    /// Messages, each one JSON object [default: read from stdin, one per line]
    #[arg(id = "messages", value_name = "DATA")]
    pub(crate) data: Vec<String>,
    /// The class of the messages: control, critical, important or bulk
    #[arg(long, value_name = "CLASS", default_value = "important")]
    pub(crate) class: Class,
    /// Only this subscriber, by its number [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) subscriber: Option<u64>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}
