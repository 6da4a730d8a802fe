//! What an embedded engine can be told.

use std::time::Duration;

const SEGMENT_BYTES_MIN: u64 = 64 << 10;

/// Settings of an [`EmbeddedEngine`](crate::embedded::engine::EmbeddedEngine). Values out of bounds
/// are moved to the nearest bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Bytes of one journal file, preallocated. 64 KiB to 1 GiB, in steps of 4 KiB; 32 MiB by
    /// default. Less on a disk that is small or nearly full.
    pub segment_bytes: u64,
    /// The time between two fsyncs of relaxed commits, which a power cut can lose. 1 ms to 10 s;
    /// 50 ms by default.
    pub flush_interval: Duration,
    /// Bytes of changes in memory at which a checkpoint is due. At twice as many, commits are
    /// slowed down while one runs. At eight times (at least twice `batch_bytes`) commits are
    /// refused, at ten times also those that free space. At most 1 GiB; 16 MiB by default.
    pub overlay_bytes: u64,
    /// Bytes of the largest batch, which is written in one piece. 1 to 24 MiB; 24 MiB by default.
    pub batch_bytes: u64,
    /// Bytes that may wait for the disk; a single batch always may. 64 MiB by default.
    pub waiting_bytes: u64,
    /// Bytes of changes of level memory beyond which batches that do not free space are refused.
    /// Unlimited by default.
    pub volatile_bytes: u64,
    /// Bytes of the cache of the backing store. 1 MiB to 64 GiB; 4 MiB by default.
    pub cache_bytes: u64,
    /// The time without commits after which the rest is checkpointed and files are trimmed. 1 ms to
    /// 1 h; 1 s by default.
    pub idle_after: Duration,
    /// Bytes on disk, beyond four times the live bytes (sixteen times under load), at which the
    /// backing store is rewritten. 16 MiB by default.
    pub bloat_bytes: u64,
    /// Bytes of the reserve files, which allow a full disk to be emptied. At most 1 GiB; none if 0;
    /// 8 MiB by default.
    pub reserve_bytes: u64,
    /// The time a batch that cannot be written is held back until its waiters get
    /// [`CommitError::Held`](crate::CommitError::Held). 1 ms to 1 h; 10 s by default.
    pub held_told_after: Duration,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            flush_interval: Duration::from_millis(50),
            overlay_bytes: 16 << 20,
            batch_bytes: 24 << 20,
            waiting_bytes: 64 << 20,
            volatile_bytes: u64::MAX,
            cache_bytes: 4 << 20,
            idle_after: Duration::from_secs(1),
            bloat_bytes: 16 << 20,
            reserve_bytes: 8 << 20,
            held_told_after: Duration::from_secs(10),
        }
    }
}

impl EmbeddedOptions {
    /// Settings of an engine that uses at most about a third of `memory_bytes`. Journal, store and
    /// times have their defaults.
    pub fn within(memory_bytes: u64) -> Self {
        let batch_bytes = (memory_bytes / 24).clamp(12 << 20, 24 << 20);
        Self {
            overlay_bytes: (memory_bytes / 96).clamp(1 << 20, 16 << 20),
            batch_bytes,
            waiting_bytes: (memory_bytes / 16).clamp(batch_bytes, 64 << 20),
            volatile_bytes: memory_bytes / 4,
            ..Self::default()
        }
    }

    /// The same settings, each inside its bounds.
    pub(crate) fn bounded(self) -> Self {
        let millisecond = Duration::from_millis(1);
        Self {
            segment_bytes: self
                .segment_bytes
                .clamp(SEGMENT_BYTES_MIN, 1 << 30)
                .next_multiple_of(4 << 10),
            flush_interval: self.flush_interval.clamp(millisecond, Duration::from_secs(10)),
            overlay_bytes: self.overlay_bytes.min(1 << 30),
            batch_bytes: self.batch_bytes.clamp(1 << 20, 24 << 20),
            waiting_bytes: self.waiting_bytes,
            volatile_bytes: self.volatile_bytes,
            cache_bytes: self.cache_bytes.clamp(1 << 20, 64 << 30),
            idle_after: self.idle_after.clamp(millisecond, Duration::from_secs(3_600)),
            bloat_bytes: self.bloat_bytes,
            reserve_bytes: self.reserve_bytes.min(1 << 30),
            held_told_after: self.held_told_after.clamp(millisecond, Duration::from_secs(3_600)),
        }
    }

    /// The same settings for a disk of so many bytes of which so many are free, the reserve
    /// included: on a small or a nearly full one the files have to be smaller to leave room for
    /// each other.
    pub(crate) fn fitted(self, total_bytes: u64, free_bytes: u64) -> Self {
        let share = total_bytes / 32;
        let segment_bytes_max = share.min(free_bytes / 4).max(SEGMENT_BYTES_MIN);
        // A power of two, so that it is the same at the next opening as far as possible.
        let segment_bytes_max = 1 << segment_bytes_max.ilog2();
        Self {
            segment_bytes: self.segment_bytes.min(segment_bytes_max),
            overlay_bytes: self.overlay_bytes.min(share),
            reserve_bytes: self.reserve_bytes.min(total_bytes / 16),
            ..self
        }
    }

    /// Bytes of changes beyond which commits are slowed down while a checkpoint runs.
    pub(crate) fn overlay_bytes_soft(&self) -> u64 {
        self.overlay_bytes.saturating_mul(2)
    }

    /// Bytes of changes beyond which what can wait should, so that it slows down nobody.
    pub(crate) fn overlay_bytes_lag(&self) -> u64 {
        self.overlay_bytes.saturating_add(self.overlay_bytes / 4)
    }

    /// Bytes of changes beyond which batches that do not free space are refused.
    pub(crate) fn overlay_bytes_max(&self) -> u64 {
        self.overlay_bytes.saturating_mul(8).max(2 * self.batch_bytes)
    }

    /// Free space, beside four segments and that for the store, at which preparing a segment is
    /// certain to succeed in time.
    pub(crate) fn ample_bytes(&self) -> u64 {
        self.segment_bytes.saturating_mul(2).max(64 << 10)
    }

    /// Bytes left on the disk for the store, whatever the journal asks for.
    pub(crate) fn store_margin_bytes(&self) -> u64 {
        self.overlay_bytes.saturating_mul(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_small_or_a_full_disk_the_files_leave_room_for_each_other() {
        let given = EmbeddedOptions::default();
        assert_eq!(given.fitted(1 << 40, 1 << 39), given);
        for megabytes in [8_u64, 64, 140, 1 << 10] {
            let total = megabytes << 20;
            let fitted = given.fitted(total, total);
            assert!(
                fitted.segment_bytes * 4 + fitted.store_margin_bytes() < total / 3,
                "{fitted:?}"
            );
            assert!(fitted.reserve_bytes <= total / 16, "{fitted:?}");
            assert_eq!(fitted.bounded(), fitted);
        }
        let full = given.fitted(1 << 40, 8 << 20);
        assert_eq!(full.segment_bytes, 2 << 20, "so that one can be made of the reserve");
    }
}
