//! `lanekeeper queues`: which queues there are.

use lanekeeper::server::wire;

use super::{
    DONE, Failure,
    backend::{self, Backend, ListOf, Missing},
    output::Output,
};
use crate::cli;

/// Queues asked for at a time.
const PAGE_MAX: usize = 1_000;

/// Lists them, page by page.
pub(crate) fn run(args: &cli::Queues) -> Result<u8, Failure> {
    if args.limit == Some(0) {
        return Err(Failure::usage("--limit must be 1 or more"));
    }
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
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut list = wire::QueueList { next: args.after.clone(), ..wire::QueueList::default() };
    loop {
        let wanted = ListOf {
            prefix: args.prefix.as_deref(),
            after: list.next.as_deref(),
            limit: (limit - list.queues.len()).min(PAGE_MAX),
        };
        let page = backend.queues(&wanted)?;
        list.queues.extend(page.queues);
        list.count = list.queues.len();
        list.next = page.next;
        if list.next.is_none() || list.count >= limit {
            return Ok(list);
        }
    }
}
