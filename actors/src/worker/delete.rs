//! The end of a worker that is not wanted any more: what it held returns, and it is forgotten.

use std::{sync::Arc, time::Duration};

use lanekeeper_storage::{Batch, key};

use crate::{
    runtime::shared_state::Runtime,
    worker::{
        api::{error::LivenessError, handle::Worker},
        service::{LivenessService, commit, hand_over, now, settled},
        state::pending_write::WriteStep,
    },
};

impl LivenessService {
    /// Forgets a worker, which departs first if it is online.
    async fn delete(&self, runtime: &Runtime, id: &str) -> Result<(), LivenessError> {
        let worker_table = self.worker_table(runtime).await?;
        let seq = {
            let mut worker_table = worker_table.lock();
            if let WriteStep::Write(change) =
                worker_table.deregister(id, None, now(&runtime.clock))?
            {
                commit(runtime, &mut worker_table, vec![*change])
                    .map_err(LivenessError::refused)?;
            }
            let mut batch = Batch::new();
            batch.delete(key::worker(id));
            batch.delete(key::worker_meta(id));
            batch.frees_space();
            let seq = hand_over(runtime, batch).map_err(LivenessError::refused)?;
            let id: Arc<str> = id.into();
            worker_table.forget(&id);
            seq
        };
        self.departed.notify_one();
        settled(runtime, seq).await
    }
}

/// Workers forgotten in one batch at most.
const BATCH: usize = 1_000;

/// Forgets workers that have been offline for so long, the longest first.
pub(crate) async fn forget_offline(
    runtime: &Arc<Runtime>,
    after: Duration,
) -> Result<(), LivenessError> {
    let service: &Arc<LivenessService> = runtime.settings.get().expect("every node has a liveness");
    let worker_table = service.worker_table(runtime).await?;
    loop {
        let before_ms = runtime.clock.now_ms().saturating_sub(after.as_millis() as u64);
        let seq = {
            let mut worker_table = worker_table.lock();
            let ids = worker_table.offline_before(before_ms, BATCH);
            if ids.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for id in &ids {
                batch.delete(key::worker(id));
                batch.delete(key::worker_meta(id));
            }
            batch.frees_space();
            let seq = hand_over(runtime, batch).map_err(LivenessError::refused)?;
            ids.iter().for_each(|id| worker_table.forget(id));
            seq
        };
        settled(runtime, seq).await?;
    }
}

impl Worker {
    /// Forgets the worker: it is offline, as after [`Worker::deregister`], its leases and permits
    /// are given back, and it is not listed any more. One that sends a heartbeat later is a new
    /// one.
    ///
    /// # Errors
    /// [`LivenessError::NotFound`], [`LivenessError::TooManyUntold`].
    pub async fn delete(&self) -> Result<(), LivenessError> {
        let liveness = &self.liveness;
        liveness.service.delete(&liveness.runtime, self.checked_id()?).await
    }
}
