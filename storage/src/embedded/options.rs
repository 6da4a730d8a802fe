//! What an embedded engine can be told.

use std::time::Duration;

/// The largest batch: it is written in one piece.
pub(crate) const BATCH_BYTES_MAX: u64 = 24 << 20;
/// Bytes that may wait for the disk.
pub(crate) const WAITING_BYTES_MAX: u64 = 64 << 20;

/// Settings of an [`EmbeddedEngine`](crate::EmbeddedEngine). Values out of bounds are moved to the
/// nearest bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Bytes of one journal file, all of them taken from the disk in advance. 64 KiB to 1 GiB, in
    /// steps of 4 KiB; 32 MiB when not given.
    pub segment_bytes: u64,
    /// The time between two fsyncs of relaxed commits, and so what a power cut can take of them.
    /// 1 ms to 10 s; 50 ms when not given.
    pub flush_interval: Duration,
    /// Bytes of changes in memory at which a checkpoint is due. At twice as many, commits are
    /// slowed down while one runs; at eight times (48 MiB at least) they are refused, those that
    /// free space at ten times. At most 1 GiB; 16 MiB when not given.
    pub overlay_bytes: u64,
    /// Bytes of the store kept in memory for reading. 1 MiB to 64 GiB; 4 MiB when not given.
    pub cache_bytes: u64,
    /// How long nothing must have been handed over until what is left is checkpointed and the
    /// files are trimmed. 1 ms to 1 h; 1 s when not given.
    pub idle_after: Duration,
    /// Bytes the store may take on disk beyond four times what is alive in it (sixteen times under
    /// load) before it is rewritten. 16 MiB when not given.
    pub bloat_bytes: u64,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            flush_interval: Duration::from_millis(50),
            overlay_bytes: 16 << 20,
            cache_bytes: 4 << 20,
            idle_after: Duration::from_secs(1),
            bloat_bytes: 16 << 20,
        }
    }
}

impl EmbeddedOptions {
    /// The same settings, each inside its bounds.
    pub(crate) fn bounded(self) -> Self {
        let millisecond = Duration::from_millis(1);
        Self {
            segment_bytes: self.segment_bytes.clamp(64 << 10, 1 << 30).next_multiple_of(4 << 10),
            flush_interval: self.flush_interval.clamp(millisecond, Duration::from_secs(10)),
            overlay_bytes: self.overlay_bytes.min(1 << 30),
            cache_bytes: self.cache_bytes.clamp(1 << 20, 64 << 30),
            idle_after: self.idle_after.clamp(millisecond, Duration::from_secs(3_600)),
            bloat_bytes: self.bloat_bytes,
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
        self.overlay_bytes.saturating_mul(8).max(2 * BATCH_BYTES_MAX)
    }

    /// Bytes left on the disk for the store, whatever the journal asks for.
    pub(crate) fn store_margin_bytes(&self) -> u64 {
        self.overlay_bytes.saturating_mul(3)
    }
}
