//! `lanekeeper workers`: which workers there are.

use std::time::{Duration, SystemTime};

use lanekeeper::wire;

use crate::{
    cli::{
        args,
        backend::queues::{self, Backend, Missing, WorkersOf},
        exit::{CommandFailure, DONE},
        output::Output,
        paging,
    },
    config::quantity::HumanDuration,
};

/// Lists them, page by page.
pub(crate) fn run(args: &args::worker::Workers) -> Result<u8, CommandFailure> {
    queues::with(&args.target, Missing::Refused, |backend| {
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

fn collect(
    backend: &dyn Backend,
    args: &args::worker::Workers,
) -> Result<wire::WorkerList, CommandFailure> {
    let (workers, next) = paging::gather(args.limit, args.after.clone(), |after, limit| {
        let page = backend.workers(&WorkersOf { status: args.status, after, limit })?;
        Ok((page.workers, page.next))
    })?;
    Ok(wire::WorkerList { count: workers.len(), workers, next })
}

/// Who, what, and when it was last seen, by this machine's clock.
fn row(worker: &wire::Worker, now: SystemTime) -> String {
    let status = match worker.status {
        wire::WorkerStatus::Online => "online",
        wire::WorkerStatus::Offline => "offline",
    };
    let seen = SystemTime::UNIX_EPOCH + Duration::from_millis(worker.last_seen_at);
    let age = now.duration_since(seen).unwrap_or_default();
    let seconds = HumanDuration(Duration::from_secs(age.as_secs()));
    format!("{:<32} {status:<8} seen {seconds} ago", worker.id)
}
