//! The real binary: run to its end, or serving until it is told to stop.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio},
    sync::mpsc::{TryRecvError, channel},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// The binary without the settings of whoever runs the tests.
pub(crate) fn lanekeeper<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanekeeper"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LANEKEEPER_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What was printed by a command that was to succeed.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        &self.stdout
    }

    /// What was complained of by a command that was to fail.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{} {}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        &self.stderr
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// How long a test waits for a command before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command to its end, with nothing to read.
pub(crate) fn run(mut command: Command) -> Ended {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    end_of(command.spawn().unwrap())
}

/// Waits for the end of a command, which is brought about if it does not come.
fn end_of(child: Child) -> Ended {
    let pid = pid_of(&child);
    let (sender, ended) = channel();
    thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => output.into(),
        Err(_) => {
            kill_process(pid, Signal::KILL).unwrap();
            panic!("killed: {:?}", Ended::from(ended.recv().unwrap()));
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// Runs a command, sends it a signal once something has happened, and waits for its end.
pub(crate) fn signal(mut command: Command, signal: Signal, happened: impl FnOnce()) -> Ended {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    happened();
    kill_process(pid_of(&child), signal).unwrap();
    end_of(child)
}

/// Runs a command to its end, with something to read.
pub(crate) fn run_with(mut command: Command, input: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A command that refuses its input does not read it all.
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let ended = end_of(child);
    writer.join().unwrap();
    ended
}

/// A command under way, of which every line of stdout is awaited; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Option<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take().map(BufReader::new);
        Self { child, stdout, stderr }
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line of stderr.
    pub(crate) fn complaint(&mut self) -> String {
        let mut complaint = String::new();
        self.stderr.as_mut().unwrap().read_line(&mut complaint).unwrap();
        complaint
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid_of(&self.child), signal).unwrap();
    }

    /// Sends a signal until the command says something on stderr, which is answered: two signals at
    /// once may be seen as one.
    pub(crate) fn insist(&mut self, signal: Signal) -> String {
        let pid = pid_of(&self.child);
        let (ended, end) = channel::<()>();
        let insisting = thread::spawn(move || {
            while end.try_recv() == Err(TryRecvError::Empty) {
                let _ = kill_process(pid, signal);
                thread::yield_now();
            }
        });
        let complaint = self.complaint();
        drop(ended);
        insisting.join().unwrap();
        complaint
    }

    /// Waits for the end; answers with the exit code and the rest of stdout.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server in a process of its own; killed when dropped.
pub(crate) struct Serving {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// `http://ADDR`
    pub(crate) url: String,
}

impl Serving {
    /// Starts `serve` and waits for the line that says that it is ready.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(url) = line.trim_end().strip_prefix("listening on ") else {
            let output = child.wait_with_output().unwrap();
            panic!("{line:?} {}", String::from_utf8_lossy(&output.stderr));
        };
        let url = url.to_owned();
        Self { child, stdout, url }
    }

    /// Its number among the processes.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid_of(&self.child), signal).unwrap();
    }

    /// Waits for the end; answers with what was printed after the first line.
    pub(crate) fn wait(mut self) -> Ended {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        self.stdout.read_to_string(&mut stdout).unwrap();
        Ended { code: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
