//! `lanekeeper prepopulate`: fills a queue with any number of items.

use std::time::Duration;

use crate::{
    cli::{
        args,
        exit::{CommandFailure, DAMAGED, DONE, INTERRUPTED},
        output::{self, Output},
        signals,
    },
    loadtest::{
        fill::bulk::{Bulk, BulkError},
        target::{Subject, SubjectError},
    },
};

/// Pushes what is missing and checks the count.
pub(crate) fn run(args: &args::loadtest::Prepopulate) -> Result<u8, CommandFailure> {
    let wrong =
        |flag: &str, bound: &str| Err(CommandFailure::usage(format!("{flag} must be {bound}")));
    if !(1..=1_000).contains(&args.priorities) {
        return wrong("--priorities", "from 1 to 1000");
    }
    if !(64..=1 << 20).contains(&args.item_bytes) {
        return wrong("--item-bytes", "from 64 to 1048576");
    }
    if args.id.contains(|letter: char| !letter.is_ascii_alphanumeric() && !"._:-".contains(letter))
    {
        return wrong("ID", "of A-Z a-z 0-9 . _ : -");
    }
    let subject = Subject::running(&args.server, args.token.as_deref(), None);
    let subject = subject.map_err(|error| match error {
        SubjectError::Address(_) => CommandFailure::usage(error),
        _ => CommandFailure::failed(error),
    })?;
    let bulk = Bulk {
        id: args.id.clone(),
        count: args.count,
        priorities: args.priorities,
        item_bytes: args.item_bytes,
    };
    // What was pushed was acknowledged, batch by batch.
    signals::on_each(|ending| {
        output::note(&format!("{}: ended; run again, it goes on where it was", ending.name()));
        std::process::exit(i32::from(INTERRUPTED));
    })?;
    let mut told_at = Duration::ZERO;
    let found = bulk.fill(&subject, |filling| {
        if filling.elapsed >= told_at + Duration::from_secs(1) {
            told_at = filling.elapsed;
            let (done, total, left) = (filling.done, filling.total, filling.left().as_secs());
            output::hint(&format!("{done} of {total}, {:.0}/s, {left} s left", filling.rate()));
        }
    });
    let found = found.map_err(|error: BulkError| CommandFailure::failed(error))?;
    let mut output = Output::new();
    output.line(format!("{found} messages in {}", args.id))?;
    output.flush()?;
    if found < args.count {
        output::error(&format!("{} were to be there", args.count));
        return Ok(DAMAGED);
    }
    Ok(DONE)
}
