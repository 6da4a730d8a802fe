//! `lanekeeper gate run`: a command that runs while a permit is held.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::cli::{
    args::gate::Run,
    backend::{
        http::RetryLimit,
        queues::{self, Backend, Missing, QueueLocation},
    },
    command::gate::{
        child::Signals,
        retry::{self, Away},
        wanted,
    },
    exit::{CommandFailure, FAILED},
    output,
};

/// How long the release of a permit is tried while the server is away: it ends by itself anyway.
const RELEASE_MAX: Duration = Duration::from_secs(30);
/// The shortest time an answer is waited for.
const ANSWER_MIN: Duration = Duration::from_secs(1);
/// A time at which nothing is due.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

/// Waits for a permit, runs the command, releases the permit; answers the command's exit code.
pub(crate) fn run(args: &Run) -> Result<u8, CommandFailure> {
    let owner = args.owner.clone().unwrap_or_else(own_name);
    let ttl = args.ttl.0;
    let wanted = wanted(&owner, &args.wish, Some(ttl), true)?;
    // Before there is a permit to be released: from then on a signal is passed on.
    let signals = Signals::watch()?;
    // An answer that takes longer than a part of the ttl comes too late to keep the permit.
    let patience = RetryLimit::REPEATED.answer((ttl / 3).max(ANSWER_MIN));
    let backend = queues::open(&args.target, Missing::Made, patience)?;
    let permit = Permit { backend: &*backend, id: &args.id, owner: &owner, ttl };
    let done = retry::acquire(permit.backend, permit.id, &wanted)
        .and_then(|_| permit.hold(args, &signals));
    backend.close()?;
    done
}

/// What the threads of a run tell.
enum Event {
    Ended(io::Result<ExitStatus>),
    /// The permit lasts until then at least.
    Extended(Instant),
    /// The permit has ended: why.
    Lost(String),
}

/// A permit that is held.
#[derive(Clone, Copy)]
struct Permit<'a> {
    backend: &'a dyn Backend,
    id: &'a str,
    owner: &'a str,
    ttl: Duration,
}

impl Permit<'_> {
    /// Runs the command and releases the permit.
    fn hold(&self, args: &Run, signals: &Signals) -> Result<u8, CommandFailure> {
        // Asked for again after a restart, it may have begun long ago.
        let until = self.extended_at_first()?;
        let child = match start(args, signals) {
            Ok(child) => child,
            Err(failure) => {
                self.release(until);
                return Err(failure);
            }
        };
        let (status, kept_until) = self.attend(child, signals, (until, args.grace.0))?;
        signals.forget();
        match kept_until {
            Some(until) => {
                self.release(until);
                Ok(exit_code(status))
            }
            None => Ok(FAILED),
        }
    }

    fn extended_at_first(&self) -> Result<Instant, CommandFailure> {
        let (began, mut away) = (Instant::now(), Away::known());
        loop {
            match self.extend() {
                Err(failure) if away.admits(&failure, true) && began.elapsed() < self.ttl => {
                    away.pause(&failure);
                }
                done => return done,
            }
        }
    }

    /// Lets the permit last longer; answers until when at least, by this machine's clock.
    fn extend(&self) -> Result<Instant, CommandFailure> {
        let asked = Instant::now();
        self.backend.extend(self.id, self.owner, self.ttl).map(|_| asked + self.ttl)
    }

    /// Waits for the command's end while the permit is kept; stops it when the permit is lost.
    /// Answers until when the permit lasts, if it was not lost.
    fn attend(
        &self,
        mut child: Child,
        signals: &Signals,
        (until, grace): (Instant, Duration),
    ) -> Result<(ExitStatus, Option<Instant>), CommandFailure> {
        let (sender, events) = channel();
        let (over, is_over) = channel();
        thread::scope(|scope| {
            let keeping = sender.clone();
            scope.spawn(move || self.keep(&keeping, &is_over));
            // Nobody receives it only when this function has failed.
            scope.spawn(move || drop(sender.send(Event::Ended(child.wait()))));
            let ended = self.watch(&events, signals, (until, grace));
            drop(over);
            ended
        })
    }

    fn watch(
        &self,
        events: &Receiver<Event>,
        signals: &Signals,
        (mut until, grace): (Instant, Duration),
    ) -> Result<(ExitStatus, Option<Instant>), CommandFailure> {
        let mut is_lost = false;
        loop {
            let reason = match events.recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(Event::Ended(status)) => return Ok((status?, (!is_lost).then_some(until))),
                Ok(Event::Extended(later)) if !is_lost => {
                    until = later;
                    continue;
                }
                Ok(Event::Extended(_)) => continue,
                Ok(Event::Lost(reason)) => reason,
                Err(_) if is_lost => {
                    signals.send(Signal::KILL);
                    until = Instant::now() + NEVER;
                    continue;
                }
                Err(_) => "it could not be extended before it ended".to_owned(),
            };
            if !std::mem::replace(&mut is_lost, true) {
                let (id, owner) = (self.id, self.owner);
                output::error(&format!(
                    "the permit of {owner} at {id} is lost: {reason}; the command is stopped"
                ));
                signals.send(Signal::TERM);
                until = Instant::now() + grace;
            }
        }
    }

    /// Extends the permit again and again, until the command has ended or the permit is lost.
    fn keep(&self, events: &Sender<Event>, is_over: &Receiver<()>) {
        let mut pause = self.ttl / 3;
        let mut is_told = false;
        while is_over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let event = match self.extend() {
                Ok(until) => {
                    (pause, is_told) = (self.ttl / 3, false);
                    Event::Extended(until)
                }
                Err(failure) if failure.code == "permit_not_found" => Event::Lost(failure.message),
                Err(failure) => {
                    if !std::mem::replace(&mut is_told, true) {
                        output::note(&format!("{}; trying again", failure.message));
                    }
                    pause = (self.ttl / 20).min(Duration::from_secs(1));
                    continue;
                }
            };
            let is_last = matches!(event, Event::Lost(_));
            if events.send(event).is_err() || is_last {
                return;
            }
        }
    }

    /// Ends the permit. What the command did stands, whether that succeeds or not.
    fn release(&self, until: Instant) {
        let until = until.min(Instant::now() + RELEASE_MAX);
        let mut away = Away::known();
        loop {
            match self.backend.release(self.id, self.owner) {
                Ok(released) if released.released => return,
                Ok(_) => return output::note("the permit had run out before the command ended"),
                Err(failure) if away.admits(&failure, true) && Instant::now() < until => {
                    away.pause(&failure);
                }
                Err(failure) => {
                    let message = failure.message;
                    return output::note(&format!(
                        "the permit was not released and ends by itself: {message}"
                    ));
                }
            }
        }
    }
}

fn start(args: &Run, signals: &Signals) -> Result<Child, CommandFailure> {
    let (program, rest) = args.command.split_first().expect("clap wants a command");
    let mut command = Command::new(program);
    QueueLocation::of(&args.target).tell(&mut command);
    let child = signals.spawn(command.args(rest));
    child.map_err(|error| CommandFailure::not_started(format!("{program}: {error}")))
}

/// A name that nobody else has: this process, and a number that tells it from earlier ones.
fn own_name() -> String {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("run-{}-{:x}", std::process::id(), since.as_nanos())
}

/// As a shell has it: 128 and the signal's number for a command that a signal ended.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
