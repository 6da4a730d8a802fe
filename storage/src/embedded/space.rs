//! Space: what the disk has left, the segments prepared ahead, the reserve, and what is noted when
//! any of it cannot be had.
//!
//! Nothing the commit needs is asked of the disk at the commit. What is asked for ahead may fail
//! with something that passes; that refuses batches or holds them back, and is tried again.
//!
//! | state | it holds when | what is taken |
//! |---|---|---|
//! | ample | six segments and three overlays are free | everything; where that needs room that is not prepared yet, the disk is looked at once more first |
//! | tight | there is less | what fits into the prepared room but for its reserve |
//! | full | only that reserve is left, or the store had no space for a checkpoint | what frees space |
//! | bare | an eighth of a segment is left of it | the same; the file of the reserve is given up for another segment |
//!
//! Upkeep looks at its beginning, at its end and after each step of a checkpoint. In every state
//! but the first the commit thread calls for it every 100 ms, and tries again to write a group that
//! is held back. A store that was short is so no longer as soon as there is space for all that it
//! has to catch up with, and not only once it has.
//!
//! **The way out needs no space that grows with what is there.** A pop is some 150 bytes of the
//! journal, and so the room's reserve (4 MiB, or half a segment) is enough for 7,000
//! on a disk of 64 MiB, between one checkpoint and the next. A checkpoint folds deletes in first,
//! in steps that need 1.5 MiB beyond the end of the store's log; whatever sets something leaves as
//! much ([`backing`](super::backing)), and the file of the reserve holds up to four times that for
//! what the log grows by until it can use its own freed space. What cannot be set yet stays in the
//! journal and in memory, until it is popped itself. A checkpoint that is complete frees the whole
//! journal, and the room is there again. No page of the store is written to a file of its own,
//! which no space can be taken for.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::embedded::{
    commit::commit_queue::CommitQueue,
    disk::Disk,
    engine_core::EngineCore,
    journal::frame,
    os_error::{OsTrouble, RateLimitedLog},
    reserve::{OPENING, RESERVE, Reserve},
};

/// What is known of the disk's space, and what is held back of it.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) is_disk_full: AtomicBool,
    /// Whether the last fold had too little space to be finished.
    pub(crate) is_short: AtomicBool,
    /// Whether trouble that lasts is told again.
    pub(crate) troubles: RateLimitedLog,
    /// Held back for the next opening.
    pub(crate) opening_reserve: Reserve,
    /// Held back for checkpoints and the journal on a full disk.
    pub(crate) reserve: Reserve,
}

impl Space {
    /// What a disk holds back already, of so many bytes.
    pub(crate) fn new(disk: &dyn Disk, reserve_bytes: u64) -> Self {
        let opening_bytes = reserve_bytes / 4;
        Self {
            is_disk_full: AtomicBool::new(false),
            is_short: AtomicBool::new(false),
            troubles: RateLimitedLog::default(),
            opening_reserve: Reserve::new(disk, OPENING, opening_bytes),
            reserve: Reserve::new(disk, RESERVE, reserve_bytes - opening_bytes),
        }
    }
}

impl EngineCore {
    /// Looks at the disk's free space and prepares a segment if one is wanted.
    pub(crate) fn probe_free_space(&self) {
        let free = match self.segments.disk().free_bytes() {
            Ok(free) => free,
            Err(error) => {
                return self.note_trouble(OsTrouble::of("free space is not known", &error));
            }
        };
        if let Err(trouble) = self.prepare_spares(free) {
            return self.note_trouble(trouble);
        }
        if self.space.is_short.load(Ordering::Relaxed) && free >= self.catching_up_needs_bytes() {
            // Nobody has to wait until it is all folded in.
            self.note_short(false);
        }
        let segment = self.segments.segment_bytes();
        let margin = self.options.store_margin_bytes();
        let is_ample = free >= segment.saturating_mul(4) + margin + self.options.ample_bytes();
        let is_disk_full = {
            let mut commit_queue = self.commit_queue.lock();
            let is_free =
                commit_queue.held.is_none() && !self.space.is_short.load(Ordering::Relaxed);
            commit_queue.journal_space.ample(is_ample && is_free);
            commit_queue.trouble = None;
            commit_queue.wants_space = commit_queue.journal_space.is_full();
            commit_queue.wants_space && commit_queue.held.is_none()
        };
        self.space.troubles.forget();
        self.note_disk_full(is_disk_full);
    }

    /// Holds space back, and prepares a segment if one is wanted. Where there is no room left at
    /// all, not even for what frees space, the reserve is given up for it.
    fn prepare_spares(&self, free: u64) -> Result<(), OsTrouble> {
        let disk = self.segments.disk();
        self.space.opening_reserve.make(disk, free);
        if !self.space.is_short.load(Ordering::Relaxed) && !*self.merging.lock() {
            self.space.reserve.make(disk, free);
        }
        let (wants_spare, is_at_its_end, is_bare) = {
            let journal_space = &self.commit_queue.lock().journal_space;
            (journal_space.wants_spare(), journal_space.is_at_its_end(), journal_space.is_bare())
        };
        if !wants_spare {
            return Ok(());
        }
        let segment = self.segments.segment_bytes();
        let is_last = free < segment + self.options.store_margin_bytes();
        let last = if is_bare { segment } else { segment + self.options.overlay_bytes };
        let is_enough = free + self.space.reserve.held_bytes() >= segment;
        if is_last && is_bare && free < last && is_enough {
            self.space.reserve.give_up(disk);
        } else if is_last && !(is_at_its_end && free >= last) {
            return Err(OsTrouble::Full);
        }
        match self.segments.prepare() {
            Ok(()) if is_last => self.commit_queue.lock().journal_space.last_spare_ready(),
            Ok(()) => self.note_spares(1),
            Err(error) => return Err(OsTrouble::of("a segment cannot be prepared", &error)),
        }
        Ok(())
    }

    /// Bytes that must be free for the store to take up all that is in memory, replacing it if it
    /// has to be.
    fn catching_up_needs_bytes(&self) -> u64 {
        let base = self.memtable.base();
        let copied = if base.is_suspect() { base.copy_needs_bytes(base.live_bytes()) } else { 0 };
        base.merge_needs_bytes(self.memtable.bytes()).saturating_add(copied)
    }

    /// Looks at the disk before room is given that is not prepared yet: others may have taken the
    /// space since upkeep looked.
    pub(crate) fn look_where_doubtful(
        &self,
        commit_queue: &mut CommitQueue,
        bytes: u64,
        frees_space: bool,
    ) {
        let with_header = bytes + frame::HEADER_BYTES as u64;
        if !commit_queue.journal_space.is_doubtful(with_header, frees_space) {
            return;
        }
        let segment = self.segments.segment_bytes().max(with_header);
        let owed_bytes = segment.saturating_mul(commit_queue.journal_space.owed_count() + 1);
        if !self.has_space_for(owed_bytes.saturating_add(self.options.store_margin_bytes())) {
            commit_queue.journal_space.ample(false);
        }
    }

    /// Notes whether the store had too little space for a checkpoint.
    pub(crate) fn note_short(&self, is_short: bool) {
        self.space.is_short.store(is_short, Ordering::Relaxed);
        self.commit_queue.lock().journal_space.short(is_short);
    }

    /// Notes segments that were prepared.
    pub(crate) fn note_spares(&self, count: u64) {
        let mut commit_queue = self.commit_queue.lock();
        (0..count).for_each(|_| commit_queue.journal_space.spare_ready());
    }

    /// Notes what cannot be had for the moment: from now on only room that is certain is given.
    pub(crate) fn note_trouble(&self, trouble: OsTrouble) {
        if let OsTrouble::Other(reason) = &trouble
            && self.space.troubles.is_time()
        {
            tracing::error!(%reason, "the store goes on with what it has, and tries again");
        }
        let is_disk_full = {
            let mut commit_queue = self.commit_queue.lock();
            commit_queue.journal_space.ample(false);
            let is_full = commit_queue.journal_space.is_full() || commit_queue.held.is_some();
            let is_for_space = matches!(trouble, OsTrouble::Full);
            commit_queue.wants_space = is_full || !is_for_space;
            commit_queue.trouble = Some(trouble);
            is_full && is_for_space
        };
        self.note_disk_full(is_disk_full);
    }

    /// Notes whether writes are refused for want of space.
    pub(crate) fn note_disk_full(&self, is_disk_full: bool) {
        if self.space.is_disk_full.swap(is_disk_full, Ordering::Relaxed) == is_disk_full {
            return;
        }
        let free = self.segments.disk().free_bytes().unwrap_or(0);
        if is_disk_full {
            tracing::error!(free, "the disk is full: writes are refused until space returns");
        } else {
            tracing::info!(free, "space has returned: writes are taken again");
        }
    }

    /// Whether so much can be written and the disk not be full.
    pub(crate) fn has_space_for(&self, bytes: u64) -> bool {
        self.segments.disk().free_bytes().is_ok_and(|free| free >= bytes)
    }
}
