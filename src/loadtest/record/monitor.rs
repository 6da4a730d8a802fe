//! What the server uses, read beside the run: processor, memory, descriptors, disk, and what it
//! tells of itself.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::loadtest::{
    fill::backlog::QueuedCount,
    load_clock::now,
    plan::run_plan::Plan,
    target::{Subject, client::Client},
};

/// What the server used at a moment. What cannot be known is nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Processors busy with it since the sample before: 1.0 is one of them wholly.
    pub(crate) processors: Option<f64>,
    /// Resident memory.
    pub(crate) memory_bytes: Option<u64>,
    /// Open file descriptors.
    pub(crate) descriptors: Option<u64>,
    /// Its data directory, as allocated on disk.
    pub(crate) disk_bytes: Option<u64>,
    /// The last fsync of its journal, in milliseconds.
    pub(crate) fsync_ms: Option<f64>,
    /// Actors in memory.
    pub(crate) activations: Option<u64>,
    /// Messages in all queues of the run, leased and dead ones too.
    pub(crate) messages: Option<u64>,
}

/// How long the server may take to tell: a run goes on meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads the figures of one server.
pub(crate) struct Monitor {
    client: Client,
    pid: Option<u32>,
    data: Option<PathBuf>,
    backlog: QueuedCount,
    before: Option<(u64, f64)>,
}

impl Monitor {
    /// Watches a server from before the first message of a run.
    pub(crate) fn new(target: &Subject) -> Self {
        Self::watching(target, QueuedCount::begin)
    }

    /// Watches a server that was restarted in the midst of a run.
    pub(crate) fn resume(target: &Subject, plan: &Plan) -> Self {
        Self::watching(target, |client| QueuedCount::resume(client, plan))
    }

    fn watching(target: &Subject, backlog: impl FnOnce(&mut Client) -> QueuedCount) -> Self {
        let client = Client::new(target.addr, &target.host, target.token());
        let mut client = client.patience(PATIENCE);
        let backlog = backlog(&mut client);
        let (pid, data) = (target.pid, target.data());
        let mut monitor = Self { client, pid, data, backlog, before: None };
        monitor.begin();
        monitor
    }

    /// Counts from now on how busy the server is.
    pub(crate) fn begin(&mut self) {
        let busy = self.pid.and_then(|pid| busy_seconds(&read(pid, "stat")?));
        self.before = busy.map(|busy| (now(), busy));
    }

    /// Reads what there is; nothing if nothing can be known.
    pub(crate) fn sample(&mut self) -> Option<Sample> {
        let mut sample = Sample::default();
        if let Some(pid) = self.pid {
            self.process(pid, &mut sample);
        }
        sample.disk_bytes = self.data.as_deref().map(disk_bytes);
        self.service(&mut sample);
        (sample != Sample::default()).then_some(sample)
    }

    fn process(&mut self, pid: u32, sample: &mut Sample) {
        let busy = read(pid, "stat").as_deref().and_then(busy_seconds);
        if let Some(busy) = busy {
            let moment = now();
            if let Some((then, before)) = self.before.replace((moment, busy)) {
                let passed = (moment - then) as f64 / 1e9;
                sample.processors = Some((busy - before).max(0.0) / passed.max(1e-3));
            }
        }
        let resident = read(pid, "status").as_deref().and_then(resident_bytes);
        sample.memory_bytes = resident;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        sample.descriptors = descriptors.ok().map(|entries| entries.count() as u64);
    }

    /// Asks the server itself. That costs it one request a second.
    fn service(&mut self, sample: &mut Sample) {
        if let Ok((200, body)) = self.client.exchange("GET", "/metrics", b"") {
            let text = String::from_utf8_lossy(&body);
            let fsync = metric(&text, "lanekeeper_journal_fsync_last_seconds");
            sample.fsync_ms = fsync.map(|seconds| seconds * 1e3);
            sample.activations = metric(&text, "lanekeeper_activations").map(|count| count as u64);
            sample.messages = self.backlog.messages(&text);
        }
    }
}

/// A file that the system keeps about a process.
fn read(pid: u32, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

/// Processor time of `/proc/PID/stat`, in seconds.
fn busy_seconds(stat: &str) -> Option<f64> {
    // The name of the program, in brackets, may hold blanks; fields are counted behind it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    Some((ticks()? + ticks()?) / ticks_per_second)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    rest.trim().parse().ok()
}

fn disk_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_process_are_read() {
        let own = std::process::id();
        let stat = fs::read_to_string(format!("/proc/{own}/stat")).unwrap();
        assert!(busy_seconds(&stat).is_some_and(|seconds| seconds >= 0.0), "{stat}");
        let status = fs::read_to_string(format!("/proc/{own}/status")).unwrap();
        assert!(resident_bytes(&status).is_some_and(|bytes| bytes > 1 << 20), "{status}");
    }

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# HELP a b\nlanekeeper_activations_max 9\nlanekeeper_activations 3\n";
        assert_eq!(metric(text, "lanekeeper_activations"), Some(3.0));
        assert_eq!(metric(text, "lanekeeper"), None);
    }
}
