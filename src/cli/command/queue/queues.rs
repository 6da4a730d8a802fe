//! `lanekeeper queues`: which queues there are, and how much is in them.

use lanekeeper::wire;

use crate::cli::{
    args,
    backend::queues::{self, ListOf, Missing},
    exit::CommandFailure,
    output::show,
    paging,
};

/// Lists them, page by page.
pub(crate) fn run(args: &args::queue::Queues) -> Result<u8, CommandFailure> {
    let prefix = args.prefix.as_deref();
    queues::with(&args.target, Missing::Refused, |backend| {
        if args.detail {
            let (queues, next) = paging::gather(args.limit, args.after.clone(), |after, limit| {
                let page = backend.queue_depths(&ListOf { prefix, after, limit })?;
                Ok((page.queues, page.next))
            })?;
            let lines: Vec<_> = queues.iter().map(row).collect();
            let list = wire::QueueDepths { count: queues.len(), queues, next };
            return show(args.target.json, &list, &lines);
        }
        let (queues, next) = paging::gather(args.limit, args.after.clone(), |after, limit| {
            let page = backend.queues(&ListOf { prefix, after, limit })?;
            Ok((page.queues, page.next))
        })?;
        let list = wire::QueueList { count: queues.len(), queues, next };
        show(args.target.json, &list, &list.queues)
    })
}

fn row(depth: &wire::QueueDepth) -> String {
    let wire::QueueDepth { id, ready, scheduled, leased, dead } = depth;
    format!("{id:<32} ready {ready:<9} scheduled {scheduled:<9} leased {leased:<7} dead {dead}")
}
