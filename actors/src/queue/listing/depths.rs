//! Which queues hold how much, read without activating any of them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use lanekeeper_storage::{
    Engine, LoadError, ScanLimit,
    key::{self, MessageState as State, QueueNo},
    record::{MessageRecord, QueueEntry, QueueMeta},
};

use crate::{
    node::{
        lifecycle::Node,
        list::{List, Listed, PageOptions},
    },
    queue::{api::error::QueueError, listing::ids::read_durable},
    runtime::shared_state::Runtime,
    time::clock::from_unix_ms,
};

/// Priorities of one queue that are looked at for its oldest message.
const PRIORITIES_MAX: usize = 64;

/// The list of how much the queues of a node hold, in the order of their ids. Await it.
pub type ListDepths = List<Depths>;

/// The depths of a node's queues.
pub struct Depths(Arc<Runtime>);

/// How much a queue holds, as its last change left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// Its id.
    pub id: String,
    /// Ready messages.
    pub ready: u64,
    /// Scheduled messages.
    pub scheduled: u64,
    /// Leased messages.
    pub leased: u64,
    /// Bytes of all payloads.
    pub bytes: u64,
    /// When the oldest ready message was pushed: of its 64 most urgent priorities in use.
    pub oldest_ready_at: Option<SystemTime>,
}

impl QueueDepth {
    /// How long the oldest ready message has waited by `now`; zero if there is none.
    pub fn oldest_ready_age(&self, now: SystemTime) -> Duration {
        let age = self.oldest_ready_at.and_then(|at| now.duration_since(at).ok());
        age.unwrap_or_default()
    }
}

/// A page of depths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DepthList {
    /// One for each queue.
    pub queues: Vec<QueueDepth>,
    /// The value of `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

impl Listed for Depths {
    type Found = DepthList;
    type Error = QueueError;

    fn invalid_limit(limit: usize, limit_max: usize) -> QueueError {
        QueueError::InvalidLimit { limit, limit_max }
    }

    async fn read(self, page: PageOptions) -> Result<DepthList, QueueError> {
        let range = page.range(key::queue_entries, key::queue_entry);
        let found = read_durable(&self.0, range, page.scan_limit()).await?;
        let mut queues = Vec::with_capacity(found.len());
        for (entry, record) in found {
            let Some(id) = key::queue_id_of(&entry).map(str::to_owned) else { continue };
            let queue = QueueEntry::decode(&record).map_err(LoadError::from)?.queue();
            // A read for each, so that none of them holds up the others for long.
            let read = self.0.store.read(move |engine| depth(engine, id, queue));
            queues.push(read.await?);
        }
        let next = page.cut(&mut queues, |queue| &queue.id);
        Ok(DepthList { queues, next })
    }
}

fn depth(engine: &dyn Engine, id: String, queue: QueueNo) -> Result<QueueDepth, LoadError> {
    let meta = engine.get(&key::queue_meta(queue))?;
    let meta = meta.map(|meta| QueueMeta::decode(&meta)).transpose()?.unwrap_or_default();
    let oldest_ms = if meta.ready_count > 0 { oldest_ready_ms(engine, queue)? } else { None };
    Ok(QueueDepth {
        id,
        ready: meta.ready_count,
        scheduled: meta.scheduled_count,
        leased: meta.leased_count,
        bytes: meta.bytes,
        oldest_ready_at: oldest_ms.map(from_unix_ms),
    })
}

/// Inside a priority the first message is the oldest, so that one read of each is enough.
fn oldest_ready_ms(engine: &dyn Engine, queue: QueueNo) -> Result<Option<u64>, LoadError> {
    let mut oldest_ms: Option<u64> = None;
    for (priority_count, _) in
        engine.scan(&key::priority_counts(queue), ScanLimit::count(PRIORITIES_MAX))?
    {
        let Some(priority) = key::priority_of_lane(&priority_count) else { continue };
        let first = key::messages_of(queue, State::Ready, priority);
        for (_, record) in engine.scan(&first, ScanLimit::count(1))? {
            let pushed_at_ms = MessageRecord::decode(&record)?.pushed_at_ms;
            oldest_ms = Some(oldest_ms.map_or(pushed_at_ms, |ms| ms.min(pushed_at_ms)));
        }
    }
    Ok(oldest_ms)
}

impl Node {
    /// How much the queues of this node hold: await what this returns. Nothing is activated for
    /// it. Dropping its future is safe.
    ///
    /// # Errors
    /// As [`Node::queues`].
    pub fn queue_depths(&self) -> ListDepths {
        List::new(Depths(Arc::clone(self.runtime())))
    }
}
