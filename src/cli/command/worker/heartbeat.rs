//! `lanekeeper heartbeat`: a worker's signs of life, until it ends.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use lanekeeper::queue::Item;

use crate::{
    cli::{
        args,
        backend::{
            http::RetryLimit,
            queues::{self, Backend, Missing},
        },
        exit::{CommandFailure, INTERRUPTED},
        output::{self, Output},
        signals,
    },
    config::quantity::HumanDuration,
};

/// The first pause after a beat that failed; it doubles up to the time between two beats.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Beats until it is told to end, then says goodbye.
pub(crate) fn run(args: &args::worker::Heartbeat) -> Result<u8, CommandFailure> {
    let (least, most) =
        (HumanDuration(Duration::from_millis(10)), HumanDuration(Duration::from_secs(3_600)));
    if !(least..=most).contains(&args.every) {
        let message = format!("--every must be from {least} to {most}, not {}", args.every);
        return Err(CommandFailure::usage(message));
    }
    let meta = args.meta.as_deref().map(Item::from_json).transpose();
    let meta = meta.map_err(|_| CommandFailure::usage("--meta must be one JSON object"))?;
    let endings = endings()?;
    let backend = queues::open(&args.target, Missing::Made, RetryLimit::REPEATED)?;
    let mut beats = Beats { args, meta, backend: &*backend, endings, is_online: false, life: None };
    let done = beats.until_the_end();
    let farewell = beats.farewell();
    backend.close()?;
    farewell.and(done)
}

/// The beats of one worker.
struct Beats<'a> {
    args: &'a args::worker::Heartbeat,
    meta: Option<Item>,
    backend: &'a dyn Backend,
    endings: Receiver<u8>,
    /// As far as the server was heard.
    is_online: bool,
    /// The life it is, once the server has said so.
    life: Option<u64>,
}

impl Beats<'_> {
    fn until_the_end(&mut self) -> Result<u8, CommandFailure> {
        let every = self.args.every.0;
        let mut retry_after = RETRY_AFTER.min(every);
        let mut is_away = false;
        loop {
            let pause = match self.backend.heartbeat(&self.args.id, self.meta.as_ref(), self.life) {
                Ok(beat) => {
                    self.tell(&beat)?;
                    (self.is_online, is_away) = (true, false);
                    self.life = (beat.life > 0).then_some(beat.life);
                    retry_after = RETRY_AFTER.min(every);
                    every
                }
                Err(failure) if failure.is_passing() => {
                    if !is_away {
                        output::note(&format!("{}; trying again", failure.message));
                    }
                    (self.is_online, is_away) = (false, true);
                    let pause = retry_after;
                    retry_after = (retry_after * 2).min(every);
                    pause
                }
                Err(failure) => return Err(failure),
            };
            match self.endings.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(exit_code) => return Ok(exit_code),
                Err(RecvTimeoutError::Disconnected) => return Ok(INTERRUPTED),
            }
        }
    }

    fn tell(&self, beat: &lanekeeper::wire::Beat) -> Result<(), CommandFailure> {
        let mut output = Output::new();
        if self.args.target.json {
            output.json(beat)?;
        } else if !self.is_online {
            output.line(format!("{} is online", self.args.id))?;
        }
        Ok(output.flush()?)
    }

    /// Says goodbye, unless the server was not there anyway.
    fn farewell(&self) -> Result<(), CommandFailure> {
        if !self.is_online {
            return Ok(());
        }
        self.backend.deregister(&self.args.id, self.life)?;
        if !self.args.target.json {
            let mut output = Output::new();
            output.line(format!("{} is offline", self.args.id))?;
            output.flush()?;
        }
        Ok(())
    }
}

/// The exit code of the signal that ends it; a second one ends the process at once.
fn endings() -> Result<Receiver<u8>, CommandFailure> {
    let (sender, receiver) = channel();
    let mut is_second = false;
    signals::on_each(move |ending| {
        if std::mem::replace(&mut is_second, true) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        // Nobody receives it when the command has ended by itself.
        let _ = sender.send(ending.exit_code());
    })?;
    Ok(receiver)
}
