//! `lanekeeper queues`: which queues there are, and how much is in them.

use std::time::Duration;

use lanekeeper::server::wire;
use serde::Serialize;

use super::{
    Failure,
    backend::{self, Backend, ListOf, Missing},
    output::show,
    page,
};
use crate::{cli, config::Span};

/// A queue in numbers.
#[derive(Serialize)]
struct Detail {
    id: String,
    #[serde(flatten)]
    stats: wire::Stats,
}

/// Queues in numbers.
#[derive(Serialize)]
struct Details {
    queues: Vec<Detail>,
    count: usize,
    next: Option<String>,
}

/// Lists them, page by page.
pub(crate) fn run(args: &cli::Queues) -> Result<u8, Failure> {
    backend::with(&args.target, Missing::Refused, |backend| {
        let list = collect(backend, args)?;
        if !args.detail {
            return show(args.target.json, &list, &list.queues);
        }
        let detail = |id: String| backend.stats(&id).map(|stats| Detail { id, stats });
        let queues: Vec<_> = list.queues.into_iter().map(detail).collect::<Result<_, _>>()?;
        let lines: Vec<_> = queues.iter().map(row).collect();
        show(args.target.json, &Details { queues, count: list.count, next: list.next }, &lines)
    })
}

fn collect(backend: &dyn Backend, args: &cli::Queues) -> Result<wire::QueueList, Failure> {
    let (queues, next) = page::gather(args.limit, args.after.clone(), |after, limit| {
        let page = backend.queues(&ListOf { prefix: args.prefix.as_deref(), after, limit })?;
        Ok((page.queues, page.next))
    })?;
    Ok(wire::QueueList { count: queues.len(), queues, next })
}

fn row(Detail { id, stats }: &Detail) -> String {
    let wire::Stats { ready, scheduled, leased, dead, oldest_ready_age_ms, .. } = stats;
    let age = Span(Duration::from_secs(oldest_ready_age_ms / 1_000));
    format!(
        "{id:<32} ready {ready:<9} scheduled {scheduled:<9} leased {leased:<7} dead {dead:<7} \
         oldest {age}"
    )
}
