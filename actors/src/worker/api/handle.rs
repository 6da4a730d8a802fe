//! The addresses: one worker, and the liveness of a node.

use std::{fmt, sync::Arc};

use crate::{
    actor::id::{InvalidId, check_id},
    node::lifecycle::Node,
    runtime::shared_state::Runtime,
    worker::{
        api::{
            error::LivenessError, heartbeat::Heartbeat, options::LivenessOptions,
            stats::LivenessStats, worker_info::WorkerInfo,
        },
        service::Keeper,
    },
};

/// The address of a worker: no I/O to make, cheap to clone, valid across restart. A worker is known
/// from its first heartbeat on.
///
/// Common to all verbs are the errors [`LivenessError::InvalidId`], [`LivenessError::Load`] and
/// [`LivenessError::Ask`]. Dropping a verb's future before its first poll does nothing at all;
/// dropping it later gives up the answer, not what it asked for.
#[derive(Clone)]
pub struct Worker {
    id: Arc<str>,
    pub(crate) liveness: Liveness,
}

impl Worker {
    /// The id it was asked for with, valid or not.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A sign of life: await what this returns. From a worker that is online it is merged in memory
    /// and written with those of all others at the next flush; from one that is offline or was
    /// never seen it is written before the answer.
    ///
    /// # Errors
    /// [`LivenessError::InvalidMeta`], [`LivenessError::MetaTooLarge`],
    /// [`LivenessError::MetasTooLarge`], [`LivenessError::FleetFull`].
    pub fn heartbeat(&self) -> Heartbeat {
        Heartbeat::new(self.clone())
    }

    /// Goodbye: the worker is offline until its next heartbeat, and its leases and permits are
    /// given back. Answers once that it is offline is written; one that is offline already stays
    /// as it is.
    ///
    /// # Errors
    /// [`LivenessError::NotFound`], [`LivenessError::TooManyUntold`].
    pub async fn deregister(&self) -> Result<(), LivenessError> {
        let Liveness { keeper, runtime } = &self.liveness;
        keeper.deregister(runtime, self.checked_id()?, None).await
    }

    /// As [`Worker::deregister`], for one life of the worker: if a later one has begun meanwhile
    /// (the process was restarted), only what this one and those before it had is given back, and
    /// the worker stays online.
    ///
    /// # Errors
    /// As [`Worker::deregister`].
    pub async fn deregister_life(&self, life: u64) -> Result<(), LivenessError> {
        let Liveness { keeper, runtime } = &self.liveness;
        keeper.deregister(runtime, self.checked_id()?, Some(life)).await
    }

    /// What is known of the worker.
    ///
    /// # Errors
    /// [`LivenessError::NotFound`].
    pub async fn status(&self) -> Result<WorkerInfo, LivenessError> {
        let Liveness { keeper, runtime } = &self.liveness;
        keeper.info(runtime, self.checked_id()?).await
    }

    pub(crate) fn checked_id(&self) -> Result<&str, InvalidId> {
        check_id(&self.id).map(|()| &*self.id)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({:?})", self.id)
    }
}

/// The liveness of a node. Cheap to clone.
#[derive(Clone)]
pub struct Liveness {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) runtime: Arc<Runtime>,
}

impl Liveness {
    /// Writes every beat that is pending, now; how many workers that were. Touches no disk if there
    /// are none. Dropping the future leaves what was handed over to be written, and it is written
    /// once more at the next flush.
    ///
    /// # Errors
    /// [`LivenessError::Ask`] if the store refused or failed; what was to be written is kept.
    pub async fn flush_now(&self) -> Result<usize, LivenessError> {
        self.keeper.flush(&self.runtime).await
    }

    /// Takes for dead, now, who was not seen for too long; how many workers that were. Dropping the
    /// future ends it after the workers under way.
    ///
    /// # Errors
    /// [`LivenessError::Ask`] if the store refused or failed: the next sweep looks again.
    pub async fn sweep_now(&self) -> Result<usize, LivenessError> {
        self.keeper.sweep(&self.runtime).await
    }

    /// Workers whose beats wait for the disk.
    pub fn pending_count(&self) -> usize {
        self.keeper.pending_count()
    }

    /// The figures.
    pub fn stats(&self) -> LivenessStats {
        self.keeper.stats()
    }

    /// The settings in force.
    pub fn options(&self) -> LivenessOptions {
        self.keeper.options
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Liveness({} pending)", self.pending_count())
    }
}

impl Node {
    /// The address of a worker. A text that is no id is reported by each of the worker's verbs.
    pub fn worker(&self, id: &str) -> Worker {
        Worker { id: id.into(), liveness: self.liveness() }
    }

    /// The liveness of this node: its figures, and its flush.
    ///
    /// # Panics
    /// Never: every node has one.
    pub fn liveness(&self) -> Liveness {
        let runtime = Arc::clone(self.runtime());
        let keeper: &Arc<Keeper> = runtime.settings.get().expect("every node has a liveness");
        Liveness { keeper: Arc::clone(keeper), runtime }
    }
}
