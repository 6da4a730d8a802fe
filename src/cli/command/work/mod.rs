//! `lanekeeper work`: a command for each message.

mod child;
mod embedded;
mod lease;
mod remote;

use std::{sync::Arc, time::Duration};

use lanekeeper::queue::Retry;
use serde::Serialize;
use tokio::{runtime::Builder, sync::mpsc};

use crate::cli::{
    args,
    backend::queues::QueueLocation,
    command::work::{child::Job, embedded::Embedded, remote::Remote},
    exit::{CommandFailure, DONE},
    output::{self, Output},
    signals::Signals,
};

/// Commands at once at most.
const CONCURRENCY_MAX: usize = 1_000;

/// What was done in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Summary {
    handled: u64,
    failed: u64,
    lost: u64,
    released: u64,
}

/// Works until there is nothing more to do or a signal says so.
pub(crate) fn run(args: &args::work::Work) -> Result<u8, CommandFailure> {
    if !(1..=CONCURRENCY_MAX).contains(&args.concurrency) {
        let message = format!("--concurrency must be from 1 to 1000, not {}", args.concurrency);
        return Err(CommandFailure::usage(message));
    }
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (exit_code, summary) = runtime.block_on(work(args))?;
    if args.target.json {
        let mut output = Output::new();
        output.json(&summary)?;
        output.flush()?;
    }
    runtime.shutdown_background();
    Ok(exit_code)
}

/// When failures are tried again.
fn retry(args: &args::work::Work) -> Retry {
    Retry { base: args.retry_base.0, delay_max: args.retry_max.0, deliveries_max: None }
}

async fn work(args: &args::work::Work) -> Result<(u8, Summary), CommandFailure> {
    let mut signals = Signals::of_command()?;
    let (broken, mut breakage) = mpsc::channel(1);
    let job = Arc::new(Job {
        queue: args.id.clone(),
        command: args.command.clone(),
        place: QueueLocation::of(&args.target),
        dead_letter_exit: args.dead_letter_exit,
        broken,
    });
    let mut source = MessageSource::open(args, job).await?;
    let done = tokio::select! {
        ended = source.ended() => ended.map(|()| DONE),
        ending = signals.next() => {
            drain(&mut source, args, &mut signals).await;
            Ok(ending.exit_code())
        }
        Some(reason) = breakage.recv() => {
            source.stop(Duration::ZERO).await;
            Err(CommandFailure::failed(reason))
        }
    };
    let summary = source.close().await;
    let exit_code = done?;
    Ok((exit_code, summary?))
}

/// Lets commands finish; a second signal kills them.
async fn drain(source: &mut MessageSource, args: &args::work::Work, signals: &mut Signals) {
    tokio::select! {
        () = source.stop(args.grace.0) => return,
        _ = signals.next() => output::note("a second signal: commands are killed"),
    }
    source.stop(Duration::ZERO).await;
}

/// Where the messages come from.
enum MessageSource {
    Embedded(Box<Embedded>),
    Remote(Remote),
}

impl MessageSource {
    async fn open(args: &args::work::Work, job: Arc<Job>) -> Result<Self, CommandFailure> {
        Ok(if args.target.data.is_some() {
            Self::Embedded(Box::new(Embedded::open(args, job).await?))
        } else {
            Self::Remote(Remote::start(args, job)?)
        })
    }

    /// Waits for the end that comes by itself. Dropping the future is safe.
    async fn ended(&mut self) -> Result<(), CommandFailure> {
        match self {
            Self::Embedded(embedded) => {
                embedded.ended().await;
                Ok(())
            }
            Self::Remote(remote) => remote.ended().await,
        }
    }

    /// Leases no more, waits so long for the commands that run, and kills them then. Dropping the
    /// future is safe, and so is another call.
    async fn stop(&mut self, grace: Duration) {
        match self {
            Self::Embedded(embedded) => embedded.stop(grace).await,
            Self::Remote(remote) => remote.stop(grace).await,
        }
    }

    async fn close(self) -> Result<Summary, CommandFailure> {
        match self {
            Self::Embedded(embedded) => embedded.close().await,
            Self::Remote(remote) => Ok(remote.summary()),
        }
    }
}
