//! What liveness does by itself: flush, sweep, tell.

use lanekeeper_storage::CommitError;
use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    actor::error::AskError,
    maintenance::service::MaintenanceService,
    runtime::{kind_settings::KindSettings, mailbox::BoxFuture, shared_state::Runtime},
    time::clock::Clock,
    worker::{
        api::{error::LivenessError, options::LivenessOptions},
        background::offline_handlers::OfflineHandlers,
        service::LivenessService,
    },
};

/// Makes the liveness of a node: kept among its settings, where handles find it. These followers
/// are told before those of the settings.
pub(crate) fn install(
    settings: &mut KindSettings,
    clock: &Clock,
    mut offline_handlers: OfflineHandlers,
) -> Vec<Arc<dyn MaintenanceService>> {
    let options: LivenessOptions = settings.get().copied().unwrap_or_default();
    offline_handlers.extend(settings.get::<OfflineHandlers>().cloned().unwrap_or_default());
    let service = Arc::new(LivenessService::new(options, offline_handlers));
    settings.insert(Arc::clone(&service));
    let pacer = |interval| Pacer::new(interval, clock.elapsed());
    vec![
        Arc::new(Flush { service: Arc::clone(&service), pacer: pacer(options.heartbeat_flush) }),
        Arc::new(Sweep { service: Arc::clone(&service), pacer: pacer(options.sweep_interval) }),
        Arc::new(Tell { service }),
    ]
}

/// Something that comes again and again, and not more often because it was late once.
struct Pacer {
    interval: Duration,
    last: Mutex<Duration>,
    /// Nothing makes it come earlier.
    unchanged: Notify,
}

impl Pacer {
    fn new(interval: Duration, now: Duration) -> Self {
        Self { interval, last: Mutex::new(now), unchanged: Notify::new() }
    }

    fn is_due(&self, now: Duration) -> bool {
        let mut last = self.last.lock();
        let is_due = now >= last.saturating_add(self.interval);
        if is_due {
            *last = now;
        }
        is_due
    }

    fn next(&self) -> Option<Duration> {
        Some(self.last.lock().saturating_add(self.interval))
    }
}

/// Writes merged beats.
struct Flush {
    service: Arc<LivenessService>,
    pacer: Pacer,
}

/// How long the last flush may take.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it waits after a refusal that may pass.
const FINISH_RETRY: Duration = Duration::from_millis(100);

impl MaintenanceService for Flush {
    fn name(&self) -> &'static str {
        "heartbeats"
    }

    fn run_once(
        self: Arc<Self>,
        runtime: Arc<Runtime>,
        now: Duration,
    ) -> BoxFuture<Option<Duration>> {
        Box::pin(async move {
            if self.pacer.is_due(now)
                && let Err(error) = self.service.flush(&runtime).await
            {
                tracing::warn!(%error, "heartbeats were not written; they are kept");
            }
            self.pacer.next()
        })
    }

    fn changed(&self) -> &Notify {
        &self.pacer.unchanged
    }

    fn finish(self: Arc<Self>, runtime: Arc<Runtime>) -> BoxFuture<Result<(), String>> {
        Box::pin(async move {
            let finished = tokio::select! {
                finished = finish(&self.service, &runtime) => finished,
                () = runtime.clock.sleep(FINISH_TIMEOUT) => {
                    let (count, seconds) = (self.service.pending_count(), FINISH_TIMEOUT.as_secs());
                    Err(format!("{count} heartbeats were not written within {seconds} s"))
                }
            };
            self.service.close();
            finished
        })
    }
}

async fn finish(service: &LivenessService, runtime: &Runtime) -> Result<(), String> {
    loop {
        match service.drain(runtime).await {
            Ok(()) => return Ok(()),
            Err(LivenessError::Ask(AskError::Refused(
                CommitError::DiskFull
                | CommitError::Unavailable { .. }
                | CommitError::Overloaded { .. },
            ))) => runtime.clock.sleep(FINISH_RETRY).await,
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Takes for dead who is silent for too long.
struct Sweep {
    service: Arc<LivenessService>,
    pacer: Pacer,
}

impl MaintenanceService for Sweep {
    fn name(&self) -> &'static str {
        "sweep of workers"
    }

    fn run_once(
        self: Arc<Self>,
        runtime: Arc<Runtime>,
        now: Duration,
    ) -> BoxFuture<Option<Duration>> {
        Box::pin(async move {
            if self.pacer.is_due(now)
                && let Err(error) = self.service.sweep(&runtime).await
            {
                tracing::warn!(%error, "the sweep of workers ended early");
            }
            self.pacer.next()
        })
    }

    fn changed(&self) -> &Notify {
        &self.pacer.unchanged
    }
}

/// Tells who follows that a worker has gone.
struct Tell {
    service: Arc<LivenessService>,
}

/// How long a departure waits that could not be read or written.
const TELL_RETRY: Duration = Duration::from_secs(1);

impl MaintenanceService for Tell {
    fn name(&self) -> &'static str {
        "departures"
    }

    fn run_once(
        self: Arc<Self>,
        runtime: Arc<Runtime>,
        now: Duration,
    ) -> BoxFuture<Option<Duration>> {
        Box::pin(async move {
            self.service.tell(&runtime).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "departures could not be told");
                Some(now + TELL_RETRY)
            })
        })
    }

    fn changed(&self) -> &Notify {
        &self.service.departed
    }
}
