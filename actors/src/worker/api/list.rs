//! Which workers there are.

use std::ops::Bound;

use lanekeeper_storage::CommitSeq;

use crate::{
    node::{
        lifecycle::Node,
        list::{List, Listed, PageOptions},
    },
    worker::{
        api::{
            error::LivenessError,
            handle::Liveness,
            worker_info::{WorkerInfo, WorkerStatus},
        },
        service::{SLICE, info_of, settled},
    },
};

/// The list of the workers of a node, by id; await it.
pub type ListWorkers = List<Workers>;

/// The workers of a node.
pub struct Workers {
    liveness: Liveness,
    status: Option<WorkerStatus>,
}

/// A page of workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerList {
    /// The workers.
    pub workers: Vec<WorkerInfo>,
    /// The value of `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

impl ListWorkers {
    /// Only workers of this status.
    pub fn status(mut self, status: WorkerStatus) -> Self {
        self.listed.status = Some(status);
        self
    }
}

impl Listed for Workers {
    type Found = WorkerList;
    type Error = LivenessError;

    fn invalid_limit(limit: usize, limit_max: usize) -> LivenessError {
        LivenessError::InvalidLimit { limit, limit_max }
    }

    async fn read(self, page: PageOptions) -> Result<WorkerList, LivenessError> {
        let Self { liveness: Liveness { service, runtime }, status } = self;
        let (prefix, mut after) = (&*page.prefix, page.after.clone());
        let worker_table = service.worker_table(&runtime).await?;
        let (mut workers, mut seq) = (Vec::new(), CommitSeq::ZERO);
        loop {
            let worker_table = worker_table.lock();
            let mut last = None;
            let start = match after.as_deref() {
                Some(after) if after >= prefix => Bound::Excluded(after),
                _ => Bound::Included(prefix),
            };
            let entries = worker_table.members_from(start).take(SLICE);
            for (id, entry) in entries.take_while(|(id, _)| id.starts_with(prefix)) {
                last = Some(id.to_string());
                let info = info_of(id, entry);
                if status.is_none_or(|status| status == info.status) {
                    seq = seq.max(entry.seq);
                    workers.push(info);
                }
                if workers.len() > page.limit {
                    break;
                }
            }
            if last.is_none() || workers.len() > page.limit {
                break;
            }
            after = last;
        }
        settled(&runtime, seq).await?;
        let next = page.cut(&mut workers, |worker| &worker.id);
        Ok(WorkerList { workers, next })
    }
}

impl Node {
    /// The workers of this node; await the result. Dropping its future is safe.
    ///
    /// # Errors
    /// [`LivenessError::InvalidLimit`], [`LivenessError::Load`]; [`LivenessError::Ask`] if what was
    /// read will not become durable any more.
    pub fn workers(&self) -> ListWorkers {
        List::new(Workers { liveness: self.liveness(), status: None })
    }
}
