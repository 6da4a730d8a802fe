//! The command that is run for a message.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, Command},
    sync::mpsc::Sender,
};

use crate::cli::backend::queues::QueueLocation;

/// How much of a last line is kept.
const LINE_BYTES_MAX: usize = 512;
/// How long what a command left behind may keep its stderr open.
const STDERR_WAIT: Duration = Duration::from_millis(200);

/// A message to run the command for.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: String,
    /// None where nobody else can use it: the directory is in use.
    pub(crate) lease: Option<String>,
    pub(crate) priority: u32,
    pub(crate) deliveries: u32,
    pub(crate) pushed_at_ms: u64,
    pub(crate) payload: String,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CommandOutcome {
    Done,
    Failed(String),
    GivenUp(String),
}

/// The command, and whom to tell that it cannot be run at all.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) queue: String,
    pub(crate) command: Vec<OsString>,
    /// Where `lanekeeper` finds the queues inside the command.
    pub(crate) place: QueueLocation,
    pub(crate) dead_letter_exit: Option<u8>,
    pub(crate) broken: Sender<String>,
}

impl Job {
    /// Runs the command to its end. Dropping the future kills it and what it has started.
    pub(crate) async fn run(&self, task: Task) -> CommandOutcome {
        let mut command = Command::new(&self.command[0]);
        self.place.tell(command.as_std_mut());
        command
            .args(&self.command[1..])
            .env("LANEKEEPER_MESSAGE_QUEUE", &self.queue)
            .env("LANEKEEPER_MESSAGE_ID", &task.id)
            .envs(task.lease.iter().map(|lease| ("LANEKEEPER_MESSAGE_LEASE", lease)))
            .env("LANEKEEPER_MESSAGE_PRIORITY", task.priority.to_string())
            .env("LANEKEEPER_MESSAGE_DELIVERIES", task.deliveries.to_string())
            .env("LANEKEEPER_MESSAGE_PUSHED_AT", task.pushed_at_ms.to_string())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: the terminal's Ctrl-C is not for it.
            .process_group(0)
            .kill_on_drop(true);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                // No other message would fare better: this one goes back uncounted.
                let program = self.command[0].to_string_lossy();
                let _ = self.broken.try_send(format!("{program} cannot be run: {error}"));
                std::future::pending().await
            }
        };
        match attend(child, task.payload).await {
            Ok((status, _)) if status.success() => CommandOutcome::Done,
            Ok((status, line)) => {
                let colon = if line.is_empty() { "" } else { ": " };
                let reason = format!("{status}{colon}{line}");
                let given_up = self.dead_letter_exit.map(i32::from);
                let is_given_up = given_up.is_some() && status.code() == given_up;
                if is_given_up {
                    CommandOutcome::GivenUp(reason)
                } else {
                    CommandOutcome::Failed(reason)
                }
            }
            Err(error) => CommandOutcome::Failed(error.to_string()),
        }
    }
}

/// Feeds a child and waits for its end; answers with the last line it wrote to stderr.
async fn attend(mut child: Child, payload: String) -> io::Result<(ExitStatus, String)> {
    let mut group = ProcessGroup::of(&child);
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // A command need not read what it is given.
            let _ = stdin.write_all(payload.as_bytes()).await;
        }
    };
    let mut tail = OutputTail::default();
    let status = {
        let work = async { tokio::join!(feed, tail.follow(stderr)) };
        let mut work = std::pin::pin!(work);
        let (status, is_heard) = tokio::select! {
            status = child.wait() => (status?, false),
            _ = &mut work => (child.wait().await?, true),
        };
        group.is_over();
        if !is_heard {
            let _ = tokio::time::timeout(STDERR_WAIT, work).await;
        }
        status
    };
    Ok((status, tail.last_line()))
}

/// The process group of a child: killed when dropped before the child has ended.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    fn is_over(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may have ended this moment.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// The end of what was written.
#[derive(Default)]
struct OutputTail(Vec<u8>);

impl OutputTail {
    /// Passes everything on to our own stderr.
    async fn follow(&mut self, stderr: Option<ChildStderr>) {
        let Some(mut stderr) = stderr else { return };
        let mut bytes = [0; 4_096];
        while let Ok(count @ 1..) = stderr.read(&mut bytes).await {
            let _ = io::stderr().write_all(&bytes[..count]);
            self.add(&bytes[..count]);
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let excess = self.0.len().saturating_sub(LINE_BYTES_MAX);
        self.0.drain(..excess);
    }

    fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_last_that_says_something() {
        let mut tail = OutputTail::default();
        assert_eq!(tail.last_line(), "");
        tail.add(b"first\nno route");
        tail.add(b" to host\r\n\n");
        assert_eq!(tail.last_line(), "no route to host");
        tail.add(&[b'x'; 2_000]);
        assert_eq!(tail.last_line().len(), LINE_BYTES_MAX);
    }
}
