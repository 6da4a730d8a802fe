//! `lanekeeper gate run`: a command that runs while a permit is held.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use super::{Wanted, wanted};
use crate::{
    cli::gate::Run,
    command::{
        Failure, INTERRUPTED,
        backend::{self, Backend, Missing, Place},
        output,
    },
};

/// Waits for a permit, runs the command, releases the permit; answers the command's exit code.
pub(super) fn run(args: &Run) -> Result<u8, Failure> {
    let owner = args.owner.clone().unwrap_or_else(own_name);
    let wanted = wanted(&owner, &args.wish, Some(args.ttl.0), true)?;
    // Before there is a permit to be released: from then on a signal is passed on.
    let signals = Signals::watch()?;
    let backend = backend::open(&args.target, Missing::Made)?;
    let done = hold(&*backend, args, &wanted, &signals);
    backend.close()?;
    done
}

fn hold(
    backend: &dyn Backend,
    args: &Run,
    wanted: &Wanted,
    signals: &Signals,
) -> Result<u8, Failure> {
    let Wanted { owner, .. } = wanted;
    backend.acquire(&args.id, wanted)?;
    let ended = start(args, signals).and_then(|mut child| {
        thread::scope(|scope| {
            let (ended, is_ended) = channel();
            scope.spawn(move || extend(backend, &args.id, owner, args.ttl.0, &is_ended));
            let status = child.wait().map_err(Failure::from);
            drop(ended);
            status
        })
    });
    signals.forget();
    let released = backend.release(&args.id, owner);
    let status = ended?;
    if !released?.released {
        output::note("the permit had run out before the command ended");
    }
    Ok(exit_code(status))
}

fn start(args: &Run, signals: &Signals) -> Result<Child, Failure> {
    let (program, rest) = args.command.split_first().expect("clap wants a command");
    let mut command = Command::new(program);
    Place::of(&args.target).tell(&mut command);
    let child = signals.spawn(command.args(rest));
    child.map_err(|error| Failure::not_started(format!("{program}: {error}")))
}

/// Extends the permit until the command has ended.
fn extend(backend: &dyn Backend, id: &str, owner: &str, ttl: Duration, is_ended: &Receiver<()>) {
    while is_ended.recv_timeout(ttl / 3) == Err(RecvTimeoutError::Timeout) {
        if let Err(failure) = backend.extend(id, owner, ttl) {
            output::note(&format!("the permit was not extended: {}", failure.message));
        }
    }
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

/// What SIGTERM and Ctrl-C do: end this process while it waits for its permit, and then are passed
/// on to the command (Ctrl-C reaches it by itself).
struct Signals {
    child: Arc<Mutex<Watched>>,
}

#[derive(Clone, Copy)]
enum Watched {
    Nobody,
    Child(Pid),
    Over,
}

impl Signals {
    fn watch() -> Result<Self, Failure> {
        let child = Arc::new(Mutex::new(Watched::Nobody));
        let watched = Arc::clone(&child);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (mut terminate, mut interrupt) = {
            let _context = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let is_terminate = tokio::select! {
                        _ = terminate.recv() => true,
                        _ = interrupt.recv() => false,
                    };
                    let watched = *watched.lock().unwrap_or_else(PoisonError::into_inner);
                    match watched {
                        Watched::Nobody => std::process::exit(i32::from(INTERRUPTED)),
                        Watched::Child(pid) if is_terminate => {
                            // It may have ended in this moment.
                            let _ = kill_process(pid, Signal::TERM);
                        }
                        Watched::Child(_) | Watched::Over => {}
                    }
                }
            });
        })?;
        Ok(Self { child })
    }

    /// Starts the command. A signal that comes meanwhile waits until it can be passed on.
    fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut watched = self.lock();
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        *watched = pid.map_or(Watched::Over, Watched::Child);
        Ok(child)
    }

    /// The command has ended: its number may soon be another's.
    fn forget(&self) {
        *self.lock() = Watched::Over;
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
