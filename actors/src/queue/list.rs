//! Which queues there are.

use std::{fmt, future::IntoFuture, sync::Arc};

use bytes::Bytes;
use lanekeeper_storage::{Key, KeyRange, ScanLimit, key};

use super::{QueueError, handle::BoxFuture};
use crate::{AskError, Node, Unknown, runtime::Runtime, store::OutputGate};

/// Ids in one page at most, and when nothing else is said.
pub(super) const LIMIT_MAX: usize = 1_000;
pub(super) const LIMIT: usize = 100;

/// The list of a node's queues, in the order of their ids: those that were pushed to or configured
/// at least once. Await it.
#[must_use = "nothing is listed before it is awaited"]
pub struct ListQueues {
    runtime: Arc<Runtime>,
    prefix: String,
    after: Option<String>,
    limit: usize,
}

/// A page of queue ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueList {
    /// The ids.
    pub ids: Vec<String>,
    /// What to ask `after` for the next page, if there is one.
    pub next: Option<String>,
}

impl ListQueues {
    /// Only ids that begin so.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Only ids behind this one.
    pub fn after(mut self, id: &str) -> Self {
        self.after = Some(id.to_owned());
        self
    }

    /// So many ids at most: 1 to 1,000, 100 by default.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    async fn read(self) -> Result<QueueList, QueueError> {
        let Self { runtime, prefix, after, limit } = self;
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(QueueError::InvalidLimit { limit, limit_max: LIMIT_MAX });
        }
        let mut range = key::queue_entries(&prefix);
        if let Some(after) = after {
            range = range.after(&key::queue_entry(&after));
        }
        let found = read_durable(&runtime, range, ScanLimit::count(limit + 1)).await?;
        let ids = found.iter().filter_map(|(entry, _)| key::queue_id_of(entry));
        let ids: Vec<_> = ids.take(limit).map(str::to_owned).collect();
        let next = ids.last().filter(|_| found.len() > limit).cloned();
        Ok(QueueList { ids, next })
    }
}

/// Reads what is durable by the time it is shown.
pub(super) async fn read_durable(
    runtime: &Runtime,
    range: KeyRange,
    limit: ScanLimit,
) -> Result<Vec<(Key, Bytes)>, QueueError> {
    let found = runtime.store.scan(range, limit).await?;
    let engine = runtime.store.engine();
    let mut gate = OutputGate::default();
    gate.raise(engine.handed_over(), runtime.options.durability);
    let opened = gate.open(&**engine).await;
    opened.map_err(|error| AskError::Unknown(Unknown::Commit(error)))?;
    Ok(found)
}

impl IntoFuture for ListQueues {
    type Output = Result<QueueList, QueueError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.read())
    }
}

impl fmt::Debug for ListQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListQueues({:?}, after {:?})", self.prefix, self.after)
    }
}

impl Node {
    /// The queues of this node: await what this returns. Dropping its future is safe.
    ///
    /// # Errors
    /// [`QueueError::InvalidLimit`], [`QueueError::Load`]; [`QueueError::Ask`] if what was read
    /// will not become durable any more.
    pub fn queues(&self) -> ListQueues {
        let runtime = Arc::clone(self.runtime());
        ListQueues { runtime, prefix: String::new(), after: None, limit: LIMIT }
    }
}
