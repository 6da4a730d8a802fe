//! The signals that end a command.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{DONE, Failure, INTERRUPTED};

/// Why a command ends.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    Terminated,
    Interrupted,
}

impl Ending {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminated => "SIGTERM",
            Self::Interrupted => "SIGINT",
        }
    }

    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Terminated => DONE,
            Self::Interrupted => INTERRUPTED,
        }
    }
}

/// SIGTERM and Ctrl-C, listened for from when this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let terminate = signal(SignalKind::terminate()).map_err(Failure::not_started)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(Failure::not_started)?;
        Ok(Self { terminate, interrupt })
    }

    /// The next one. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => Ending::Terminated,
            _ = self.interrupt.recv() => Ending::Interrupted,
        }
    }
}
