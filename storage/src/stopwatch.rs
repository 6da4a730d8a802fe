//! The only clock of the storage: how long since something, never what time it is.

use std::time::{Duration, Instant};

/// A moment from which time is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// This moment.
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// How long ago it was.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// How long until `interval` has passed since this moment; zero if it has.
    pub(crate) fn until(self, interval: Duration) -> Duration {
        interval.saturating_sub(self.elapsed())
    }
}
