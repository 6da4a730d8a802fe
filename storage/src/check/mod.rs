//! Verifying a data directory: is everything there that should be, and does it agree?

mod gate;
mod queue_checks;
mod references;
mod worker;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    check::queue_checks::QueueChecks,
    embedded::{
        backing::{
            directories::BackingFiles,
            port::{Backing, BackingDirectory, Direction},
            sled_backing::SledDirectory,
        },
        commit::memtable::Memtable,
        directory::{
            lock::lock,
            manifest::{MANIFEST, Manifest, base_name},
            survey::Survey,
        },
        disk::{Disk, FsDisk},
        journal::{
            recovery::{self, KnownPosition},
            segment::JOURNAL,
            tail::TailBlock,
        },
        options::EmbeddedOptions,
        os_error::{io_error, no_data_directory},
    },
    engine::seam::ScanLimit,
    error::{LoadError, OpenError},
    key::{Key, KeyRange},
};

/// Entries looked at in one go.
const PAGE: ScanLimit = ScanLimit { count_max: 1_024, bytes_max: 4 << 20 };

/// A problem found in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place: a file and an offset in it, or the key of a record.
    pub place: String,
    /// The problem.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The result of [`check`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The number of times the directory was opened.
    pub incarnation: u64,
    /// Journal files that may hold batches the store does not have.
    pub segment_count: u64,
    /// Groups in them that passed their checksum, and the batches of those.
    pub group_count: u64,
    /// See [`CheckReport::group_count`].
    pub batch_count: u64,
    /// The file and the offset of a torn tail. It is not damage: that write was never acknowledged.
    pub torn_tail: Option<(PathBuf, u64)>,
    /// Bytes of those journal files.
    pub journal_bytes: u64,
    /// Bytes of the store on disk.
    pub store_bytes: u64,
    /// Records of any kind.
    pub record_count: u64,
    /// Bytes of their keys and values.
    pub record_bytes: u64,
    /// States of actors.
    pub actor_count: u64,
    /// Reminders.
    pub reminder_count: u64,
    /// Queues.
    pub queue_count: u64,
    /// Messages in queues.
    pub message_count: u64,
    /// Gates.
    pub gate_count: u64,
    /// Permits that are held.
    pub permit_count: u64,
    /// Workers, offline ones included.
    pub worker_count: u64,
    /// Outbox messages between actors that were not received yet.
    pub letter_count: u64,
    /// The first hundred problems; empty for a sound directory.
    pub problems: Vec<Problem>,
    /// The number of all problems.
    pub problem_count: u64,
}

impl CheckReport {
    /// Whether there are no problems.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }

    fn add(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        const LISTED_MAX: usize = 100;
        self.problem_count += 1;
        if self.problems.len() < LISTED_MAX {
            self.problems.push(Problem { place: place.to_string(), what: what.to_string() });
        }
    }

    fn add_error(&mut self, error: &OpenError) {
        match error {
            OpenError::Corrupt { path, offset, reason } => {
                self.add(format_args!("{} at {offset}", path.display()), reason);
            }
            OpenError::Refused { path, reason } => self.add(path.display(), reason),
            other => self.add("the data directory", other),
        }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment_count, group_count, batch_count, journal_bytes, .. } = self;
        writeln!(
            f,
            "journal: {segment_count} segments of {journal_bytes} bytes, {group_count} groups, \
             {batch_count} batches"
        )?;
        if let Some((path, offset)) = &self.torn_tail {
            writeln!(f, "journal: {} ends in a torn write at {offset}", path.display())?;
        }
        let Self { record_count, record_bytes, store_bytes, .. } = self;
        writeln!(
            f,
            "store: {store_bytes} bytes on disk; {record_count} records of {record_bytes} bytes"
        )?;
        let Self { actor_count, reminder_count, queue_count, message_count, letter_count, .. } =
            self;
        writeln!(
            f,
            "records: {queue_count} queues, {message_count} messages, {letter_count} letters, \
             {actor_count} actors, {reminder_count} reminders, {} workers",
            self.worker_count
        )?;
        if self.gate_count > 0 {
            writeln!(f, "gates: {}, with {} permits held", self.gate_count, self.permit_count)?;
        }
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        match self.problem_count {
            0 => write!(f, "sound"),
            count => write!(f, "{count} problems"),
        }
    }
}

/// Verifies a data directory that no process has open: its manifest, the checksums of its journal,
/// every record in the store and the journal, and that the counts of queues match their messages.
///
/// Only the lock file in the directory is changed. The store cannot be opened without writing to
/// it, so it is copied to the system's directory for temporary files, which needs the space for it;
/// the copy is removed afterwards.
///
/// # Errors
/// [`OpenError`] if it cannot be verified at all: it is in use, is not a data directory, has an
/// unknown format, or cannot be read or copied. Damage is reported as a [`Problem`].
pub fn check(dir: impl AsRef<Path>) -> Result<CheckReport, OpenError> {
    let dir = dir.as_ref();
    check_used(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if dir.is_dir() => no_data_directory(dir),
        _ => io_error(&dir.join(MANIFEST), error),
    })?;
    let _lock = lock(dir)?;
    let disk = FsDisk::new(dir);
    let copy = Scratch::new().map_err(|error| io_error(&std::env::temp_dir(), error))?;
    let cache_bytes = EmbeddedOptions::default().cache_bytes;
    let bases = SledDirectory::new(dir, cache_bytes);
    check_disk(&disk, &bases, |base| {
        let name = base_name(base);
        let copied = copy_dir(&dir.join(&name), &copy.0.join(&name));
        copied.map_err(|error| io_error(&dir.join(&name), error))?;
        let opened = SledDirectory::new(&copy.0, cache_bytes).open(base);
        opened.map_err(|error| error.moved(&copy.0, dir))
    })
}

/// Verifies what is on a disk, given a way to open its store.
pub(crate) fn check_disk(
    disk: &dyn Disk,
    bases: &dyn BackingDirectory,
    open_base: impl Fn(u64) -> Result<Arc<dyn Backing>, OpenError>,
) -> Result<CheckReport, OpenError> {
    let mut report = CheckReport::default();
    let found =
        Survey::take(disk, bases).and_then(|survey| Ok((survey.manifest_in_use(disk)?, survey)));
    let (manifest, survey) = match found {
        Ok((Some(manifest), survey)) => (manifest, survey),
        Ok((None, _)) => {
            return Err(no_data_directory(&disk.path("")));
        }
        Err(error) => return damaged(report, error),
    };
    report.incarnation = manifest.incarnation;
    let base = match open_base(manifest.base) {
        Ok(base) => base,
        Err(error) => return damaged(report, error),
    };
    report.store_bytes = base.disk_bytes();
    if let Err(error) = manifest.check(disk, base.checkpointed()) {
        report.add_error(&error);
    }
    let used = (manifest.base, base.checkpointed());
    let is_unfinished = |number| bases.is_unfinished(number);
    if let Err(error) = survey.leftovers(disk, used, is_unfinished, open_base) {
        report.add_error(&error);
    }
    let overlay = Memtable::new(base);
    if let Err(error) = check_journal(disk, manifest, &overlay, &mut report) {
        if matches!(error, OpenError::UnknownFormat { .. }) {
            return Err(error);
        }
        report.add_error(&error);
    }
    if let Err(error) = check_records(&overlay, &mut report) {
        report.add("the store", error);
    }
    Ok(report)
}

/// Whether anything of a data directory is there.
fn check_used(dir: &Path) -> io::Result<()> {
    let is_used = dir.join(MANIFEST).exists()
        || dir.join(JOURNAL).exists()
        || !BackingFiles::new(dir).numbers()?.is_empty();
    if is_used { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Damage ends the check with a report; everything else is an error.
fn damaged(mut report: CheckReport, error: OpenError) -> Result<CheckReport, OpenError> {
    if !matches!(error, OpenError::Corrupt { .. } | OpenError::Refused { .. }) {
        return Err(error);
    }
    report.add_error(&error);
    Ok(report)
}

fn check_journal(
    disk: &dyn Disk,
    manifest: Manifest,
    overlay: &Memtable,
    report: &mut CheckReport,
) -> Result<(), OpenError> {
    let checkpointed = overlay.base().checkpointed();
    let tail = TailBlock::read(disk)?;
    let known = KnownPosition { incarnation: manifest.incarnation, checkpointed, tail };
    let listing = recovery::list(disk, known)?;
    report.segment_count = listing.used.len() as u64;
    report.journal_bytes = listing.used.iter().map(|segment| segment.used.bytes).sum();
    let walked =
        recovery::walk(disk, &listing, checkpointed, &mut |_| Ok(()), &mut |seq, writes| {
            if seq > checkpointed {
                overlay.apply(writes);
            }
            Ok(())
        })?;
    report.group_count = walked.group_count;
    report.batch_count = walked.batch_count;
    report.torn_tail = walked.torn.map(|torn| (disk.path(&torn.name), torn.offset));
    Ok(())
}

/// Reads every record as it will be found after the next opening.
fn check_records(overlay: &Memtable, report: &mut CheckReport) -> Result<(), LoadError> {
    let mut queue_checks = QueueChecks::new(overlay);
    let last = Key::from_bytes(&[0xff; 64]);
    let mut rest = KeyRange { start: Key::from_bytes(&[]), end: last };
    loop {
        let page = overlay.scan(&rest, PAGE, Direction::Forward)?;
        let Some((last, _)) = page.last() else { break };
        rest = rest.after(last);
        for (key, value) in &page {
            report.record_count += 1;
            report.record_bytes += (key.as_bytes().len() + value.len()) as u64;
            queue_checks.enter(key, value, report)?;
        }
    }
    queue_checks.close(report);
    Ok(())
}

/// A directory for a copy, removed at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lanekeeper-check-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "a copy was not removed");
        }
    }
}

/// Copies a directory with all that is in it.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}
