//! A small disk for a server of its own: a file system in memory that only that server sees, so
//! that it is gone with the server however that ends. It needs the right to mount, as root or in a
//! user namespace.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Bytes of the disk.
const SIZE: &str = "160m";

/// What is left of it when the load begins, beside what the server took in advance.
const FREE_BYTES: u64 = 4 << 20;

/// How long the server may take its space in advance, and how long nothing must change until it is
/// done with that.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
const SETTLE_SPAN: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_millis(20);

/// Mounts a disk at the first argument, then becomes the program of the others.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=$0 lanekeeper "$1" || exit 1
shift
if [ $# -gt 0 ]; then exec "$@"; fi
"#;

/// Ways to a namespace of its own: as root, or as whoever may have a user namespace.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

/// A way to a small disk that works here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SmallDisk {
    flags: &'static [&'static str],
}

impl SmallDisk {
    /// Tries whether there can be one.
    ///
    /// # Errors
    /// Why not, as the system says.
    pub(crate) fn find() -> Result<Self, String> {
        let mut reasons = Vec::new();
        for flags in WAYS {
            let disk = Self { flags };
            let place = tempfile::tempdir().map_err(|error| error.to_string())?;
            let mut command = disk.command(place.path());
            let tried = command.stdin(Stdio::null()).stdout(Stdio::null()).output();
            match tried {
                Ok(output) if output.status.success() => return Ok(disk),
                Ok(output) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    reasons.push(said.lines().next().unwrap_or("unshare failed").to_owned());
                }
                Err(error) => reasons.push(format!("unshare: {error}")),
            }
        }
        Err(format!("no small file system can be mounted: {}", reasons.join("; ")))
    }

    /// A command that mounts the disk at a directory and becomes what is added to it.
    pub(crate) fn command(self, place: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(self.flags).args(["--", "sh", "-c", SCRIPT, SIZE]).arg(place);
        command
    }
}

/// The disk of a running server, as it is seen from outside.
#[derive(Debug)]
pub(crate) struct Mounted {
    pub(crate) root: PathBuf,
}

impl Mounted {
    /// The disk that a process has at a directory.
    pub(crate) fn of(pid: u32, place: &Path) -> Self {
        let inside = place.strip_prefix("/").unwrap_or(place);
        Self { root: Path::new(&format!("/proc/{pid}/root")).join(inside) }
    }

    fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let found = statvfs(&self.root)?;
        Ok(found.f_bavail * found.f_frsize)
    }

    /// Takes nearly all of the space, once the server has what it takes in advance.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let whole = self.free_bytes()?;
        let (began, mut since, mut free) = (Instant::now(), Instant::now(), whole);
        while began.elapsed() < SETTLE_TIMEOUT && since.elapsed() < SETTLE_SPAN {
            thread::sleep(LOOK);
            let now = self.free_bytes()?;
            if now != free {
                (since, free) = (Instant::now(), now);
            }
        }
        let ballast = File::create(self.ballast())?;
        let bytes = free.saturating_sub(FREE_BYTES).max(1);
        fallocate(&ballast, FallocateFlags::empty(), 0, bytes)?;
        Ok(())
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn free(&self) -> io::Result<()> {
        fs::remove_file(self.ballast())
    }
}
