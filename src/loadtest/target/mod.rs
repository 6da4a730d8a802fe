//! The server under test: one that runs already, or one of its own on a temporary directory.

pub(crate) mod client;
pub(crate) mod disk;
mod folder;

use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, ToSocketAddrs},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cli::unreachable::sentence,
    loadtest::target::{
        client::{Client, refusal},
        disk::{Mounted, SmallDisk},
        folder::Folder,
    },
};

/// How long a server may take to answer after its start or a restart.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How a server says that it still reads its data.
const RECOVERING: &str = "(recovering)";

/// Why there is no server to test.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubjectError {
    /// The address is none.
    #[error("--server must be an address such as http://127.0.0.1:8000, not {0:?}")]
    Address(String),
    /// It does not answer.
    #[error("{0}")]
    Unreached(String),
    /// One of its own does not start.
    #[error("the server of the load test did not start: {0}")]
    NotStarted(String),
    /// It cannot be killed, or did not come back.
    #[error("{0}")]
    NotRestarted(String),
    /// Its disk cannot be filled or emptied.
    #[error("the disk of the server: {0}")]
    Disk(std::io::Error),
}

/// How a server of its own is started.
#[derive(Clone, Debug)]
pub(crate) struct OwnOptions {
    /// Where its temporary directory is made.
    pub(crate) parent: PathBuf,
    /// `durable`, `relaxed` or `memory`.
    pub(crate) durability: String,
    /// The disk it is to have, nearly full, instead of that directory's.
    pub(crate) disk: Option<SmallDisk>,
}

/// A server and how to reach it.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// How it is called.
    pub(crate) host: String,
    /// Its process, if that is known.
    pub(crate) pid: Option<u32>,
    token: Option<String>,
    own: Option<Own>,
}

/// A server of its own; it ends with this.
#[derive(Debug)]
struct Own {
    child: Child,
    folder: Folder,
    durability: String,
    disk: Option<Mounted>,
}

impl Subject {
    /// A server that runs already.
    ///
    /// # Errors
    /// When the address is none, or nobody answers there.
    pub(crate) fn running(
        url: &str,
        token: Option<&str>,
        pid: Option<u32>,
    ) -> Result<Self, SubjectError> {
        let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let host = host.filter(|host| !host.is_empty() && !host.contains('/'));
        let host = host.ok_or_else(|| SubjectError::Address(url.to_owned()))?;
        let named = if host.rsplit(']').next().is_some_and(|rest| rest.contains(':')) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let unreached = SubjectError::Unreached;
        let unknown = |error| unreached(sentence(url, &error));
        let mut addrs = named.to_socket_addrs().map_err(unknown)?;
        let addr = addrs.next().ok_or_else(|| unreached(format!("{url} has no address")))?;
        let token = token.map(str::to_owned);
        let target = Self { addr, host: host.to_owned(), pid, token, own: None };
        target.wait().map_err(unreached)?;
        Ok(target)
    }

    /// A server of its own on a temporary directory and a free port.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn own(options: &OwnOptions) -> Result<Self, SubjectError> {
        let not_started = |error: std::io::Error| SubjectError::NotStarted(error.to_string());
        let folder = Folder::make(&options.parent).map_err(not_started)?;
        let (child, addr) = spawn(&folder, "127.0.0.1:0", &options.durability, options.disk)?;
        let pid = Some(child.id());
        let disk = options.disk.map(|_| Mounted::of(child.id(), &folder.data()));
        let own = Own { child, folder, durability: options.durability.clone(), disk };
        if let Some(disk) = &own.disk {
            disk.fill().map_err(SubjectError::Disk)?;
        }
        Ok(Self { addr, host: addr.to_string(), pid, token: None, own: Some(own) })
    }

    /// Its data directory, if it is known.
    pub(crate) fn data(&self) -> Option<PathBuf> {
        let own = self.own.as_ref()?;
        Some(own.disk.as_ref().map_or_else(|| own.folder.data(), |disk| disk.root.clone()))
    }

    /// Gives the disk of a server of its own its space back.
    ///
    /// # Errors
    /// As the system says, or when it has no disk of its own.
    pub(crate) fn free_space(&self) -> Result<(), SubjectError> {
        let disk = self.own.as_ref().and_then(|own| own.disk.as_ref());
        let disk = disk.ok_or_else(|| SubjectError::Disk(std::io::ErrorKind::NotFound.into()))?;
        disk.free().map_err(SubjectError::Disk)
    }

    /// The durability of one of its own.
    pub(crate) fn durability(&self) -> Option<String> {
        self.own.as_ref().map(|own| own.durability.clone())
    }

    /// Its token.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Kills it with -9. One of its own is started again; another is waited for, since whoever
    /// supervises it will.
    ///
    /// # Errors
    /// When it cannot be killed or does not answer in time afterwards.
    pub(crate) fn kill_and_restart(&mut self) -> Result<(), SubjectError> {
        let failed = |error: &dyn std::fmt::Display| SubjectError::NotRestarted(error.to_string());
        if let Some(own) = &mut self.own {
            own.child.kill().and_then(|()| own.child.wait()).map_err(|error| failed(&error))?;
            let listen = self.addr.to_string();
            let (child, _) = spawn(&own.folder, &listen, &own.durability, None)?;
            self.pid = Some(child.id());
            own.child = child;
            return Ok(());
        }
        let pid = self.pid.and_then(|pid| Pid::from_raw(pid as i32));
        let pid = pid.ok_or_else(|| failed(&"the process of the server is not known"))?;
        kill_process(pid, Signal::KILL).map_err(|error| failed(&error))?;
        let began = Instant::now();
        while let Err(reason) = self.probe() {
            if began.elapsed() > READY_TIMEOUT {
                let message = format!("the server did not come back in time: {reason}");
                return Err(SubjectError::NotRestarted(message));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits for a server that still reads its data.
    fn wait(&self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            match self.probe() {
                Err(reason) if reason.ends_with(RECOVERING) && began.elapsed() < READY_TIMEOUT => {
                    thread::sleep(Duration::from_millis(20));
                }
                done => return done,
            }
        }
    }

    /// Asks whether it serves.
    fn probe(&self) -> Result<(), String> {
        let mut client = Client::new(self.addr, &self.host, self.token.as_deref());
        match client.exchange("GET", "/health/ready", b"") {
            Ok((200, _)) => Ok(()),
            Ok((404, _)) => Err(format!("http://{} is no Lanekeeper server", self.host)),
            Ok((status, body)) => {
                let reason = refusal(status, &String::from_utf8_lossy(&body));
                Err(format!("http://{}: {reason}", self.host))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts this program as a server and reads where it listens.
fn spawn(
    folder: &Folder,
    listen: &str,
    durability: &str,
    disk: Option<SmallDisk>,
) -> Result<(Child, SocketAddr), SubjectError> {
    let not_started = |error: std::io::Error| SubjectError::NotStarted(error.to_string());
    let program = std::env::current_exe().map_err(not_started)?;
    let data = folder.data();
    let mut command = match disk {
        None => Command::new(program),
        Some(disk) => {
            std::fs::create_dir_all(&data).map_err(not_started)?;
            let mut command = disk.command(&data);
            command.arg(program);
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LANEKEEPER_") {
            command.env_remove(name);
        }
    }
    command.args(["serve", "--end-with-parent", "--listen", listen, "--durability", durability]);
    command.arg("--data").arg(data);
    let stderr = folder.stderr().map_err(not_started)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    // Ctrl-C is for the load test alone, which ends its server when it has what it needs of it.
    command.process_group(0);
    let mut child = command.spawn().map_err(not_started)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(not_started)?;
    }
    let addr = line.trim_end().strip_prefix("listening on http://");
    match addr.and_then(|addr| addr.parse().ok()) {
        Some(addr) => Ok((child, addr)),
        None => {
            drop(child.kill());
            drop(child.wait());
            let last = folder.complaint();
            Err(SubjectError::NotStarted(last.unwrap_or("it ended without a word".to_owned())))
        }
    }
}
