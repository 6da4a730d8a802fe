//! How fast permits end while somebody waits.

use std::time::Duration;

/// The time between two permits that end while somebody waits, smoothed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReleaseRate {
    /// When a permit ended last while somebody waited; 0 if nobody did.
    pub(crate) ended_at_ms: u64,
    /// 0 as long as nothing is known.
    pub(crate) interval_us: u32,
}

impl ReleaseRate {
    /// A permit ended, and somebody waits.
    pub(crate) fn note_end(&mut self, now_ms: u64) {
        if self.ended_at_ms > 0 {
            self.note_interval(now_ms.saturating_sub(self.ended_at_ms));
        }
        self.ended_at_ms = now_ms;
    }

    /// A permit ended, and nobody waits: what passes until the next one ends says nothing.
    pub(crate) fn pause(&mut self) {
        self.ended_at_ms = 0;
    }

    /// Smooths the time between two permits that end, as RFC 6298 smooths round trips.
    fn note_interval(&mut self, interval_ms: u64) {
        let interval_us = u32::try_from(interval_ms.saturating_mul(1_000)).unwrap_or(u32::MAX);
        let before = self.interval_us;
        let step = (i64::from(interval_us) - i64::from(before)) / 8;
        self.interval_us =
            if before == 0 { interval_us } else { (i64::from(before) + step) as u32 };
    }

    /// When the one at a position is likely to be let in.
    pub(crate) fn eta(self, position: u32, now_ms: u64) -> Option<Duration> {
        if self.interval_us == 0 {
            return None;
        }
        let usual = u64::from(self.interval_us);
        let since_last = match self.ended_at_ms {
            0 => 0,
            ended_at_ms => now_ms.saturating_sub(ended_at_ms).saturating_mul(1_000),
        };
        // A pace that has broken off is not believed any longer.
        let interval_us = usual.max(since_last);
        Some(Duration::from_micros(interval_us.saturating_mul(u64::from(position))))
    }
}
