//! Flags from the environment: an empty variable counts as unset, an unknown one is warned about.
//!
//! Variables say where a command works, and how a command that stays is set up. Which messages a
//! command acts on, and what it says of them, is said by arguments alone: a variable meant for one
//! command never changes what another one destroys.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{
    ArgMatches, Command, CommandFactory, Error, FromArgMatches,
    builder::{OsStr, Resettable},
    error::ErrorKind,
    parser::ValueSource,
};

/// How the names of all variables begin.
const PREFIX: &str = "LANEKEEPER_";
/// What `work` tells its commands of their messages.
const MESSAGE_PREFIX: &str = "LANEKEEPER_MESSAGE_";
/// What Kubernetes sets in each container beside a service named `lanekeeper`.
const FOREIGN: [&str; 2] = ["LANEKEEPER_SERVICE_", "LANEKEEPER_PORT"];
const CLIENT_DATA: &str = "LANEKEEPER_CLIENT_DATA";
/// Changed letters up to which a name is taken for a misspelling.
const MISSPELLING_MAX: usize = 3;

/// Parses the arguments and the environment of this process. Ends the process when they are wrong
/// or ask for help.
pub(crate) fn parse<C: CommandFactory + FromArgMatches>(warn: impl Fn(&str)) -> C {
    let ours = || std::env::vars_os().filter(|(name, _)| begins(name, PREFIX));
    let (empty, set): (Vec<_>, Vec<_>) = ours().partition(|(_, value)| value.is_empty());
    let names = |found: Vec<(OsString, OsString)>| found.into_iter().map(|(name, _)| name);
    let empty: Vec<_> = names(empty).collect();
    let parsed = matches::<C>(&empty);
    if parsed.as_ref().err().is_some_and(is_help) {
        // Asked again with every variable, so that the help lists the empty ones too.
        C::command().get_matches();
    }
    let known = Known::of(&C::command());
    names(set).filter_map(|name| known.warning(&name.to_string_lossy())).for_each(|text| {
        warn(&text);
    });
    parsed.and_then(|matches| C::from_arg_matches(&matches)).unwrap_or_else(|error| error.exit())
}

fn begins(name: &OsString, prefix: &str) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_bytes())
}

fn is_help(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// What was given, by arguments and variables, as if the `unset` ones were not there.
fn matches<C: CommandFactory>(unset: &[OsString]) -> Result<ArgMatches, Error> {
    let mut command = without(C::command(), unset);
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let mut leaf = &matches;
    while let Some((_, below)) = leaf.subcommand() {
        leaf = below;
    }
    let source =
        |id: &str| leaf.ids().any(|given| given == id).then(|| leaf.value_source(id)).flatten();
    match (source("server"), source("data")) {
        (Some(ValueSource::CommandLine), Some(ValueSource::CommandLine)) => {
            let message = "--server and --data cannot be given together: a command talks to a \
                           server or opens a data directory";
            Err(command.error(ErrorKind::ArgumentConflict, message))
        }
        // A flag wins over a variable, be it another one.
        (Some(ValueSource::CommandLine), Some(ValueSource::EnvVariable)) => {
            let unset: Vec<_> = unset.iter().cloned().chain([CLIENT_DATA.into()]).collect();
            without(C::command(), &unset).try_get_matches_from_mut(std::env::args_os())
        }
        _ => Ok(matches),
    }
}

/// The command, and all below it, without these variables.
fn without(command: Command, unset: &[OsString]) -> Command {
    let command = command.mut_args(|arg| {
        let is_unset = arg.get_env().is_some_and(|name| unset.iter().any(|unset| unset == name));
        if is_unset { arg.env(Resettable::<OsStr>::Reset) } else { arg }
    });
    command.mut_subcommands(|below| without(below, unset))
}

/// The variables that are read, and the flags that there are.
struct Known {
    variables: Vec<String>,
    /// The variables of the flags of this name, if they have any.
    flags: BTreeMap<String, Vec<String>>,
}

impl Known {
    fn of(command: &Command) -> Self {
        let mut known = Self { variables: Vec::new(), flags: BTreeMap::new() };
        known.add(command);
        known
    }

    fn add(&mut self, command: &Command) {
        for arg in command.get_arguments() {
            let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
            if let Some(long) = arg.get_long() {
                self.flags.entry(long.to_owned()).or_default().extend(variable.clone());
            }
            self.variables.extend(variable);
        }
        command.get_subcommands().for_each(|below| self.add(below));
    }

    /// What is to be said of a variable, if it is not one that is read.
    fn warning(&self, name: &str) -> Option<String> {
        let is_foreign = FOREIGN.iter().any(|prefix| name.starts_with(prefix));
        let is_known = self.variables.iter().any(|variable| variable == name);
        if is_foreign || is_known || name.starts_with(MESSAGE_PREFIX) {
            return None;
        }
        Some(format!("warning: {name} is not a variable of any command; {}", self.advice(name)))
    }

    fn advice(&self, name: &str) -> String {
        let flag = name.trim_start_matches(PREFIX).to_ascii_lowercase().replace('_', "-");
        if let Some(variables) = self.flags.get(&flag) {
            let mut advice = format!("give the flag --{flag}");
            let mut variables = variables.clone();
            variables.sort();
            variables.dedup();
            if !variables.is_empty() {
                advice.push_str(&format!(", or set {}", variables.join(" or ")));
            }
            return advice;
        }
        let nearest = self.variables.iter().map(|variable| (distance(name, variable), variable));
        match nearest.min() {
            Some((distance, variable)) if distance <= MISSPELLING_MAX => {
                format!("did you mean {variable}?")
            }
            _ => "`lanekeeper help COMMAND` lists the variables of a command".to_owned(),
        }
    }
}

/// Letters to insert, remove or replace to make one name the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (place, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], place + 1);
        for (column, counterpart) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *counterpart);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cli::args::Cli;

    #[test]
    fn an_unknown_variable_is_answered_with_what_was_meant() {
        let known = Known::of(&Cli::command());
        let warning = |name: &str| known.warning(name).unwrap_or_default();
        assert!(warning("LANEKEEPER_LISTENN").ends_with("did you mean LANEKEEPER_LISTEN?"));
        assert!(warning("LANEKEEPER_PRIORITY").ends_with("give the flag --priority"));
        let ttl = warning("LANEKEEPER_TTL");
        assert!(ttl.ends_with("or set LANEKEEPER_LEASE_TTL or LANEKEEPER_PERMIT_TTL"), "{ttl}");
        assert!(warning("LANEKEEPER_NONSENSE_ALTOGETHER").contains("lanekeeper help"));
        for name in [
            "LANEKEEPER_SERVER",
            "LANEKEEPER_MESSAGE_ID",
            "LANEKEEPER_PORT_8000_TCP_ADDR",
            "LANEKEEPER_SERVICE_HOST",
        ] {
            assert_eq!(known.warning(name), None, "{name}");
        }
    }

    #[test]
    fn a_distance_counts_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("server", "servre"), 2);
        assert_eq!(distance("server", "serve"), 1);
        assert_eq!(distance("same", "same"), 0);
    }

    /// What a variable means must not depend on the command that reads it.
    #[test]
    fn a_variable_has_one_meaning_and_none_chooses_what_is_destroyed() {
        let mut flags_of = BTreeMap::<String, Vec<String>>::new();
        fn visit(command: &Command, flags_of: &mut BTreeMap<String, Vec<String>>) {
            for arg in command.get_arguments() {
                let Some(name) = arg.get_env() else { continue };
                let flag = arg.get_long().unwrap().to_owned();
                flags_of.entry(name.to_str().unwrap().to_owned()).or_default().push(flag);
            }
            command.get_subcommands().for_each(|below| visit(below, flags_of));
        }
        visit(&Cli::command(), &mut flags_of);
        for (name, mut flags) in flags_of.clone() {
            flags.dedup();
            assert_eq!(flags.len(), 1, "{name}: {flags:?}");
            assert!(!name.starts_with(MESSAGE_PREFIX), "{name} is of messages");
        }
        let shared: Vec<_> = flags_of.iter().filter(|(_, flags)| flags.len() > 1).collect();
        let common = ["SERVER", "TOKEN", "CLIENT_DATA", "JSON", "WORKER", "LIFE", "GRACE"];
        for (name, flags) in shared {
            let own = name.trim_start_matches(PREFIX);
            assert!(common.contains(&own), "{name} is read by several commands: {flags:?}");
        }
        let stays = ["serve", "work", "heartbeat", "run", "loadtest", "prepopulate", "compare"];
        fn one_shots(command: &Command, stays: &[&str]) {
            for below in command.get_subcommands().filter(|c| !stays.contains(&c.get_name())) {
                for arg in below.get_arguments() {
                    let variable = arg.get_env().and_then(|name| name.to_str());
                    let is_where = variable.is_none_or(|name| {
                        let own = name.trim_start_matches(PREFIX);
                        ["SERVER", "TOKEN", "CLIENT_DATA", "JSON", "WORKER", "LIFE"].contains(&own)
                    });
                    assert!(is_where, "{} reads {variable:?}", below.get_name());
                }
                one_shots(below, stays);
            }
        }
        one_shots(&Cli::command(), &stays);
    }
}
