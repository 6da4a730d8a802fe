//! Space: what the disk has left, the segments prepared ahead, the reserve, and what is noted when
//! any of it cannot be had.
//!
//! Nothing the commit needs is asked of the disk at the commit. What is asked for ahead may fail
//! with something that passes; that refuses batches or holds them back, and is tried again.

use std::{io, sync::atomic::Ordering};

use crate::embedded::{failure::Trouble, store::Store};

/// Free space at which preparing a segment is certain to succeed in time, beside four of them.
const AMPLE_BYTES: u64 = 64 << 20;

impl Store {
    /// Looks at the disk's free space and prepares a segment if one is wanted.
    pub(crate) fn look_at_space(&self) {
        let free = match self.segments.disk().free_bytes() {
            Ok(free) => free,
            Err(error) => {
                return self.note_trouble(Trouble::of("free space is not known", &error));
            }
        };
        let segment = self.segments.segment_bytes();
        let margin = self.options.store_margin_bytes();
        let wants_spare = self.intake.lock().room.wants_spare();
        let prepared = match wants_spare {
            false => Ok(0),
            true if free >= segment + margin => self.segments.prepare().map(|()| 1),
            true => Err(io::ErrorKind::StorageFull.into()),
        };
        match prepared {
            Ok(count) => self.note_spares(count),
            Err(error) => {
                return self.note_trouble(Trouble::of("a segment cannot be prepared", &error));
            }
        }
        let is_ample = free >= segment.saturating_mul(4) + margin + AMPLE_BYTES;
        let is_disk_full = {
            let mut intake = self.intake.lock();
            let is_free = intake.held.is_none();
            intake.room.ample(is_ample && is_free);
            intake.trouble = None;
            intake.wants_space = intake.room.is_full();
            intake.wants_space && is_free
        };
        self.troubles.forget();
        self.note_disk_full(is_disk_full);
    }

    /// Notes segments that were prepared.
    pub(crate) fn note_spares(&self, count: u64) {
        let mut intake = self.intake.lock();
        (0..count).for_each(|_| intake.room.spare_ready());
    }

    /// Notes what cannot be had for the moment: from now on only room that is certain is given.
    pub(crate) fn note_trouble(&self, trouble: Trouble) {
        if let Trouble::Other(reason) = &trouble
            && self.troubles.is_time()
        {
            tracing::error!(%reason, "the store goes on with what it has, and tries again");
        }
        let is_disk_full = {
            let mut intake = self.intake.lock();
            intake.room.ample(false);
            let is_full = intake.room.is_full() || intake.held.is_some();
            let is_for_space = matches!(trouble, Trouble::Full);
            intake.wants_space = is_full || !is_for_space;
            intake.trouble = Some(trouble);
            is_full && is_for_space
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

    /// Whether so much can be written and the disk not be full.
    pub(crate) fn has_space_for(&self, bytes: u64) -> bool {
        self.segments.disk().free_bytes().is_ok_and(|free| free >= bytes)
    }
}
