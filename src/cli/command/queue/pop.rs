//! `lanekeeper pop`: takes messages and prints their payloads.

use std::io;

use lanekeeper::wire;

use crate::cli::{
    args,
    backend::queues::{self, Missing},
    exit::{CommandFailure, DONE},
    output::{Output, one_line},
};

/// Takes once.
pub(crate) fn run(args: &args::queue::Pop) -> Result<u8, CommandFailure> {
    queues::with(&args.target, Missing::Refused, |backend| {
        let popped = backend.pop(&args.id, args.depth, args.wait.0)?;
        let lost = |error| {
            let message = format!("{} messages were popped and not printed: {error}", popped.count);
            CommandFailure::failed(message)
        };
        print(&popped, args.target.json).map_err(lost)?;
        Ok(DONE)
    })
}

fn print(popped: &wire::Popped, is_json: bool) -> io::Result<()> {
    let mut output = Output::new();
    if is_json {
        output.json(popped)?;
    } else {
        for item in &popped.items {
            output.line(one_line(item.get()))?;
        }
    }
    output.flush()
}
