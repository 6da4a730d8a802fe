//! Which gates there are.

use std::sync::Arc;

use lanekeeper_storage::{LoadError, key, record::GateMeta};

use crate::{
    gate::api::error::GateError,
    node::{
        lifecycle::Node,
        list::{List, Listed, PageOptions},
    },
    runtime::shared_state::Runtime,
};

/// The list of the gates of a node that were used at least once, by id; await it.
pub type ListGates = List<Gates>;

/// The gates of a node.
pub struct Gates(Arc<Runtime>);

/// The counts of a gate as of its last change.
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
    /// The gates.
    pub gates: Vec<GateSummary>,
    /// The value of `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

impl Listed for Gates {
    type Found = GateList;
    type Error = GateError;

    fn invalid_limit(limit: usize, limit_max: usize) -> GateError {
        GateError::InvalidLimit { limit, limit_max }
    }

    async fn read(self, page: PageOptions) -> Result<GateList, GateError> {
        let range = page.range(key::gate_metas, key::gate_meta);
        let found = self.0.store.scan(range, page.scan_limit()).await?;
        let mut gates = Vec::with_capacity(found.len());
        for (key, meta) in &found {
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
        let next = page.cut(&mut gates, |gate| &gate.id);
        Ok(GateList { gates, next })
    }
}

impl Node {
    /// The gates of this node; await the result. It activates nothing, and may show changes that
    /// are not durable yet. Dropping its future is safe.
    ///
    /// # Errors
    /// [`GateError::InvalidLimit`], [`GateError::Load`].
    pub fn gates(&self) -> ListGates {
        List::new(Gates(Arc::clone(self.runtime())))
    }
}
