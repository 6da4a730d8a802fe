//! What a stream can be told about itself.

use lanekeeper_storage::record::StreamSettings;
use std::time::Duration;

use crate::{
    node::{builder::NodeBuilder, lifecycle::Node},
    stream::api::error::StreamError,
};

pub use lanekeeper_storage::record::OnSlow;

/// The settings of a stream; they survive a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamConfig {
    /// Messages kept for those who come late, 0 to 1,000 and at most 8 MiB of payloads; none by
    /// default. A stream that keeps messages in memory alone is not put away.
    pub retain: u32,
    /// Whether the messages kept survive a restart.
    pub persist: bool,
    /// What happens to a slow subscriber.
    pub on_slow: OnSlow,
}

/// Messages that a stream keeps at most.
pub(crate) const RETAIN_MAX: u32 = 1_000;

impl StreamConfig {
    pub(crate) fn check(&self) -> Result<(), StreamError> {
        if self.retain > RETAIN_MAX {
            let reason = "retain must be from 0 to 1000";
            return Err(StreamError::InvalidConfig { field: "retain", reason });
        }
        if self.persist && self.retain == 0 {
            let reason = "persist keeps what is retained: retain must be from 1 to 1000 with it";
            return Err(StreamError::InvalidConfig { field: "persist", reason });
        }
        Ok(())
    }
}

impl From<StreamSettings> for StreamConfig {
    fn from(settings: StreamSettings) -> Self {
        let StreamSettings { retain, is_persistent, on_slow } = settings;
        Self { retain, persist: is_persistent, on_slow }
    }
}

impl From<StreamConfig> for StreamSettings {
    fn from(config: StreamConfig) -> Self {
        let StreamConfig { retain, persist, on_slow } = config;
        Self { retain, is_persistent: persist, on_slow }
    }
}

/// The bounds of every stream of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Size of one payload.
    pub data_bytes_max: usize,
    /// Subscribers of one stream.
    pub subscribers_max: usize,
    /// Messages that wait for a subscriber that does not say otherwise.
    pub queue_default: usize,
    /// Messages that a subscriber can have wait at most.
    pub queue_max: usize,
    /// What a send may take without being slow.
    pub slow_after: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            data_bytes_max: 1 << 20,
            subscribers_max: 10_000,
            queue_default: 1_000,
            queue_max: 100_000,
            slow_after: Duration::from_millis(500),
        }
    }
}

impl NodeBuilder {
    /// The bounds of every stream.
    #[must_use]
    pub fn stream_limits(self, limits: StreamLimits) -> Self {
        self.setting(limits)
    }
}

impl Node {
    /// The bounds of every stream of this node.
    pub fn stream_limits(&self) -> StreamLimits {
        self.runtime().settings.get().copied().unwrap_or_default()
    }
}
