//! The seam for what a built-in does without being asked: its standing duties.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::Notify;

use crate::runtime::{mailbox::BoxFuture, shared_state::Runtime};

/// Something that a built-in does by itself for as long as the node lives, and its last deed.
/// Each one is a supervised actor on the arbiter of the duties.
pub(crate) trait MaintenanceService: Send + Sync + 'static {
    /// What it is called in logs and errors.
    fn name(&self) -> &'static str;

    /// Does what is due by `now` (the node's monotonic clock), and nothing if nothing is. Answers
    /// when it is due again, or `None`: not before [`MaintenanceService::changed`] says so.
    fn run_once(
        self: Arc<Self>,
        runtime: Arc<Runtime>,
        now: Duration,
    ) -> BoxFuture<Option<Duration>>;

    /// Notified when it may be due earlier than it said.
    fn changed(&self) -> &Notify;

    /// The last deed at a shutdown: after all turns have ended, before the ownership is released
    /// and the store closed. Whatever was accepted before it returns is settled. Bounds itself.
    ///
    /// # Errors
    /// What could not be settled.
    fn finish(self: Arc<Self>, runtime: Arc<Runtime>) -> BoxFuture<Result<(), String>> {
        drop(runtime);
        Box::pin(async { Ok(()) })
    }
}

/// Does a duty whenever it is due.
pub(crate) async fn commit_effects(service: Arc<dyn MaintenanceService>, runtime: Weak<Runtime>) {
    while let Some(runtime) = runtime.upgrade() {
        let changed = service.changed().notified();
        let now = runtime.clock.elapsed();
        let running = runtime.in_flight.begin();
        let due = Arc::clone(&service).run_once(Arc::clone(&runtime), now).await;
        drop(running);
        match due {
            None => changed.await,
            Some(due) => {
                let sleep = runtime.clock.doze(due.saturating_sub(runtime.clock.elapsed()));
                tokio::select! { () = sleep => {}, () = changed => {} }
            }
        }
    }
}
