//! Which workers there are.

use std::{fmt, future::IntoFuture, ops::Bound};

use lanekeeper_storage::CommitSeq;

use super::{
    Liveness, LivenessError, WorkerInfo, WorkerStatus,
    keeper::{SLICE, info_of, settled},
};
use crate::{Node, request::BoxFuture};

/// Workers in one page at most, and when nothing else is said.
const LIMIT_MAX: usize = 1_000;
const LIMIT: usize = 100;

/// The list of a node's workers, in the order of their ids. Await it.
#[must_use = "nothing is listed before it is awaited"]
pub struct ListWorkers {
    liveness: Liveness,
    status: Option<WorkerStatus>,
    prefix: String,
    after: Option<String>,
    limit: usize,
}

/// A page of workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerList {
    /// The workers.
    pub workers: Vec<WorkerInfo>,
    /// What to ask `after` for the next page, if there is one.
    pub next: Option<String>,
}

impl ListWorkers {
    /// Only workers of this status.
    pub fn status(mut self, status: WorkerStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only workers whose ids begin so.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Only workers behind this one.
    pub fn after(mut self, id: &str) -> Self {
        self.after = Some(id.to_owned());
        self
    }

    /// So many workers at most: 1 to 1,000, 100 by default.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    async fn read(self) -> Result<WorkerList, LivenessError> {
        let Self { liveness: Liveness { keeper, runtime }, status, prefix, mut after, limit } =
            self;
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(LivenessError::InvalidLimit { limit, limit_max: LIMIT_MAX });
        }
        let fleet = keeper.fleet(&runtime).await?;
        let (mut workers, mut seq) = (Vec::new(), CommitSeq::ZERO);
        loop {
            let fleet = fleet.lock();
            let mut last = None;
            let start = match after.as_deref() {
                Some(after) if after >= prefix.as_str() => Bound::Excluded(after),
                _ => Bound::Included(prefix.as_str()),
            };
            let members = fleet.members_from(start).take(SLICE);
            for (id, member) in members.take_while(|(id, _)| id.starts_with(&*prefix)) {
                last = Some(id.to_string());
                let info = info_of(id, member);
                if status.is_none_or(|status| status == info.status) {
                    seq = seq.max(member.seq);
                    workers.push(info);
                }
                if workers.len() > limit {
                    break;
                }
            }
            if last.is_none() || workers.len() > limit {
                break;
            }
            after = last;
        }
        settled(&runtime, seq).await?;
        let is_more = workers.len() > limit;
        workers.truncate(limit);
        let next = workers.last().filter(|_| is_more).map(|last| last.id.to_string());
        Ok(WorkerList { workers, next })
    }
}

impl IntoFuture for ListWorkers {
    type Output = Result<WorkerList, LivenessError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.read())
    }
}

impl fmt::Debug for ListWorkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListWorkers({:?}, after {:?})", self.status, self.after)
    }
}

impl Node {
    /// The workers of this node: await what this returns. Dropping its future is safe.
    ///
    /// # Errors
    /// [`LivenessError::InvalidLimit`], [`LivenessError::Load`]; [`LivenessError::Ask`] if what was
    /// read will not become durable any more.
    pub fn workers(&self) -> ListWorkers {
        ListWorkers {
            liveness: self.liveness(),
            status: None,
            prefix: String::new(),
            after: None,
            limit: LIMIT,
        }
    }
}
