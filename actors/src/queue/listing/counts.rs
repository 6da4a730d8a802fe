//! How many messages queues hold, read without activating any of them.

use lanekeeper_storage::{
    Engine, LoadError,
    key::{self},
    record::{QueueEntry, QueueMeta},
};

use crate::{
    node::lifecycle::Node,
    queue::{api::error::QueueError, listing::ids::await_durable, verb::dead_letter::SUFFIX},
};

/// Queues whose counts are read together at most.
const QUEUES_MAX: usize = 1_000;

/// The counts of a queue; zeros if it was never used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Ready messages.
    pub ready: u64,
    /// Scheduled messages.
    pub scheduled: u64,
    /// Leased messages.
    pub leased: u64,
    /// Messages in its dead-letter queue.
    pub dead: u64,
}

impl QueueCounts {
    fn read(engine: &dyn Engine, id: &str) -> Result<Self, LoadError> {
        let meta = meta_of(engine, id)?;
        let QueueMeta { ready_count: ready, scheduled_count, leased_count: leased, .. } = meta;
        let dead = count_dead(engine, id)?;
        Ok(Self { ready, scheduled: scheduled_count, leased, dead })
    }
}

/// Messages in the dead-letter queue of a queue.
pub(crate) fn count_dead(engine: &dyn Engine, id: &str) -> Result<u64, LoadError> {
    let meta = meta_of(engine, &format!("{id}{SUFFIX}"))?;
    Ok(meta.ready_count + meta.scheduled_count + meta.leased_count)
}

fn meta_of(engine: &dyn Engine, id: &str) -> Result<QueueMeta, LoadError> {
    let Some(entry) = engine.get(&key::queue_entry(id))? else {
        return Ok(QueueMeta::default());
    };
    let meta = engine.get(&key::queue_meta(QueueEntry::decode(&entry)?.queue()))?;
    Ok(meta.map(|meta| QueueMeta::decode(&meta)).transpose()?.unwrap_or_default())
}

impl Node {
    /// What these queues hold, up to 1,000 of them, in the order given. Reads at most four records
    /// of each and wakes none. Dropping the future is safe.
    ///
    /// # Errors
    /// [`QueueError::InvalidLimit`], [`QueueError::Load`]; [`QueueError::Ask`] if changes
    /// that were read can no longer become durable.
    pub async fn queue_counts(&self, ids: &[String]) -> Result<Vec<QueueCounts>, QueueError> {
        if ids.len() > QUEUES_MAX {
            let (limit, limit_max) = (ids.len(), QUEUES_MAX);
            return Err(QueueError::InvalidLimit { limit, limit_max });
        }
        let (runtime, ids) = (self.runtime(), ids.to_vec());
        let read = move |engine: &dyn Engine| {
            ids.iter().map(|id| QueueCounts::read(engine, id)).collect::<Result<Vec<_>, _>>()
        };
        let counts = runtime.store.read(read).await?;
        await_durable(runtime).await?;
        Ok(counts)
    }
}
