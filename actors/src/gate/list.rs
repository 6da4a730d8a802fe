//! Which gates there are.

use std::{fmt, future::IntoFuture, sync::Arc};

use lanekeeper_storage::{LoadError, ScanLimit, key, record::GateMeta};

use super::{GateError, handle::BoxFuture};
use crate::{Node, runtime::Runtime};

/// Gates in one page at most, and when nothing else is said.
const LIMIT_MAX: usize = 1_000;
const LIMIT: usize = 100;

/// The list of a node's gates, in the order of their ids: those that were used at least once. Await
/// it.
#[must_use = "nothing is listed before it is awaited"]
pub struct ListGates {
    runtime: Arc<Runtime>,
    prefix: String,
    after: Option<String>,
    limit: usize,
}

/// A gate in a few numbers, as its last change left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateSummary {
    /// Its id.
    pub id: String,
    /// Owners that wait.
    pub waiting: u64,
    /// Permits that are held.
    pub held: u64,
    /// Permits granted since creation.
    pub granted_total: u64,
    /// Permits released since creation.
    pub completed_total: u64,
}

/// A page of gates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateList {
    /// They.
    pub gates: Vec<GateSummary>,
    /// What to ask `after` for the next page, if there is one.
    pub next: Option<String>,
}

impl ListGates {
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

    /// So many gates at most: 1 to 1,000, 100 by default.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    async fn read(self) -> Result<GateList, GateError> {
        let Self { runtime, prefix, after, limit } = self;
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(GateError::InvalidLimit { limit, limit_max: LIMIT_MAX });
        }
        let mut range = key::gate_metas(&prefix);
        if let Some(after) = after {
            range = range.after(&key::gate_meta(&after));
        }
        let found = runtime.store.scan(range, ScanLimit::count(limit + 1)).await?;
        let has_more = found.len() > limit;
        let mut gates = Vec::with_capacity(limit.min(found.len()));
        for (key, meta) in found.iter().take(limit) {
            let Some(id) = key::gate_id_of(key) else { continue };
            let meta = GateMeta::decode(meta).map_err(LoadError::from)?;
            gates.push(GateSummary {
                id: id.to_owned(),
                waiting: meta.waiting_count,
                held: meta.held_count,
                granted_total: meta.granted_total,
                completed_total: meta.completed_total,
            });
        }
        let next = gates.last().filter(|_| has_more).map(|last| last.id.clone());
        Ok(GateList { gates, next })
    }
}

impl IntoFuture for ListGates {
    type Output = Result<GateList, GateError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.read())
    }
}

impl fmt::Debug for ListGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListGates({:?}, after {:?})", self.prefix, self.after)
    }
}

impl Node {
    /// The gates of this node: await what this returns. Nothing is activated for it; what it shows
    /// may not be durable yet. Dropping its future is safe.
    ///
    /// # Errors
    /// [`GateError::InvalidLimit`], [`GateError::Load`].
    pub fn gates(&self) -> ListGates {
        let runtime = Arc::clone(self.runtime());
        ListGates { runtime, prefix: String::new(), after: None, limit: LIMIT }
    }
}
