//! `lanekeeper purge`: removes messages, after asking.

use std::io::{IsTerminal, stdin};

use crate::cli::{
    args,
    backend::queues::{self, Backend, Missing},
    exit::{CommandFailure, DONE, FAILED},
    output::{self, Output},
};

/// Asks, if there is somebody to ask, and removes.
pub(crate) fn run(args: &args::queue::Purge) -> Result<u8, CommandFailure> {
    queues::with(&args.target, Missing::Refused, |backend| {
        if !args.yes && stdin().is_terminal() && !is_confirmed(backend, args)? {
            output::note("nothing was removed");
            return Ok(FAILED);
        }
        let purged = backend.purge(&args.id, args.priority)?;
        let mut output = Output::new();
        if args.target.json {
            output.json(&purged)?;
        } else {
            output.line(format!("purged {}", purged.purged))?;
        }
        output.flush()?;
        Ok(DONE)
    })
}

fn is_confirmed(backend: &dyn Backend, args: &args::queue::Purge) -> Result<bool, CommandFailure> {
    let ready = backend.stats(&args.id)?.ready;
    let which = match args.priority {
        Some(priority) => format!("the messages of priority {priority}"),
        None => format!("all {ready} messages"),
    };
    output::is_confirmed(&format!("Remove {which} of {}?", args.id))
}
