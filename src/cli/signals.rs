//! The signals that end a command, and those that do not.

use std::{
    fs,
    io::{IsTerminal, stderr, stdin, stdout},
    thread,
};

use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::cli::{
    exit::{CommandFailure, DONE, INTERRUPTED},
    output,
};

/// Why a command ends.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    Terminated,
    Interrupted,
    Quit,
    /// Its terminal is gone.
    HungUp,
}

impl Ending {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminated => "SIGTERM",
            Self::Interrupted => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::HungUp => "SIGHUP",
        }
    }

    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupted => INTERRUPTED,
            Self::Terminated | Self::Quit | Self::HungUp => DONE,
        }
    }
}

/// What signals do, listened for from when this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// None where it was ignored from the start: `nohup` wants it so.
    hangup: Option<Signal>,
    ends_on_hangup: bool,
    user: [Signal; 2],
    /// Told the name of a signal that changes nothing.
    ignored: fn(&str),
}

impl Signals {
    /// Those of a command that a person or a supervisor ends. Needs a Tokio runtime.
    pub(crate) fn of_command() -> Result<Self, CommandFailure> {
        Self::listen(true, |name| output::note(&format!("{name} has no meaning here: ignored")))
    }

    /// Those of the server: a hangup ends it only where a terminal can hang up. Needs a Tokio
    /// runtime. What exceeds a limit on the size of files is an error of that write, as on a disk
    /// that fails, and ends nothing.
    pub(crate) fn of_server() -> Result<Self, CommandFailure> {
        let too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        drop(signal(too_large).map_err(CommandFailure::not_started)?);
        Self::listen(has_terminal(), |signal| {
            tracing::info!(signal, "ignored: settings are read at the start alone");
        })
    }

    fn listen(ends_on_hangup: bool, ignored: fn(&str)) -> Result<Self, CommandFailure> {
        let listen = |kind| signal(kind).map_err(CommandFailure::not_started);
        let hangup = (!is_hangup_ignored()).then(|| listen(SignalKind::hangup())).transpose()?;
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            hangup,
            ends_on_hangup,
            user: [listen(SignalKind::user_defined1())?, listen(SignalKind::user_defined2())?],
            ignored,
        })
    }

    /// The next one that ends the command. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Ending {
        loop {
            let [user1, user2] = &mut self.user;
            let ignored = tokio::select! {
                _ = self.terminate.recv() => return Ending::Terminated,
                _ = self.interrupt.recv() => return Ending::Interrupted,
                _ = self.quit.recv() => return Ending::Quit,
                () = received(self.hangup.as_mut()) => {
                    if self.ends_on_hangup {
                        return Ending::HungUp;
                    }
                    "SIGHUP"
                }
                _ = user1.recv() => "SIGUSR1",
                _ = user2.recv() => "SIGUSR2",
            };
            (self.ignored)(ignored);
        }
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Has a thread call this with every signal that ends the command, from now on.
pub(crate) fn on_each(
    mut ending: impl FnMut(Ending) + Send + 'static,
) -> Result<(), CommandFailure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::of_command()?
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                ending(signals.next().await);
            }
        });
    })?;
    Ok(())
}

/// Whether this process belongs to somebody at a terminal.
pub(crate) fn has_terminal() -> bool {
    stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal()
}

/// Whether hangups were ignored when this process was started, as `nohup` does it.
pub(crate) fn is_hangup_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is the first signal.
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_read_from_the_status_of_the_process() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
