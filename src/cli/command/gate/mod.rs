//! `lanekeeper gate`: permits, places in line, policies.

pub(crate) mod backend;
mod child;
mod embedded;
mod http;
mod retry;
pub(crate) mod run;

use std::time::Duration;

use lanekeeper::wire;
use serde::Serialize;

use crate::{
    cli::{
        args::{
            Target,
            gate::{Gate, GateCommand, Wish},
        },
        backend::queues::{self as place, Backend, Missing},
        command::gate::backend::Wanted,
        exit::{CommandFailure, DONE},
        output::Output,
    },
    config::quantity::HumanDuration,
};

/// Does what is said of a gate.
pub(crate) fn run(command: &GateCommand) -> Result<u8, CommandFailure> {
    match command {
        GateCommand::Acquire(args) => {
            let ttl = args.ttl.map(|HumanDuration(time)| time);
            let wanted = wanted(&args.owner, &args.wish, ttl, !args.no_wait)?;
            with(&args.target, Missing::Made, |backend| {
                let ticket = retry::acquire(backend, &args.id, &wanted)?;
                show(&args.target, &ticket, &[line_of(&ticket)])
            })
        }
        GateCommand::Release(args) => with(&args.target, Missing::Refused, |backend| {
            let released = backend.release(&args.id, &args.owner)?;
            let word = if released.released { "released" } else { "not held" };
            let granted = released.granted.iter().map(|owner| format!("granted {owner}"));
            let lines: Vec<_> = [word.to_owned()].into_iter().chain(granted).collect();
            show(&args.target, &released, &lines)
        }),
        GateCommand::Extend(args) => with(&args.target, Missing::Refused, |backend| {
            let extended = backend.extend(&args.id, &args.owner, args.ttl.0)?;
            show(&args.target, &extended, &[format!("until {}", extended.expires_at)])
        }),
        GateCommand::Cancel(args) => with(&args.target, Missing::Refused, |backend| {
            let cancelled = backend.cancel_place(&args.id, &args.owner)?;
            show(&args.target, &cancelled, &["cancelled".to_owned()])
        }),
        GateCommand::Ticket(args) => with(&args.target, Missing::Refused, |backend| {
            let ticket = backend.ticket(&args.id, &args.owner)?;
            show(&args.target, &ticket, &[line_of(&ticket)])
        }),
        GateCommand::Stats(args) => with(&args.target, Missing::Refused, |backend| {
            let stats = backend.gate_stats(&args.id)?;
            show(&args.target, &stats, &rows(&stats)?)
        }),
        GateCommand::Policy(args) => {
            let set = args.set.as_deref().map(serde_json::from_str::<wire::GatePolicy>);
            let set = set
                .transpose()
                .map_err(|error| CommandFailure::usage(format!("--set: {error}")))?;
            with(&args.target, Missing::Made, |backend| {
                let applied = match (&set, args.unset) {
                    (Some(policy), _) => backend.set_policy(&args.id, Some(policy))?,
                    (None, true) => backend.set_policy(&args.id, None)?,
                    (None, false) => backend.policy(&args.id)?,
                };
                show(&args.target, &applied, &rows(&applied)?)
            })
        }
        GateCommand::Pause(args) => pause(args, true),
        GateCommand::Resume(args) => pause(args, false),
        GateCommand::Run(args) => run::run(args),
    }
}

fn pause(args: &Gate, is_paused: bool) -> Result<u8, CommandFailure> {
    with(&args.target, Missing::Made, |backend| {
        let now = backend.pause_gate(&args.id, is_paused)?;
        let word = if now.paused { "paused" } else { "resumed" };
        show(&args.target, &now, &[word.to_owned()])
    })
}

fn with(
    target: &Target,
    missing: Missing,
    command: impl FnOnce(&dyn Backend) -> Result<u8, CommandFailure>,
) -> Result<u8, CommandFailure> {
    place::with(target, missing, command)
}

/// What an owner asks for, from flags.
fn wanted(
    owner: &str,
    wish: &Wish,
    ttl: Option<Duration>,
    is_waiting: bool,
) -> Result<Wanted, CommandFailure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(CommandFailure::usage(format!("--group must be NAME=VALUE, not {text:?}"))),
    };
    Ok(Wanted {
        owner: owner.to_owned(),
        priority: wish.priority,
        group: wish.group.iter().map(pair).collect::<Result<_, _>>()?,
        timeout: wish.timeout.map(|HumanDuration(time)| time),
        ttl,
        worker: wish.worker.clone(),
        is_waiting,
    })
}

fn line_of(ticket: &wire::Ticket) -> String {
    let wire::Ticket { state, owner, waited_ms, .. } = ticket;
    match ticket.position {
        None => format!("{state} {owner} after {waited_ms} ms"),
        Some(position) => {
            let eta = ticket.eta_ms.map(|eta_ms| format!(", in about {eta_ms} ms"));
            format!("{state} {owner} at position {position}{}", eta.unwrap_or_default())
        }
    }
}

/// A line for each field that is a number, a word or a truth.
fn rows(value: &impl Serialize) -> Result<Vec<String>, CommandFailure> {
    let value = serde_json::to_value(value).map_err(CommandFailure::failed)?;
    let fields = value.as_object().into_iter().flatten();
    let row = |(name, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::String(text) => format!("{name:<22}{text}"),
        other => format!("{name:<22}{other}"),
    };
    Ok(fields.map(row).collect())
}

fn show(target: &Target, value: &impl Serialize, lines: &[String]) -> Result<u8, CommandFailure> {
    let mut output = Output::new();
    if target.json {
        output.json(value)?;
    } else {
        for line in lines {
            output.line(line)?;
        }
    }
    output.flush()?;
    Ok(DONE)
}
