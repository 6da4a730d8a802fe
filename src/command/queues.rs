//! `lanekeeper queues`: which queues there are.

use lanekeeper::server::wire;

use super::{
    DONE, Failure,
    backend::{self, Backend, ListOf, Missing},
    output::Output,
    page,
};
use crate::cli;

/// Lists them, page by page.
pub(crate) fn run(args: &cli::Queues) -> Result<u8, Failure> {
    backend::with(&args.target, Missing::Refused, |backend| {
        let list = collect(backend, args)?;
        let mut output = Output::new();
        if args.target.json {
            output.json(&list)?;
        } else {
            for id in &list.queues {
                output.line(id)?;
            }
        }
        output.flush()?;
        Ok(DONE)
    })
}

fn collect(backend: &dyn Backend, args: &cli::Queues) -> Result<wire::QueueList, Failure> {
    let (queues, next) = page::gather(args.limit, args.after.clone(), |after, limit| {
        let page = backend.queues(&ListOf { prefix: args.prefix.as_deref(), after, limit })?;
        Ok((page.queues, page.next))
    })?;
    Ok(wire::QueueList { count: queues.len(), queues, next })
}
