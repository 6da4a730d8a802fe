//! Where commands find the queues: at a server, or in a data directory of their own.

use std::{
    path::{self, PathBuf},
    process::Command,
    time::Duration,
};

use lanekeeper::{queue::Item, wire, worker::WorkerStatus};

use crate::cli::{
    args::Target,
    backend::{
        embedded::Embedded,
        http::{Http, RetryLimit},
    },
    command::{
        gate::backend::GateBackend, lease::backend::LeaseBackend, setting::backend::SettingBackend,
    },
    exit::{CommandFailure, INTERRUPTED},
};

/// The verbs that commands need.
pub(crate) trait Backend: GateBackend + LeaseBackend + SettingBackend + Sync {
    /// Pushes all items or none.
    fn push(
        &self,
        id: &str,
        items: &[Item],
        terms: &PushOf<'_>,
    ) -> Result<wire::Pushed, CommandFailure>;

    /// Takes messages.
    fn pop(&self, id: &str, depth: usize, wait: Duration) -> Result<wire::Popped, CommandFailure>;

    /// Shows messages.
    fn peek(&self, id: &str, page: &PageOf<'_>) -> Result<wire::Page, CommandFailure>;

    /// Removes messages.
    fn purge(&self, id: &str, priority: Option<u32>) -> Result<wire::Purged, CommandFailure>;

    /// Shows a queue in numbers.
    fn stats(&self, id: &str) -> Result<wire::Stats, CommandFailure>;

    /// Lists a page of queues.
    fn queues(&self, page: &ListOf<'_>) -> Result<wire::QueueList, CommandFailure>;

    /// Lists a page of queues, with how much is in each.
    fn queue_depths(&self, page: &ListOf<'_>) -> Result<wire::QueueDepths, CommandFailure>;

    /// Says that a worker is alive, in the life that it has begun.
    fn heartbeat(
        &self,
        id: &str,
        meta: Option<&Item>,
        life: Option<u64>,
    ) -> Result<wire::Beat, CommandFailure>;

    /// Says that a worker goes.
    fn deregister(&self, id: &str, life: Option<u64>) -> Result<(), CommandFailure>;

    /// Lists a page of workers.
    fn workers(&self, page: &WorkersOf<'_>) -> Result<wire::WorkerList, CommandFailure>;

    /// Puts away what was opened.
    fn close(&self) -> Result<(), CommandFailure>;
}

/// What is said of pushed messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushOf<'a> {
    pub(crate) priority: u32,
    pub(crate) delay: Duration,
    pub(crate) ttl: Option<Duration>,
    pub(crate) key: Option<&'a str>,
}

/// Which messages to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageOf<'a> {
    pub(crate) depth: usize,
    pub(crate) priority: Option<u32>,
    pub(crate) after: Option<&'a str>,
}

/// Which queues to list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListOf<'a> {
    pub(crate) prefix: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
    pub(crate) limit: usize,
}

/// Which workers to list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkersOf<'a> {
    pub(crate) status: Option<WorkerStatus>,
    pub(crate) after: Option<&'a str>,
    pub(crate) limit: usize,
}

/// Where a command finds the queues: what the programs it runs are told, so that `lanekeeper` in
/// them finds the same ones.
#[derive(Clone, Debug)]
pub(crate) enum QueueLocation {
    Server(String),
    Directory(PathBuf),
}

impl QueueLocation {
    /// As the flags say.
    pub(crate) fn of(target: &Target) -> Self {
        match &target.data {
            Some(dir) => Self::Directory(path::absolute(dir).unwrap_or_else(|_| dir.clone())),
            None => Self::Server(target.server.clone()),
        }
    }

    /// Tells a program that is about to be started. A token goes on only if it came from the
    /// environment: whoever gave it as a flag gave it to this process.
    pub(crate) fn tell(&self, command: &mut Command) {
        match self {
            Self::Server(url) => {
                command.env("LANEKEEPER_SERVER", url).env_remove("LANEKEEPER_CLIENT_DATA")
            }
            Self::Directory(dir) => command.env("LANEKEEPER_CLIENT_DATA", dir),
        };
    }
}

/// What a missing data directory means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is made.
    Made,
    /// The command has nothing to do there.
    Refused,
}

/// Opens what the flags say.
pub(crate) fn open(
    target: &Target,
    missing: Missing,
    patience: RetryLimit,
) -> Result<Box<dyn Backend>, CommandFailure> {
    Ok(match &target.data {
        Some(dir) => Box::new(Embedded::open(dir, missing)?),
        None => Box::new(Http::new(&target.server, target.token.as_deref(), patience)?),
    })
}

/// Opens what the flags say, has the command use it, and puts it away.
pub(crate) fn with<T>(
    target: &Target,
    missing: Missing,
    command: impl FnOnce(&dyn Backend) -> Result<T, CommandFailure>,
) -> Result<T, CommandFailure> {
    let backend = open(target, missing, RetryLimit::ONCE)?;
    exit_on_interrupt()?;
    let done = command(&*backend);
    backend.close()?;
    done
}

/// Lets Ctrl-C end the process with the documented code.
pub(crate) fn exit_on_interrupt() -> Result<(), CommandFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            std::process::exit(i32::from(INTERRUPTED));
        }
    })?;
    Ok(())
}
