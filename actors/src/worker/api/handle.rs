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
        service::LivenessService,
    },
};

/// The address of a worker. Cheap to make and to clone, without I/O, and valid across restart. A
/// worker exists from its first heartbeat on.
///
/// All verbs can fail with [`LivenessError::InvalidId`], [`LivenessError::Load`] and
/// [`LivenessError::Ask`]. Dropping a verb's future before its first poll has no effect; dropping
/// it later gives up the answer, not the request.
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

    /// Sends a heartbeat; await the result. A heartbeat of an online worker is merged in memory and
    /// written at the next flush, one of an offline or new worker is written before the answer.
    ///
    /// # Errors
    /// [`LivenessError::InvalidMeta`], [`LivenessError::MetaTooLarge`],
    /// [`LivenessError::MetasTooLarge`], [`LivenessError::FleetFull`].
    pub fn heartbeat(&self) -> Heartbeat {
        Heartbeat::new(self.clone())
    }

    /// Marks the worker offline until its next heartbeat; its leases and permits are given back.
    /// Returns once this is written. No effect on a worker that is offline already.
    ///
    /// # Errors
    /// [`LivenessError::NotFound`], [`LivenessError::TooManyUntold`].
    pub async fn deregister(&self) -> Result<(), LivenessError> {
        let Liveness { service, runtime } = &self.liveness;
        service.deregister(runtime, self.checked_id()?, None).await
    }

    /// As [`Worker::deregister`], for one life of the worker: if a later life has begun (the
    /// process was restarted), only leases and permits of this life and earlier ones are given
    /// back, and the worker stays online.
    ///
    /// # Errors
    /// As [`Worker::deregister`].
    pub async fn deregister_life(&self, life: u64) -> Result<(), LivenessError> {
        let Liveness { service, runtime } = &self.liveness;
        service.deregister(runtime, self.checked_id()?, Some(life)).await
    }

    /// The state of the worker.
    ///
    /// # Errors
    /// [`LivenessError::NotFound`].
    pub async fn status(&self) -> Result<WorkerInfo, LivenessError> {
        let Liveness { service, runtime } = &self.liveness;
        service.info(runtime, self.checked_id()?).await
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
    pub(crate) service: Arc<LivenessService>,
    pub(crate) runtime: Arc<Runtime>,
}

impl Liveness {
    /// Writes all pending heartbeats now, and returns the number of workers written. Makes no I/O
    /// if none are pending. Dropping the future does not cancel the write; it is repeated at the
    /// next flush.
    ///
    /// # Errors
    /// [`LivenessError::Ask`] if the store refused or failed; what was to be written is kept.
    pub async fn flush_now(&self) -> Result<usize, LivenessError> {
        self.service.flush(&self.runtime).await
    }

    /// Marks workers offline that were not seen for too long, and returns their number. Dropping
    /// the future ends it after the present batch.
    ///
    /// # Errors
    /// [`LivenessError::Ask`] if the store refused or failed: the next sweep looks again.
    pub async fn sweep_now(&self) -> Result<usize, LivenessError> {
        self.service.sweep(&self.runtime).await
    }

    /// Workers with heartbeats that are not written yet.
    pub fn pending_count(&self) -> usize {
        self.service.pending_count()
    }

    /// The statistics.
    pub fn stats(&self) -> LivenessStats {
        self.service.stats()
    }

    /// The settings in force.
    pub fn options(&self) -> LivenessOptions {
        self.service.options
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Liveness({} pending)", self.pending_count())
    }
}

impl Node {
    /// The address of a worker. An invalid id is reported by each of its verbs.
    pub fn worker(&self, id: &str) -> Worker {
        Worker { id: id.into(), liveness: self.liveness() }
    }

    /// The liveness of this node: its statistics, and its flush.
    ///
    /// # Panics
    /// Never: every node has one.
    pub fn liveness(&self) -> Liveness {
        let runtime = Arc::clone(self.runtime());
        let service: &Arc<LivenessService> =
            runtime.settings.get().expect("every node has a liveness");
        Liveness { service: Arc::clone(service), runtime }
    }
}
