//! Upkeep: checkpoints, the journal before them, the rewriting of a bloated store.

use std::{io, sync::atomic::Ordering};

use crate::{
    embedded::{
        backing::port::MergeSpace, commit::memtable::FrozenMemtable, directory::manifest::Manifest,
        engine_core::EngineCore, journal::segment::JOURNAL, os_error::load_error,
    },
    engine::seam::Maintenance,
    error::{CommitError, LoadError},
    stopwatch::Stopwatch,
};

/// Segments in use at which a checkpoint is due, whatever the memtable holds.
const SEGMENTS_MAX: usize = 4;
/// How many times what is alive in it the store may take on disk.
const BLOAT_IDLE: u64 = 4;
const BLOAT_BUSY: u64 = 16;

impl EngineCore {
    /// Does what is due, one caller at a time.
    pub(crate) fn do_maintenance(&self) -> Result<Maintenance, LoadError> {
        let Some(_turn) = self.maintain.try_lock() else { return Ok(Maintenance::default()) };
        let began = Stopwatch::now();
        self.maintenance_signal.clear();
        self.probe_free_space();
        let done = self.do_what_is_due();
        self.probe_free_space();
        let is_left = done.is_err() || self.memtable.bytes() > self.memtable.active_bytes();
        self.commit_queue.lock().wants_maintenance = is_left;
        if !is_left {
            self.notify_if_large();
        } else if self.is_driven {
            self.maintenance_signal.notify();
        }
        done.map(|done| Maintenance { took: began.elapsed(), ..done })
    }

    fn do_what_is_due(&self) -> Result<Maintenance, LoadError> {
        let is_closing = self.commit_queue.lock().check_admission().is_err();
        let is_idle = self.is_driven || is_closing || self.is_idle.load(Ordering::Relaxed);
        // Nothing is folded into files that cannot be trusted.
        if self.memtable.base().is_suspect() && !is_closing && !self.replace_suspect(is_idle)? {
            return Ok(Maintenance::default());
        }
        let mut done = self.checkpoint()?;
        // An engine that closes leaves a large rewrite to the next incarnation.
        if !is_closing {
            done.rewritten = self.rewrite_if_bloated(is_idle)?;
        }
        let is_short = self.space.is_short.load(Ordering::Relaxed);
        if !is_short && (is_idle || self.space.is_disk_full.load(Ordering::Relaxed)) {
            self.free_whole_journal()?;
        }
        if is_idle {
            self.trim().map_err(|error| self.journal_error(&error))?;
        }
        Ok(done)
    }

    /// Folds what the memtable holds into the store and frees the journal before it.
    fn checkpoint(&self) -> Result<Maintenance, LoadError> {
        let frozen = {
            let commit_queue = self.commit_queue.lock();
            if self.space.is_short.load(Ordering::Relaxed) && self.memtable.active_bytes() > 0 {
                self.memtable.freeze_anew(commit_queue.journal_seq, commit_queue.seq)
            } else {
                self.memtable.freeze(commit_queue.journal_seq, commit_queue.seq)
            }
        };
        let base = self.memtable.base();
        if frozen.changes.is_empty() && frozen.last_seq == base.checkpointed() {
            self.memtable.thaw();
            return Ok(Maintenance::default());
        }
        match self.wait_durable(frozen.seq) {
            Ok(()) => {}
            // The store may not have what the journal has not; another time.
            Err(CommitError::Held { .. }) => return Ok(Maintenance::default()),
            Err(error) => return Err(LoadError::Io(error.to_string().into())),
        }
        let merged_count = match self.merge_or_make_room(&frozen) {
            Err(LoadError::NoSpace(reason)) => {
                self.wait_for_space(&reason);
                return Ok(Maintenance::default());
            }
            done => done?,
        };
        self.note_short(false);
        self.memtable.thaw();
        let freed = self.segments.free_before(frozen.last_seq);
        let spare_count = freed.map_err(|error| self.journal_error(&error))?;
        self.note_spares(spare_count);
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(last_seq = frozen.last_seq, merged_count, "checkpoint");
        Ok(Maintenance { checkpoint: Some(frozen.seq), merged_count, ..Maintenance::default() })
    }

    /// Folds changes in, if need be with the space of the reserve: not to fill the disk still more,
    /// only where something is deleted.
    fn merge_or_make_room(&self, frozen: &FrozenMemtable) -> Result<u64, LoadError> {
        let done = self.merge(frozen);
        let deletes = || frozen.changes.values().any(|change| change.value.is_none());
        let is_short = matches!(done, Err(LoadError::NoSpace(_)));
        if is_short && deletes() && self.space.reserve.give_up(self.segments.disk()) {
            return self.merge(frozen);
        }
        done
    }

    fn merge(&self, frozen: &FrozenMemtable) -> Result<u64, LoadError> {
        let base = self.memtable.base();
        let is_ample = self.has_space_for(base.merge_needs_bytes(frozen.bytes));
        let journal_space = if is_ample { MergeSpace::Ample } else { MergeSpace::Tight };
        self.while_merging(|| {
            base.merge(&frozen.changes, frozen.last_seq, journal_space, &mut || {
                self.probe_free_space();
            })
        })
    }

    /// Copies what is alive into a fresh store when the present one takes much more than that, or
    /// cannot be trusted. Under load it has to take even more: nothing is folded in meanwhile. Not
    /// so on a full disk, where the reserve may help.
    fn rewrite_if_bloated(&self, is_idle: bool) -> Result<Option<(u64, u64)>, LoadError> {
        let old = self.memtable.base();
        let (before, live) = (old.disk_bytes(), old.live_bytes());
        let needs = old.copy_needs_bytes(live);
        let is_full = self.space.is_disk_full.load(Ordering::Relaxed);
        let factor = if is_idle || is_full { BLOAT_IDLE } else { BLOAT_BUSY };
        let slack =
            if is_full { needs.min(self.options.bloat_bytes) } else { self.options.bloat_bytes };
        let allowed = live.saturating_mul(factor).saturating_add(slack);
        if before <= allowed && !old.is_suspect() {
            return Ok(None);
        }
        if !self.has_space_for(needs) {
            let is_enough =
                self.has_space_for(needs.saturating_sub(self.space.reserve.held_bytes()));
            let is_needed = is_full || old.is_suspect();
            if !is_needed || !is_enough || !self.space.reserve.give_up(self.segments.disk()) {
                return Ok(None);
            }
        }
        let next = self.manifest.lock().base + 1;
        let new =
            self.while_merging(|| self.bases.copy(&*old, next, &mut || self.probe_free_space()))?;
        self.change_manifest(|manifest| {
            manifest.base = next;
            manifest.checkpoint = new.checkpointed();
        })?;
        let after = new.disk_bytes();
        self.memtable.replace_base(new).retire();
        tracing::info!(before, after, live, "the store was rewritten");
        Ok(Some((before, after)))
    }

    /// Replaces a store that cannot be trusted; whether there was the space for that.
    fn replace_suspect(&self, is_idle: bool) -> Result<bool, LoadError> {
        let reason = match self.rewrite_if_bloated(is_idle) {
            Ok(Some(_)) => return Ok(true),
            Ok(None) => "there is no space to replace it".into(),
            Err(LoadError::NoSpace(reason)) => reason,
            Err(error) => return Err(error),
        };
        self.wait_for_space(&reason);
        Ok(false)
    }

    /// Notes that upkeep can go on only once there is space.
    fn wait_for_space(&self, reason: &str) {
        self.note_short(true);
        tracing::debug!(bytes = self.memtable.bytes(), %reason, "there is too little space");
        if self.space.troubles.is_time() {
            tracing::warn!(bytes = self.memtable.bytes(), %reason, "a checkpoint waits for space");
        }
    }

    /// Lets commits know that memory grows until this is done.
    fn while_merging<T>(&self, act: impl FnOnce() -> T) -> T {
        *self.merging.lock() = true;
        let done = act();
        *self.merging.lock() = false;
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
        let last_seq = self.memtable.base().checkpointed();
        if self.segments.used_count() == 0 || self.commit_queue.lock().journal_seq > last_seq {
            return Ok(());
        }
        self.change_manifest(|manifest| manifest.checkpoint = last_seq)?;
        let ids = {
            let mut journal = self.journal.lock();
            let mut commit_queue = self.commit_queue.lock();
            if commit_queue.journal_seq > last_seq || !journal.leave_segment(last_seq) {
                return Ok(());
            }
            commit_queue.journal_space.end_segment();
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
        while self.segments.spare_count() > 1 && self.commit_queue.lock().journal_space.take_spare()
        {
            self.segments.drop_spare()?;
        }
        Ok(())
    }

    fn journal_error(&self, error: &io::Error) -> LoadError {
        load_error(&self.segments.disk().path(JOURNAL), error)
    }

    /// Whether a checkpoint is due for the sake of the journal.
    pub(crate) fn is_journal_long(&self) -> bool {
        self.segments.used_count() > SEGMENTS_MAX
    }
}
