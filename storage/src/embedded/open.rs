//! Opening a data directory: the manifest, the store, and what the journal holds beyond it.
//!
//! First everything is proved, and nothing is changed: the manifest, the store it names, the
//! journal from the store's checkpoint to its end, and that nothing else knows more. Only then the
//! next incarnation is written, and what is not needed any more goes. A directory that does not
//! exist yet gets a manifest that names no store first, so that a first opening that was cut off is
//! known for one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    embedded::{
        backing::port::{Backing, BackingDirectory, Direction, MergeSpace},
        commit::{commit_queue::CommitQueue, memtable::Memtable, waiters::Waiters},
        directory::{
            manifest::{Manifest, base_name},
            survey::{Survey, remedy},
        },
        disk::Disk,
        engine_core::{Counters, EngineCore},
        journal::{
            journal_space::JournalSpace,
            recovery::{self, KnownPosition, SegmentListing, Walked},
            segment::JOURNAL,
            segment_files::Segments,
            tail::{TAIL, TailBlock, TailFile},
            writer::JournalWriter,
        },
        maintenance_signal::MaintenanceSignal,
        options::EmbeddedOptions,
        os_error::{io_error, refused},
        reserve::{self, RESERVE},
        space::Space,
    },
    engine::seam::CommitSeq,
    error::{LoadError, OpenError},
    stopwatch::Stopwatch,
};

/// What was proved of a data directory.
struct ProvedDirectory {
    /// As it is, before this opening.
    manifest: Manifest,
    memtable: Memtable,
    listing: SegmentListing,
    walked: Walked,
    /// Stores that are not needed.
    leftovers: Vec<u64>,
}

impl EngineCore {
    /// Opens what is on the disk, as a new incarnation.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        bases: Box<dyn BackingDirectory>,
        options: EmbeddedOptions,
        is_driven: bool,
    ) -> Result<Self, OpenError> {
        let (here, needed_bytes) = (Arc::clone(&disk), bases.opening_needs_bytes());
        reserve::make_room_to_open(&*here, needed_bytes)?;
        let opened = Self::open_with_room(disk, bases, options, is_driven);
        opened.map_err(|error| reserve::missing_space(error, &*here, needed_bytes))
    }

    fn open_with_room(
        disk: Arc<dyn Disk>,
        bases: Box<dyn BackingDirectory>,
        options: EmbeddedOptions,
        is_driven: bool,
    ) -> Result<Self, OpenError> {
        let began = Stopwatch::now();
        let options = fitted(&*disk, options.bounded())?;
        let ProvedDirectory { mut manifest, memtable, listing, walked, leftovers } =
            prove(&*disk, &*bases, &options)?;
        manifest.incarnation += 1;
        manifest.write(&*disk)?;
        leftovers.into_iter().try_for_each(|number| bases.remove(number))?;
        let incarnation = manifest.incarnation;
        let newest_id = listing.used.last().map_or(0, |segment| segment.id);
        // The name of a segment that was begun just before a crash need not be durable yet.
        let synced = disk.sync_dir(JOURNAL);
        let tail =
            synced.and_then(|()| TailFile::open(&*disk, TailBlock { incarnation, newest_id }));
        let tail = tail.map_err(|error| io_error(&disk.path(TAIL), error))?;
        let space = Space::new(&*disk, options.reserve_bytes);
        let segments = Segments::new(disk, options.segment_bytes);
        let journal_space = adopt_files(&segments, &listing)?;
        let last_seq = walked.next_seq - 1;
        // An id is never used twice, so that nothing old in a recycled file passes for new.
        let next_id = listing.id_max.max(incarnation << 24) + 1;
        let checkpointed = memtable.base().checkpointed();
        let store = Self {
            options,
            bases,
            manifest: Mutex::new(manifest),
            memtable,
            commit_queue: Mutex::new(CommitQueue::new(incarnation, last_seq, journal_space)),
            work: Condvar::new(),
            journal: Mutex::new(JournalWriter::new(incarnation, next_id, last_seq, tail)),
            segments,
            waiters: Waiters::default(),
            maintenance_signal: MaintenanceSignal::default(),
            counters: Counters::default(),
            maintain: Mutex::new(()),
            merging: Mutex::new(false),
            folded: Condvar::new(),
            journaled: AtomicU64::new(0),
            is_idle: AtomicBool::new(false),
            space,
            is_driven,
        };
        store.probe_free_space();
        store.notify_if_large();
        tracing::info!(
            incarnation,
            checkpointed,
            replayed_count = walked.batch_count,
            took_ms = began.elapsed().as_millis() as u64,
            "the data directory is open"
        );
        Ok(store)
    }
}

/// Proves that everything is there and reads it. Only a directory that is fresh is written to.
fn prove(
    disk: &dyn Disk,
    bases: &dyn BackingDirectory,
    options: &EmbeddedOptions,
) -> Result<ProvedDirectory, OpenError> {
    let survey = Survey::take(disk, bases)?;
    let (manifest, base) = match survey.manifest_in_use(disk)? {
        Some(manifest) => (manifest, bases.open(manifest.base)?),
        None => make(disk, bases, &survey)?,
    };
    let checkpointed = base.checkpointed();
    manifest.check(disk, checkpointed)?;
    let tail = TailBlock::read(disk)?;
    let known = KnownPosition { incarnation: manifest.incarnation, checkpointed, tail };
    let listing = recovery::list(disk, known)?;
    let used = (manifest.base, checkpointed);
    let is_unfinished = |number| bases.is_unfinished(number);
    let leftovers = survey.leftovers(disk, used, is_unfinished, |number| bases.open(number))?;
    let memtable = Memtable::new(base);
    let walked = replay(disk, &listing, &memtable, options)?;
    Ok(ProvedDirectory { manifest, memtable, listing, walked, leftovers })
}

/// Makes a directory, or goes on where that was cut off.
fn make(
    disk: &dyn Disk,
    bases: &dyn BackingDirectory,
    survey: &Survey,
) -> Result<(Manifest, Arc<dyn Backing>), OpenError> {
    if survey.manifest.is_none() {
        Manifest::default().write(disk)?;
    }
    let made = disk.create_dir(JOURNAL).and_then(|()| disk.sync_dir(""));
    made.map_err(|error| io_error(&disk.path(JOURNAL), error))?;
    // What was saved of a damaged directory goes on where that was.
    let manifest = Manifest { base: 1, ..survey.manifest.unwrap_or_default() };
    if !survey.bases.contains(&1) || bases.is_unfinished(1) {
        return Ok((manifest, bases.create(1)?));
    }
    let base = bases.open(1)?;
    let has_entry = base.all(Direction::Forward).key().map(|key| key.is_some());
    let has_entry = has_entry.map_err(|error| {
        io_error(&disk.path(&base_name(1)), std::io::Error::other(error.to_string()))
    })?;
    if has_entry || base.checkpointed() > 0 {
        let what = "it holds something although MANIFEST says that nothing was stored yet";
        return Err(refused(&disk.path(&base_name(1)), format!("{what}; {}", remedy(disk))));
    }
    Ok((manifest, base))
}

/// The settings as they fit the disk.
fn fitted(disk: &dyn Disk, options: EmbeddedOptions) -> Result<EmbeddedOptions, OpenError> {
    let looked = disk.total_bytes().and_then(|total| Ok((total, disk.free_bytes()?)));
    let (total, free) = looked.map_err(|error| io_error(&disk.path(""), error))?;
    Ok(options.fitted(total, free + reserve::held_bytes(disk, RESERVE)))
}

/// Applies what the journal holds beyond the store. What was written and not fsynced before a crash
/// is made durable first, as it may be read from now on.
fn replay(
    disk: &dyn Disk,
    listing: &SegmentListing,
    memtable: &Memtable,
    options: &EmbeddedOptions,
) -> Result<Walked, OpenError> {
    let base = memtable.base();
    let checkpointed = base.checkpointed();
    let mut overlay_bytes_max = options.overlay_bytes_soft().max(1 << 20);
    let journal_bytes: u64 = listing.used.iter().map(|segment| segment.used.bytes).sum();
    if journal_bytes > overlay_bytes_max {
        // Some of it may have to be folded in meanwhile: only if all of it can be read.
        recovery::walk(disk, listing, checkpointed, &mut |_| Ok(()), &mut |_, _| Ok(()))?;
    }
    let walked = recovery::walk(
        disk,
        listing,
        checkpointed,
        &mut |file| file.sync(),
        &mut |seq, writes| {
            if seq > checkpointed {
                memtable.apply(writes);
            }
            if memtable.bytes() > overlay_bytes_max {
                let frozen = memtable.freeze(seq, CommitSeq::ZERO);
                match base.merge(&frozen.changes, seq, MergeSpace::Tight, &mut || ()) {
                    Ok(_) => memtable.thaw(),
                    // What the disk has no space for stays in memory, and in the journal.
                    Err(LoadError::NoSpace(_)) => overlay_bytes_max = u64::MAX,
                    Err(error) => {
                        let error = std::io::Error::other(error.to_string());
                        return Err(io_error(&disk.path(""), error));
                    }
                }
            }
            Ok(())
        },
    )?;
    if let Some(torn) = &walked.torn {
        let path = disk.path(&torn.name);
        tracing::warn!(path = %path.display(), offset = torn.offset, "a torn tail was discarded");
    }
    Ok(walked)
}

/// Notes the segments in use, takes over the files that hold nothing and returns the room there is.
fn adopt_files(segments: &Segments, listing: &SegmentListing) -> Result<JournalSpace, OpenError> {
    segments.number_spares_after(listing.spare_max);
    for segment in &listing.used {
        segments.used(segment.id, segment.used);
    }
    let mut journal_space = JournalSpace::new(segments.capacity());
    let recycled = segments.recycle(&listing.unused);
    let count = recycled.map_err(|error| io_error(&segments.disk().path(JOURNAL), error))?;
    (0..count).for_each(|_| journal_space.spare_ready());
    Ok(journal_space)
}
