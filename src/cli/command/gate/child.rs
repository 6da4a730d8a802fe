//! The command that runs while a permit is held, and the signals that are passed on to it.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::cli::{
    exit::{CommandFailure, INTERRUPTED},
    output,
    signals::{has_terminal, is_hangup_ignored},
};

/// What signals do: end this process while it waits for its permit, and then are passed on to the
/// command.
pub(crate) struct Signals {
    watched: Arc<Mutex<Watched>>,
}

/// Whom a signal is for.
#[derive(Clone, Copy)]
enum Watched {
    /// This process: it waits.
    Nobody,
    Child(Running),
    /// Nobody: the permit is being released.
    Over,
    /// As before, and one signal came already.
    Urged,
}

/// A command under way.
#[derive(Clone, Copy)]
struct Running {
    pid: Pid,
    /// Whether it leads a process group. At a terminal it does not, so that it can read from it
    /// and Ctrl-C reaches it by itself.
    is_group: bool,
}

impl Running {
    fn send(self, signal: Signal) {
        // It may have ended this moment.
        let _ = if self.is_group {
            kill_process_group(self.pid, signal)
        } else {
            kill_process(self.pid, signal)
        };
    }
}

impl Signals {
    /// Watches from now on.
    pub(crate) fn watch() -> Result<Self, CommandFailure> {
        let watched = Arc::new(Mutex::new(Watched::Nobody));
        for kind in
            [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2]
        {
            if kind != Signal::HUP || !is_hangup_ignored() {
                pass_on(kind, Arc::clone(&watched))?;
            }
        }
        Ok(Self { watched })
    }

    /// Starts the command. A signal that comes meanwhile waits until it can be passed on.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut watched = self.lock();
        let is_group = !has_terminal();
        if is_group {
            command.process_group(0);
        }
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        *watched = pid.map_or(Watched::Over, |pid| Watched::Child(Running { pid, is_group }));
        Ok(child)
    }

    /// Sends the command a signal of our own.
    pub(crate) fn send(&self, signal: Signal) {
        if let Watched::Child(running) = *self.lock() {
            running.send(signal);
        }
    }

    /// The command has ended: its number may soon be another's.
    pub(crate) fn forget(&self) {
        *self.lock() = Watched::Over;
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a thread pass a signal on.
fn pass_on(kind: Signal, watched: Arc<Mutex<Watched>>) -> Result<(), CommandFailure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut received = {
        let _context = runtime.enter();
        signal(SignalKind::from_raw(kind.as_raw()))?
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            while received.recv().await.is_some() {
                pass(kind, &mut watched.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
    })?;
    Ok(())
}

fn pass(kind: Signal, watched: &mut Watched) {
    let is_ending = !matches!(kind, Signal::USR1 | Signal::USR2);
    match *watched {
        Watched::Child(running) if kind != Signal::INT || running.is_group => running.send(kind),
        Watched::Child(_) => {}
        _ if !is_ending => output::note("the signal has no meaning here: ignored"),
        Watched::Nobody | Watched::Urged => std::process::exit(i32::from(INTERRUPTED)),
        Watched::Over => *watched = Watched::Urged,
    }
}
