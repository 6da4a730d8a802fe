//! `lanekeeper peek`: shows messages by priority and arrival.

use crate::cli::{
    args,
    backend::queues::{self, Missing, PageOf},
    exit::{CommandFailure, DONE},
    output::{self, Output, one_line},
};

/// Shows one page.
pub(crate) fn run(args: &args::queue::Peek) -> Result<u8, CommandFailure> {
    queues::with(&args.target, Missing::Refused, |backend| {
        let after = args.after.as_deref();
        let wanted = PageOf { depth: args.depth, priority: args.priority, after };
        let page = backend.peek(&args.id, &wanted)?;
        let mut output = Output::new();
        if args.target.json {
            output.json(&page)?;
        } else {
            for message in &page.messages {
                let (id, priority) = (&message.id, message.priority);
                output.line(format!("{id}\t{priority}\t{}", one_line(message.item.get())))?;
            }
        }
        output.flush()?;
        if let (false, Some(next)) = (args.target.json, &page.next) {
            output::hint(&format!("there may be more: --after {next}"));
        }
        Ok(DONE)
    })
}
