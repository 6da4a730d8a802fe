//! Which queues there are.

use std::sync::Arc;

use bytes::Bytes;
use lanekeeper_storage::{Key, KeyRange, ScanLimit, key};

use crate::{
    actor::error::{AskError, Unknown},
    node::{
        lifecycle::Node,
        list::{List, Listed, PageOptions},
    },
    queue::api::error::QueueError,
    runtime::{commit_barrier::CommitBarrier, shared_state::Runtime},
};

/// The list of the queues of a node that were pushed to or configured at least once, by id; await
/// it.
pub type ListQueues = List<Queues>;

/// The queues of a node.
pub struct Queues(Arc<Runtime>);

/// A page of queue ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueList {
    /// The ids.
    pub ids: Vec<String>,
    /// The value of `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

impl Listed for Queues {
    type Found = QueueList;
    type Error = QueueError;

    fn invalid_limit(limit: usize, limit_max: usize) -> QueueError {
        QueueError::InvalidLimit { limit, limit_max }
    }

    async fn read(self, page: PageOptions) -> Result<QueueList, QueueError> {
        let range = page.range(key::queue_entries, key::queue_entry);
        let found = read_durable(&self.0, range, page.scan_limit()).await?;
        let ids = found.iter().filter_map(|(entry, _)| key::queue_id_of(entry));
        let mut ids: Vec<_> = ids.map(str::to_owned).collect();
        let next = page.cut(&mut ids, |id| id);
        Ok(QueueList { ids, next })
    }
}

/// Reads what is durable by the time it is shown.
pub(crate) async fn read_durable(
    runtime: &Runtime,
    range: KeyRange,
    limit: ScanLimit,
) -> Result<Vec<(Key, Bytes)>, QueueError> {
    let found = runtime.store.scan(range, limit).await?;
    await_durable(runtime).await?;
    Ok(found)
}

/// Waits until all that can be read by now is durable.
pub(crate) async fn await_durable(runtime: &Runtime) -> Result<(), QueueError> {
    let engine = runtime.store.engine();
    let mut gate = CommitBarrier::default();
    gate.raise(engine.handed_over(), runtime.options.durability);
    let opened = gate.open(&**engine).await;
    opened.map_err(|error| AskError::Unknown(Unknown::Commit(error)))?;
    Ok(())
}

impl Node {
    /// The queues of this node; await the result. Dropping its future is safe.
    ///
    /// # Errors
    /// [`QueueError::InvalidLimit`], [`QueueError::Load`]; [`QueueError::Ask`] if changes
    /// that were read can no longer become durable.
    pub fn queues(&self) -> ListQueues {
        List::new(Queues(Arc::clone(self.runtime())))
    }
}
