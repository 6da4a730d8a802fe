//! `lanekeeper workers`: which workers there are.

use std::time::{Duration, SystemTime};

use lanekeeper::server::wire;

use super::{
    DONE, Failure,
    backend::{self, Backend, Missing, WorkersOf},
    output::Output,
};
use crate::{cli, config::Span};

/// Workers asked for at a time.
const PAGE_MAX: usize = 1_000;

/// Lists them, page by page.
pub(crate) fn run(args: &cli::Workers) -> Result<u8, Failure> {
    if args.limit == Some(0) {
        return Err(Failure::usage("--limit must be 1 or more"));
    }
    backend::with(&args.target, Missing::Refused, |backend| {
        let list = collect(backend, args)?;
        let mut output = Output::new();
        if args.target.json {
            output.json(&list)?;
        } else {
            let now = SystemTime::now();
            for worker in &list.workers {
                output.line(row(worker, now))?;
            }
        }
        output.flush()?;
        Ok(DONE)
    })
}

fn collect(backend: &dyn Backend, args: &cli::Workers) -> Result<wire::WorkerList, Failure> {
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut list = wire::WorkerList { next: args.after.clone(), ..wire::WorkerList::default() };
    loop {
        let wanted = WorkersOf {
            status: args.status,
            after: list.next.as_deref(),
            limit: (limit - list.workers.len()).min(PAGE_MAX),
        };
        let page = backend.workers(&wanted)?;
        list.workers.extend(page.workers);
        list.count = list.workers.len();
        list.next = page.next;
        if list.next.is_none() || list.count >= limit {
            return Ok(list);
        }
    }
}

/// Who, what, and when it was last seen, by this machine's clock.
fn row(worker: &wire::Worker, now: SystemTime) -> String {
    let status = match worker.status {
        wire::WorkerStatus::Online => "online",
        wire::WorkerStatus::Offline => "offline",
    };
    let seen = SystemTime::UNIX_EPOCH + Duration::from_millis(worker.last_seen_at);
    let age = now.duration_since(seen).unwrap_or_default();
    let seconds = Span(Duration::from_secs(age.as_secs()));
    format!("{:<32} {status:<8} seen {seconds} ago", worker.id)
}
