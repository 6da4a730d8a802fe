//! What the benches share: a closed loop, and the bare log they are measured against.

#![expect(dead_code, reason = "each bench uses a part of it")]

use std::{
    fs::{File, OpenOptions},
    future::Future,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::sync::oneshot;

/// What a closed loop measured.
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) latency: Histogram<u64>,
}

impl Measured {
    pub(crate) fn micros(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// Runs `callers` tasks, each one operation after the other, until the time is over or an operation
/// answers false.
pub(crate) async fn closed_loop<F, S>(
    callers: usize,
    time: Duration,
    make: impl Fn(usize) -> S,
) -> Measured
where
    S: FnMut(usize) -> F + Send + 'static,
    F: Future<Output = bool> + Send,
{
    paced_loop(callers, time, Duration::ZERO, make).await
}

/// As [`closed_loop`], but each caller asks once in `every` only, as long as it gets its answers in
/// time; callers begin one after the other.
pub(crate) async fn paced_loop<F, S>(
    callers: usize,
    time: Duration,
    every: Duration,
    make: impl Fn(usize) -> S,
) -> Measured
where
    S: FnMut(usize) -> F + Send + 'static,
    F: Future<Output = bool> + Send,
{
    let began = Instant::now();
    let end = began + time;
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let mut step = make(caller);
            let mut next = began + every.mul_f64(caller as f64 / callers as f64);
            tokio::spawn(async move {
                let mut latency = Histogram::<u64>::new(3).expect("three digits are allowed");
                let mut done = 0;
                loop {
                    if !every.is_zero() {
                        tokio::time::sleep_until(next.into()).await;
                        next += every;
                    }
                    let before = Instant::now();
                    if before >= end || !step(done).await {
                        break (latency, before);
                    }
                    let took = before.elapsed().as_nanos() as u64;
                    latency.record(took).expect("it grows");
                    done += 1;
                }
            })
        })
        .collect();
    let mut latency = Histogram::<u64>::new(3).expect("three digits are allowed");
    let mut last = began;
    for task in tasks {
        let (part, ended) = task.await.expect("no step panics");
        latency.add(part).expect("they have the same shape");
        last = last.max(ended);
    }
    let per_second = latency.len() as f64 / (last - began).as_secs_f64();
    Measured { per_second, latency }
}

/// The limit: a preallocated file, appended to by one thread that gathers what everyone handed over
/// into one write and one fdatasync, and wakes those who wait.
pub(crate) struct BareLog {
    gathering: Arc<Gathering>,
}

struct Gathering {
    waiting: Mutex<Waiting>,
    is_due: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    done: Vec<oneshot::Sender<()>>,
    is_over: bool,
}

impl BareLog {
    pub(crate) fn open(path: &Path, size_bytes: usize) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).write(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        for offset in (0..size_bytes).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset as u64)?;
        }
        file.sync_all()?;
        let gathering = Arc::new(Gathering { waiting: Mutex::default(), is_due: Condvar::new() });
        let thread = Arc::clone(&gathering);
        thread::spawn(move || thread.run(&file, size_bytes as u64));
        Ok(Self { gathering })
    }

    pub(crate) async fn append(&self, record: &[u8]) {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.gathering.waiting.lock().expect("nobody panics");
            waiting.bytes.extend_from_slice(record);
            waiting.done.push(sender);
        }
        self.gathering.is_due.notify_one();
        receiver.await.expect("the log runs until it is dropped");
    }
}

impl Gathering {
    fn run(&self, file: &File, size_bytes: u64) {
        let mut offset = 0;
        loop {
            let mut waiting = self.waiting.lock().expect("nobody panics");
            while waiting.done.is_empty() {
                if waiting.is_over {
                    return;
                }
                waiting = self.is_due.wait(waiting).expect("nobody panics");
            }
            let Waiting { bytes, done, .. } = std::mem::take(&mut *waiting);
            drop(waiting);
            if offset + bytes.len() as u64 > size_bytes {
                offset = 0;
            }
            file.write_all_at(&bytes, offset).expect("the file is preallocated");
            file.sync_data().expect("the disk works");
            offset += bytes.len() as u64;
            for sender in done {
                let _ = sender.send(());
            }
        }
    }
}

impl Drop for BareLog {
    fn drop(&mut self) {
        self.gathering.waiting.lock().expect("nobody panics").is_over = true;
        self.gathering.is_due.notify_one();
    }
}

/// Bytes of the log's file.
const LOG_BYTES: usize = 256 << 20;

/// So many callers, each appending 256 bytes after 256 bytes to one log in this folder.
pub(crate) async fn bare_log(dir: &Path, callers: usize, time: Duration) -> Measured {
    let path = dir.join("log");
    let log = Arc::new(BareLog::open(&path, LOG_BYTES).expect("the disk takes a file"));
    let record: Arc<[u8]> = vec![b'x'; 256].into();
    closed_loop(callers, time, |_| {
        let (log, record) = (Arc::clone(&log), Arc::clone(&record));
        move |_| {
            let (log, record) = (Arc::clone(&log), Arc::clone(&record));
            async move {
                log.append(&record).await;
                true
            }
        }
    })
    .await
}

/// A folder that goes with the bench, on the disk that `BENCH_DIR` names.
pub(crate) fn scratch() -> tempfile::TempDir {
    let base = std::env::var("BENCH_DIR").unwrap_or_else(|_| ".".to_owned());
    tempfile::tempdir_in(base).expect("the disk of the bench takes a folder")
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("statm has a resident size") * 4096
}

/// Bytes of all files below a folder, as allocated on disk.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += disk_bytes(&entry.path()),
            Ok(metadata) => bytes += metadata.blocks() * 512,
            Err(_) => {}
        }
    }
    bytes
}
