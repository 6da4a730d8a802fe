//! Upkeep: checkpoints, prepared segments, a look at the disk's free space, the rewriting of a
//! bloated store.

use std::{io, sync::atomic::Ordering};

use crate::{
    LoadError, Upkeep,
    embedded::{
        failure::{is_full, load_error},
        manifest::Manifest,
        overlay::Frozen,
        segment::JOURNAL,
        store::Store,
    },
    pace::Moment,
};

/// Segments in use at which a checkpoint is due, whatever the overlay holds.
const SEGMENTS_MAX: usize = 4;
/// How many times what is alive in it the store may take on disk.
const BLOAT_IDLE: u64 = 4;
const BLOAT_BUSY: u64 = 16;
/// Free space at which preparing a segment is certain to succeed in time, beside four of them.
const AMPLE_BYTES: u64 = 64 << 20;

impl Store {
    /// Does what is due, one caller at a time.
    pub(crate) fn do_upkeep(&self) -> Result<Upkeep, LoadError> {
        let Some(_turn) = self.upkeep.try_lock() else { return Ok(Upkeep::default()) };
        let began = Moment::now();
        self.bell.hush();
        self.look_at_space();
        let done = self.do_what_is_due();
        self.look_at_space();
        let is_left = done.is_err() || self.overlay.bytes() > self.overlay.active_bytes();
        self.intake.lock().wants_upkeep = is_left;
        if !is_left {
            self.ring_if_large();
        } else if self.is_driven {
            self.bell.ring();
        }
        done.map(|done| Upkeep { took: began.elapsed(), ..done })
    }

    fn do_what_is_due(&self) -> Result<Upkeep, LoadError> {
        let is_closing = self.intake.lock().check_admission().is_err();
        let is_idle = self.is_driven || is_closing || self.is_idle.load(Ordering::Relaxed);
        let mut done = self.checkpoint()?;
        // An engine that closes leaves a large rewrite to the next incarnation.
        if !is_closing {
            done.rewritten = self.rewrite_if_bloated(is_idle)?;
        }
        if is_idle || self.is_disk_full.load(Ordering::Relaxed) {
            self.free_whole_journal()?;
        }
        if is_idle {
            self.trim().map_err(|error| self.journal_error(&error))?;
        }
        Ok(done)
    }

    /// Folds what the overlay holds into the store and frees the journal before it.
    fn checkpoint(&self) -> Result<Upkeep, LoadError> {
        let frozen = {
            let intake = self.intake.lock();
            self.overlay.freeze(intake.journal_seq, intake.seq)
        };
        let base = self.overlay.base();
        if frozen.changes.is_empty() && frozen.through == base.checkpointed() {
            self.overlay.thaw();
            return Ok(Upkeep::default());
        }
        if let Err(error) = self.wait_durable(frozen.seq) {
            return Err(LoadError::Io(error.to_string().into()));
        }
        if !self.has_space_for(base.fold_needs_bytes(frozen.bytes)) {
            tracing::warn!(bytes = frozen.bytes, "a checkpoint waits for space on the disk");
            return Ok(Upkeep::default());
        }
        let folded_count = self.fold(&frozen)?;
        self.overlay.thaw();
        let freed = self.segments.free_before(frozen.through);
        let spare_count = freed.map_err(|error| self.journal_error(&error))?;
        self.note_spares(spare_count);
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(through = frozen.through, folded_count, "checkpoint");
        Ok(Upkeep { checkpoint: Some(frozen.seq), folded_count, ..Upkeep::default() })
    }

    fn fold(&self, frozen: &Frozen) -> Result<u64, LoadError> {
        let base = self.overlay.base();
        self.while_folding(|| {
            base.fold(&frozen.changes, frozen.through, &mut || self.look_at_space())
        })
    }

    fn note_spares(&self, count: u64) {
        let mut intake = self.intake.lock();
        (0..count).for_each(|_| intake.room.spare_ready());
    }

    /// Copies what is alive into a fresh store when the present one takes much more than that.
    /// Under load it has to take even more: nothing is folded in meanwhile.
    fn rewrite_if_bloated(&self, is_idle: bool) -> Result<Option<(u64, u64)>, LoadError> {
        let old = self.overlay.base();
        let (before, live) = (old.disk_bytes(), old.live_bytes());
        let factor = if is_idle { BLOAT_IDLE } else { BLOAT_BUSY };
        let allowed = live.saturating_mul(factor).saturating_add(self.options.bloat_bytes);
        if before <= allowed || !self.has_space_for(old.fold_needs_bytes(live)) {
            return Ok(None);
        }
        let next = self.manifest.lock().base + 1;
        let new =
            self.while_folding(|| self.bases.copy(&*old, next, &mut || self.look_at_space()))?;
        self.change_manifest(|manifest| {
            manifest.base = next;
            manifest.checkpoint = new.checkpointed();
        })?;
        let after = new.disk_bytes();
        self.overlay.replace_base(new).retire();
        tracing::info!(before, after, live, "the store was rewritten");
        Ok(Some((before, after)))
    }

    /// Lets commits know that memory grows until this is done.
    fn while_folding<T>(&self, act: impl FnOnce() -> T) -> T {
        *self.folding.lock() = true;
        let done = act();
        *self.folding.lock() = false;
        self.folded.notify_all();
        done
    }

    fn change_manifest(&self, change: impl FnOnce(&mut Manifest)) -> Result<(), LoadError> {
        let mut manifest = self.manifest.lock();
        let mut changed = *manifest;
        change(&mut changed);
        changed.write(self.segments.disk())?;
        *manifest = changed;
        Ok(())
    }

    /// Frees every segment, the one in use too, if the store has all that was handed over. The
    /// manifest then says how much that is, as no segment does any more.
    fn free_whole_journal(&self) -> Result<(), LoadError> {
        let through = self.overlay.base().checkpointed();
        if self.segments.used_count() == 0 || self.intake.lock().journal_seq > through {
            return Ok(());
        }
        self.change_manifest(|manifest| manifest.checkpoint = through)?;
        let ids = {
            let mut journal = self.journal.lock();
            let mut intake = self.intake.lock();
            if intake.journal_seq > through || !journal.leave_segment(through) {
                return Ok(());
            }
            intake.room.end_segment();
            self.segments.used_ids()
        };
        let forgotten = self.journal.lock().freed(&ids);
        let freed = forgotten.and_then(|()| self.segments.free(&ids));
        let spare_count = freed.map_err(|error| self.journal_error(&error))?;
        self.note_spares(spare_count);
        Ok(())
    }

    /// Removes prepared segments beyond one.
    fn trim(&self) -> io::Result<()> {
        while self.segments.spare_count() > 1 && self.intake.lock().room.take_spare() {
            self.segments.drop_spare()?;
        }
        Ok(())
    }

    /// Looks at the disk's free space and prepares a segment if one is wanted.
    pub(crate) fn look_at_space(&self) {
        let free = self.segments.disk().free_bytes().unwrap_or(0);
        let segment = self.segments.segment_bytes();
        let margin = self.options.store_margin_bytes();
        let is_ample = free >= segment.saturating_mul(4) + margin + AMPLE_BYTES;
        let wants_spare = {
            let mut intake = self.intake.lock();
            intake.room.ample(is_ample);
            intake.room.wants_spare()
        };
        if wants_spare && free >= segment + margin {
            match self.segments.prepare() {
                Ok(()) => self.note_spares(1),
                Err(error) => self.note_full(&error),
            }
        }
        let is_disk_full = {
            let mut intake = self.intake.lock();
            intake.wants_space = intake.room.is_full();
            intake.wants_space
        };
        self.note_disk_full(is_disk_full);
    }

    /// Notes whether writes are refused for want of space.
    pub(crate) fn note_disk_full(&self, is_disk_full: bool) {
        if self.is_disk_full.swap(is_disk_full, Ordering::Relaxed) == is_disk_full {
            return;
        }
        let free = self.segments.disk().free_bytes().unwrap_or(0);
        if is_disk_full {
            tracing::error!(free, "the disk is full: writes are refused until space returns");
        } else {
            tracing::info!(free, "space has returned: writes are taken again");
        }
    }

    /// Notes that a segment could not be prepared.
    pub(crate) fn note_full(&self, error: &io::Error) {
        if !is_full(error) {
            tracing::error!(%error, "a journal segment could not be prepared");
        }
        let is_disk_full = {
            let mut intake = self.intake.lock();
            intake.room.ample(false);
            intake.wants_space = true;
            intake.room.is_full()
        };
        self.note_disk_full(is_disk_full);
    }

    /// Whether so much can be written and the disk not be full.
    fn has_space_for(&self, bytes: u64) -> bool {
        self.segments.disk().free_bytes().is_ok_and(|free| free >= bytes)
    }

    fn journal_error(&self, error: &io::Error) -> LoadError {
        load_error(&self.segments.disk().path(JOURNAL), error)
    }

    /// Whether a checkpoint is due for the sake of the journal.
    pub(crate) fn is_journal_long(&self) -> bool {
        self.segments.used_count() > SEGMENTS_MAX
    }
}
