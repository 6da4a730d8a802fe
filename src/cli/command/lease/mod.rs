//! `lanekeeper lease|ack|nack|extend|dead-letter|redrive`: messages under work.

pub(crate) mod backend;
mod embedded;
mod http;

use std::io;

use lanekeeper::{
    queue::NackOptions,
    wire::{self, FailedLease},
};
use serde::Serialize;

use crate::{
    cli::{
        args,
        backend::queues::{self as place, Missing},
        command::lease::backend::{LeaseOf, RedriveOf},
        exit::{CommandFailure, DONE, FAILED},
        output::{self, Output, one_line, unless_closed},
    },
    config::quantity::HumanDuration,
};

/// Leases once.
pub(crate) fn run(args: &args::lease::Lease) -> Result<u8, CommandFailure> {
    let wanted = LeaseOf {
        depth: args.depth,
        ttl: args.ttl.map(|HumanDuration(ttl)| ttl),
        wait: args.wait.0,
        worker: args.worker.as_deref(),
        life: args.life,
    };
    place::with(&args.target, Missing::Refused, |backend| {
        let leased = backend.lease(&args.id, &wanted)?;
        let lost = |error| {
            let message =
                format!("{} leases were not printed and end by themselves: {error}", leased.count);
            CommandFailure::failed(message)
        };
        print(&leased, args.target.json).map_err(lost)?;
        Ok(DONE)
    })
}

fn print(leased: &wire::Leased, is_json: bool) -> io::Result<()> {
    let mut output = Output::new();
    if is_json {
        output.json(leased)?;
    } else {
        for leased in &leased.messages {
            let (lease, message) = (&leased.lease, &leased.message);
            let (id, priority) = (&message.id, message.priority);
            output.line(format!("{lease}\t{id}\t{priority}\t{}", one_line(message.item.get())))?;
        }
    }
    output.flush()
}

/// Settles leases whose work is done.
pub(crate) fn ack(args: &args::lease::Ack) -> Result<u8, CommandFailure> {
    place::with(&args.target, Missing::Refused, |backend| {
        let acked = backend.ack(&args.of.id, &args.of.leases)?;
        unless_closed(show(&args.target, &acked, &format!("acked {}", acked.acked)))?;
        Ok(exit_code(&acked.failed))
    })
}

/// Gives messages back.
pub(crate) fn nack(args: &args::lease::Nack) -> Result<u8, CommandFailure> {
    let reason = args.reason.clone();
    let options = NackOptions { delay: args.delay.0, reason, is_counted: !args.no_count };
    place::with(&args.target, Missing::Refused, |backend| {
        let nacked = backend.nack(&args.of.id, &args.of.leases, options)?;
        unless_closed(show(&args.target, &nacked, &format!("nacked {}", nacked.nacked)))?;
        Ok(exit_code(&nacked.failed))
    })
}

/// Prolongs leases.
pub(crate) fn extend(args: &args::lease::Extend) -> Result<u8, CommandFailure> {
    let ttl = args.ttl.map(|HumanDuration(ttl)| ttl);
    place::with(&args.target, Missing::Refused, |backend| {
        let done = backend.extend_leases(&args.of.id, &args.of.leases, ttl)?;
        unless_closed(show(&args.target, &done, &format!("extended {}", done.extended.len())))?;
        Ok(exit_code(&done.failed))
    })
}

/// Gives the work on messages up.
pub(crate) fn dead_letter(args: &args::lease::DeadLetter) -> Result<u8, CommandFailure> {
    place::with(&args.target, Missing::Refused, |backend| {
        let done = backend.dead_letter(&args.of.id, &args.of.leases, &args.reason)?;
        unless_closed(show(
            &args.target,
            &done,
            &format!("moved {} to {}", done.moved, done.queue),
        ))?;
        Ok(exit_code(&done.failed))
    })
}

/// Brings dead letters back.
pub(crate) fn redrive(args: &args::lease::Redrive) -> Result<u8, CommandFailure> {
    let which = match (args.depth, &args.ids[..]) {
        (Some(depth), _) => RedriveOf::First(depth),
        (None, []) => RedriveOf::All,
        (None, ids) => RedriveOf::Ids(ids),
    };
    place::with(&args.target, Missing::Refused, |backend| {
        let done = backend.redrive(&args.id, which)?;
        unless_closed(show(&args.target, &done, &format!("moved {}", done.moved)))?;
        Ok(DONE)
    })
}

fn show(target: &args::Target, answer: &impl Serialize, line: &str) -> io::Result<()> {
    let mut output = Output::new();
    if target.json {
        output.json(answer)?;
    } else {
        output.line(line)?;
    }
    output.flush()
}

/// Names the leases that failed.
fn exit_code(failed: &[FailedLease]) -> u8 {
    for FailedLease { lease, code } in failed {
        output::error(&format!("{lease}: {code}"));
    }
    if failed.is_empty() { DONE } else { FAILED }
}
