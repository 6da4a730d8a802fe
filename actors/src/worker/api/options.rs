//! How liveness is judged: settings, and the sum that must hold between them.

use std::time::Duration;

use crate::node::{builder::NodeBuilder, lifecycle::Node};

/// The settings of a node's liveness of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivenessOptions {
    /// The time between two flushes of merged heartbeats, 1 ms or more; 60 s by default.
    pub heartbeat_flush: Duration,
    /// The expected time between two heartbeats, 1 ms or more; 15 s by default.
    pub heartbeat_interval: Duration,
    /// The time between two sweeps, 1 ms or more; 30 s by default.
    pub sweep_interval: Duration,
    /// The time without a heartbeat after which a worker is marked offline; 150 s by default. It
    /// must be more than the three times above together.
    pub stale_after: Duration,
    /// Whether every heartbeat is written before it is answered, instead of merged; off by default.
    pub is_passthrough: bool,
    /// The largest number of workers, offline ones included; 100,000 by default. At the limit a new
    /// worker replaces the one that has been offline for longest.
    pub workers_max: usize,
    /// The largest metadata of a worker in bytes; 4 KiB by default.
    pub meta_bytes_max: usize,
    /// The largest metadata of all workers together in bytes, kept in memory; 64 MiB by default.
    pub metas_bytes_max: usize,
}

impl Default for LivenessOptions {
    fn default() -> Self {
        Self {
            heartbeat_flush: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(15),
            sweep_interval: Duration::from_secs(30),
            stale_after: Duration::from_secs(150),
            is_passthrough: false,
            workers_max: 100_000,
            meta_bytes_max: 4 << 10,
            metas_bytes_max: 64 << 20,
        }
    }
}

/// The reason why these settings are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLiveness {
    /// A setting is zero.
    #[error("{0} must be more than 0")]
    Zero(&'static str),
    /// A worker with regular heartbeats could be marked offline.
    #[error(
        "stale_after must be more than heartbeat_flush + heartbeat_interval + sweep_interval = \
         {flush:?} + {beat:?} + {sweep:?} = {sum:?}, not {stale:?}",
        flush = .0.heartbeat_flush, beat = .0.heartbeat_interval, sweep = .0.sweep_interval,
        sum = .0.silence(), stale = .0.stale_after,
    )]
    Stale(LivenessOptions),
}

impl LivenessOptions {
    /// The longest time for which a living worker may not be seen to have been seen.
    fn silence(&self) -> Duration {
        let beat_and_sweep = self.heartbeat_interval.saturating_add(self.sweep_interval);
        self.heartbeat_flush.saturating_add(beat_and_sweep)
    }

    /// Checks the bounds, and that no living worker is taken for dead.
    ///
    /// # Errors
    /// [`InvalidLiveness`], with the arithmetic.
    pub fn check(&self) -> Result<(), InvalidLiveness> {
        let spans = [
            ("heartbeat_flush", self.heartbeat_flush),
            ("heartbeat_interval", self.heartbeat_interval),
            ("sweep_interval", self.sweep_interval),
        ];
        if let Some((name, _)) = spans.into_iter().find(|(_, span)| span.is_zero()) {
            return Err(InvalidLiveness::Zero(name));
        }
        if self.workers_max == 0 {
            return Err(InvalidLiveness::Zero("workers_max"));
        }
        if self.silence() >= self.stale_after {
            return Err(InvalidLiveness::Stale(*self));
        }
        Ok(())
    }
}

impl NodeBuilder {
    /// How the node judges which workers are alive.
    ///
    /// # Errors
    /// As [`LivenessOptions::check`].
    pub fn liveness(self, options: LivenessOptions) -> Result<Self, InvalidLiveness> {
        options.check()?;
        Ok(self.setting(options))
    }
}

impl Node {
    /// How this node judges which workers are alive.
    pub fn liveness_options(&self) -> LivenessOptions {
        self.runtime().settings.get().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_could_take_a_living_worker_for_dead_are_refused_with_the_sum() {
        assert_eq!(LivenessOptions::default().check(), Ok(()));
        let seconds = Duration::from_secs;
        let options = LivenessOptions { stale_after: seconds(105), ..LivenessOptions::default() };
        let refused = options.check().expect_err("equal is not enough");
        let expected = "stale_after must be more than heartbeat_flush + heartbeat_interval + \
                        sweep_interval = 60s + 15s + 30s = 105s, not 105s";
        assert_eq!(refused.to_string(), expected);
        let longer = LivenessOptions { stale_after: seconds(106), ..options };
        assert_eq!(longer.check(), Ok(()));
    }

    #[test]
    fn a_setting_of_zero_is_refused_by_name() {
        let zero = LivenessOptions { sweep_interval: Duration::ZERO, ..LivenessOptions::default() };
        assert_eq!(zero.check(), Err(InvalidLiveness::Zero("sweep_interval")));
        let none = LivenessOptions { workers_max: 0, ..LivenessOptions::default() };
        assert_eq!(none.check(), Err(InvalidLiveness::Zero("workers_max")));
    }
}
