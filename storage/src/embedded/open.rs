//! Opening a data directory: the manifest, the store, and what the journal holds beyond it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    CommitSeq, OpenError,
    embedded::{
        base::Bases,
        bell::Bell,
        disk::Disk,
        failure::{corrupt, io_error},
        intake::Intake,
        journal::Journal,
        manifest::{MANIFEST, Manifest},
        options::EmbeddedOptions,
        overlay::Overlay,
        recovery::{self, Listing, Walked},
        room::Room,
        segment::{JOURNAL, segment_id},
        segments::Segments,
        store::{Counters, Store},
        waiters::Waiters,
    },
    pace::Moment,
};

impl Store {
    /// Opens what is on the disk, as a new incarnation.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        bases: Box<dyn Bases>,
        options: EmbeddedOptions,
        is_driven: bool,
    ) -> Result<Self, OpenError> {
        let began = Moment::now();
        let options = options.bounded();
        let manifest = next_incarnation(&*disk)?;
        bases.remove_others(manifest.base)?;
        let overlay = Overlay::new(bases.open(manifest.base)?);
        let checkpointed = overlay.base().checkpointed();
        manifest.check(&*disk, checkpointed)?;
        let listing = recovery::list(&*disk, checkpointed)?;
        let walked = replay(&*disk, &listing, &overlay, &options)?;
        let segments = Segments::new(disk, options.segment_bytes);
        let room = adopt_files(&segments, &listing)?;
        let last_seq = walked.next_seq - 1;
        // An id is never used twice, so that nothing old in a recycled file passes for new.
        let next_id = listing.id_max.max(manifest.incarnation << 24) + 1;
        let store = Self {
            options,
            bases,
            manifest: Mutex::new(manifest),
            overlay,
            intake: Mutex::new(Intake::new(manifest.incarnation, last_seq, room)),
            work: Condvar::new(),
            journal: Mutex::new(Journal::new(manifest.incarnation, next_id, last_seq)),
            segments,
            waiters: Waiters::default(),
            bell: Bell::default(),
            counters: Counters::default(),
            upkeep: Mutex::new(()),
            folding: Mutex::new(false),
            folded: Condvar::new(),
            journaled: AtomicU64::new(0),
            is_idle: AtomicBool::new(false),
            is_disk_full: AtomicBool::new(false),
            is_driven,
        };
        store.look_at_space();
        store.ring_if_large();
        tracing::info!(
            incarnation = manifest.incarnation,
            checkpointed,
            replayed_count = walked.batch_count,
            took_ms = began.elapsed().as_millis() as u64,
            "the data directory is open"
        );
        Ok(store)
    }
}

fn next_incarnation(disk: &dyn Disk) -> Result<Manifest, OpenError> {
    let make = || {
        disk.create_dir(JOURNAL)?;
        disk.list(JOURNAL)
    };
    let names = make().map_err(|error| io_error(&disk.path(JOURNAL), error))?;
    let mut manifest = match Manifest::read(disk)? {
        Some(manifest) => manifest,
        None if names.iter().any(|name| segment_id(name).is_some()) => {
            return Err(corrupt(&disk.path(MANIFEST), 0, "it is missing beside a journal"));
        }
        None => Manifest { incarnation: 0, base: 1, checkpoint: 0 },
    };
    manifest.incarnation += 1;
    manifest.write(disk)?;
    Ok(manifest)
}

/// Applies what the journal holds beyond the store. What was written and not fsynced before a crash
/// is made durable first, as it may be read from now on.
fn replay(
    disk: &dyn Disk,
    listing: &Listing,
    overlay: &Overlay,
    options: &EmbeddedOptions,
) -> Result<Walked, OpenError> {
    let base = overlay.base();
    let checkpointed = base.checkpointed();
    let walked = recovery::walk(
        disk,
        listing,
        checkpointed,
        &mut |file| file.sync(),
        &mut |seq, writes| {
            if seq > checkpointed {
                overlay.apply(writes);
            }
            if overlay.bytes() > options.overlay_bytes_soft().max(1 << 20) {
                let frozen = overlay.freeze(seq, CommitSeq::ZERO);
                base.fold(&frozen.changes, seq, &mut || ()).map_err(|error| {
                    io_error(&disk.path(""), std::io::Error::other(error.to_string()))
                })?;
                overlay.thaw();
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
fn adopt_files(segments: &Segments, listing: &Listing) -> Result<Room, OpenError> {
    segments.number_spares_after(listing.spare_max);
    for segment in &listing.used {
        segments.used(segment.id, segment.used);
    }
    let mut room = Room::new(segments.capacity());
    let recycled = segments.recycle(&listing.unused);
    let count = recycled.map_err(|error| io_error(&segments.disk().path(JOURNAL), error))?;
    (0..count).for_each(|_| room.spare_ready());
    Ok(room)
}
