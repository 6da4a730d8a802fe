//! `lanekeeper delete`: removes one message, or something as a whole, after asking.

use std::io::{IsTerminal, stdin};

use crate::cli::{
    args::setting::{DeleteCommand, Message, Whole},
    backend::queues::{self as place, Missing},
    command::setting::backend::DeletedKind,
    exit::{CommandFailure, FAILED},
    output::{self, show},
};

/// Deletes what is named.
pub(crate) fn delete(command: &DeleteCommand) -> Result<u8, CommandFailure> {
    match command {
        DeleteCommand::Message(args) => message(args),
        DeleteCommand::Queue(args) => whole(DeletedKind::Queue, args),
        DeleteCommand::Gate(args) => whole(DeletedKind::Gate, args),
        DeleteCommand::Stream(args) => whole(DeletedKind::Stream, args),
        DeleteCommand::Worker(args) => whole(DeletedKind::Worker, args),
    }
}

fn message(args: &Message) -> Result<u8, CommandFailure> {
    place::with(&args.target, Missing::Refused, |backend| {
        let deleted = backend.cancel(&args.id, &args.message)?;
        show(args.target.json, &deleted, &["deleted".to_owned()])
    })
}

/// Asks, if there is somebody to ask, and deletes. That there was none is no failure: it is gone.
fn whole(kind: DeletedKind, args: &Whole) -> Result<u8, CommandFailure> {
    place::with(&args.target, Missing::Refused, |backend| {
        if !args.yes && stdin().is_terminal() && !output::is_confirmed(&question(kind, args))? {
            output::note("nothing was deleted");
            return Ok(FAILED);
        }
        let done = backend.delete(kind, &args.id, args.force)?;
        let told = match done.deleted {
            true => "deleted".to_owned(),
            false => format!("there is no {} {}", kind.as_str(), args.id),
        };
        show(args.target.json, &done, &[told])
    })
}

fn question(kind: DeletedKind, Whole { id, force, .. }: &Whole) -> String {
    let with = match kind {
        DeletedKind::Queue if *force => ", with its messages",
        DeletedKind::Gate if *force => ", with those who wait at it or hold a permit",
        DeletedKind::Stream => ", with its subscribers",
        DeletedKind::Queue | DeletedKind::Gate | DeletedKind::Worker => "",
    };
    format!("Delete {} {id}{with}?", kind.as_str())
}
