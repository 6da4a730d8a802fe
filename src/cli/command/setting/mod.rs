//! `lanekeeper config|pause|resume|sink|delete`: what a queue is told of itself, and the end of it
//! and of others.

pub(crate) mod backend;
pub(crate) mod deletion;
mod embedded;
mod http;

use lanekeeper::queue::Paused;
use serde_json::{Map, Value};

use crate::cli::{
    args::setting::{ConfigCommand, SinkCommand, Verbs},
    backend::{
        http::{Http, RetryLimit},
        queues::{self as place, Missing},
    },
    exit::CommandFailure,
    output::show,
};

/// Shows or changes settings.
pub(crate) fn config(command: &ConfigCommand) -> Result<u8, CommandFailure> {
    let (target, id) = match command {
        ConfigCommand::Get(args) => (&args.target, &args.id),
        ConfigCommand::Set(args) | ConfigCommand::Patch(args) => (&args.target, &args.id),
    };
    let given = match command {
        ConfigCommand::Get(_) => Value::Null,
        ConfigCommand::Set(args) | ConfigCommand::Patch(args) => settings(&args.settings)?.into(),
    };
    let missing = match command {
        ConfigCommand::Get(_) => Missing::Refused,
        ConfigCommand::Set(_) | ConfigCommand::Patch(_) => Missing::Made,
    };
    place::with(target, missing, |backend| {
        let config = match command {
            ConfigCommand::Get(_) => backend.config(id)?,
            ConfigCommand::Set(_) => backend.set_config(id, &given)?,
            ConfigCommand::Patch(_) => backend.change_config(id, &given)?,
        };
        show(target.json, &config, &rows(&config))
    })
}

/// Pauses verbs or takes them again: both, if none is named.
pub(crate) fn pause(args: &Verbs, is_paused: bool) -> Result<u8, CommandFailure> {
    let is_for_both = args.push == args.pop;
    let verbs = Paused { push: args.push || is_for_both, pop: args.pop || is_for_both };
    let missing = if is_paused { Missing::Made } else { Missing::Refused };
    place::with(&args.target, missing, |backend| {
        let now = backend.pause_queue(&args.id, verbs, is_paused)?;
        let words = match (now.paused.push, now.paused.pop) {
            (true, true) => "paused: push, pop",
            (true, false) => "paused: push",
            (false, true) => "paused: pop",
            (false, false) => "paused: nothing",
        };
        show(args.target.json, &now, &[words.to_owned()])
    })
}

/// Shows, sets or removes a sink.
pub(crate) fn sink(command: &SinkCommand) -> Result<u8, CommandFailure> {
    let remote = match command {
        SinkCommand::Get(args) | SinkCommand::Remove(args) => &args.remote,
        SinkCommand::Set(args) => &args.remote,
    };
    let http = Http::new(&remote.server, remote.token.as_deref(), RetryLimit::ONCE)?;
    place::exit_on_interrupt()?;
    let answer: Value = match command {
        SinkCommand::Get(args) => http.sink("GET", &args.id, &Value::Null)?,
        SinkCommand::Set(args) => {
            let mut given =
                if args.settings.is_empty() { Map::new() } else { settings(&args.settings)? };
            given.insert("url".to_owned(), args.url.clone().into());
            http.sink("PUT", &args.id, &given.into())?
        }
        SinkCommand::Remove(args) => http.sink("DELETE", &args.id, &Value::Null)?,
    };
    let lines = match command {
        SinkCommand::Remove(_) => vec!["removed".to_owned()],
        SinkCommand::Get(_) | SinkCommand::Set(_) => rows(&answer),
    };
    show(remote.json, &answer, &lines)
}

/// `NAME=VALUE` each, or one JSON object.
fn settings(given: &[String]) -> Result<Map<String, Value>, CommandFailure> {
    if let [text] = given
        && text.trim_start().starts_with('{')
    {
        let wrong =
            |error| CommandFailure::usage(format!("SETTING is not a valid JSON object: {error}"));
        return serde_json::from_str(text).map_err(wrong);
    }
    let mut settings = Map::new();
    for text in given {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let message = format!(
                "SETTING must be NAME=VALUE, such as capacity=1000, or one JSON object, not \
                 {text:?}"
            );
            return Err(CommandFailure::usage(message));
        };
        // A word needs no quotes.
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        if settings.insert(name.to_owned(), value).is_some() {
            return Err(CommandFailure::usage(format!("SETTING {name} is given twice")));
        }
    }
    Ok(settings)
}

/// A line for each setting.
fn rows(value: &Value) -> Vec<String> {
    let row = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name:<22}{text}"),
        other => format!("{name:<22}{other}"),
    };
    value.as_object().into_iter().flatten().map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(given: &[&str]) -> Result<Value, String> {
        let given: Vec<_> = given.iter().map(|&text| text.to_owned()).collect();
        settings(&given).map(Value::from).map_err(|failure| failure.message)
    }

    #[test]
    fn settings_are_pairs_or_one_object() {
        let pairs = read(&["capacity=5", "on_full=reject", "gate=null", "pop_rate={\"burst\":1}"]);
        let wanted = json!({"capacity": 5, "on_full": "reject", "gate": null,
            "pop_rate": {"burst": 1}});
        assert_eq!(pairs, Ok(wanted));
        assert_eq!(read(&[" {\"capacity\":5}"]), Ok(json!({"capacity": 5})));
        assert!(read(&["capacity"]).unwrap_err().contains("capacity=1000"));
        assert!(read(&["=5"]).unwrap_err().contains("NAME=VALUE"));
        assert!(read(&["a=1", "a=2"]).unwrap_err().contains("twice"));
        assert!(read(&["{\"a\":"]).unwrap_err().contains("JSON object"));
    }
}
