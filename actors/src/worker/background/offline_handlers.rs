//! Who is told that a worker went offline, and telling them: in order, once for each departure.
//!
//! A departure is written together with the worker's new status and stays in the store until every
//! follower has answered. A crash in between has it told again, under the same number; a failure
//! has it tried again, beginning with the follower that failed. Nobody is told of a later departure
//! before.

use std::{future::Future, sync::Arc, time::Duration};

use lanekeeper_storage::{Batch, key, key::DepartureNo};

use crate::{
    node::builder::NodeBuilder,
    runtime::{mailbox::BoxFuture, shared_state::Runtime},
    time::clock,
    worker::{
        api::{error::LivenessError, worker_info::Departure},
        service::{LivenessService, hand_over, settled},
        state::pending_write::PendingOffline,
    },
};

/// What a follower does; it answers once that is durable.
type OfflineHandler =
    dyn Fn(Arc<Runtime>, Departure) -> BoxFuture<Result<(), String>> + Send + Sync + 'static;

/// How long a follower may take for one departure.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a departure waits that somebody could not deal with.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Departures told before that is written.
const TOLD_MAX: usize = 256;

/// Everyone who is told, in this order.
#[derive(Clone, Default)]
pub(crate) struct OfflineHandlers(Vec<(&'static str, Arc<OfflineHandler>)>);

/// How many of the followers have dealt with a departure.
#[derive(Debug, Default)]
pub(crate) struct HandlerProgress {
    of: Option<DepartureNo>,
    count: usize,
}

impl OfflineHandlers {
    /// Adds one: a built-in, or a user's.
    pub(crate) fn add<F, T>(&mut self, name: &'static str, follow: F)
    where
        F: Fn(Arc<Runtime>, Departure) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), String>> + Send + 'static,
    {
        let follow = move |runtime, departure| Box::pin(follow(runtime, departure)) as BoxFuture<_>;
        self.0.push((name, Arc::new(follow)));
    }

    /// Adds others after those there are.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    async fn tell(
        &self,
        runtime: &Arc<Runtime>,
        pending_offline: &PendingOffline,
        reached: &mut HandlerProgress,
    ) -> Result<(), String> {
        if reached.of != Some(pending_offline.number) {
            *reached = HandlerProgress { of: Some(pending_offline.number), count: 0 };
        }
        let departure = Departure {
            number: pending_offline.number.0,
            worker: Arc::clone(&pending_offline.id),
            at: clock::from_unix_ms(pending_offline.at_ms),
            cause: pending_offline.cause,
            life: pending_offline.life,
        };
        for (name, follow) in self.0.iter().skip(reached.count) {
            let following = follow(Arc::clone(runtime), departure.clone());
            let done = tokio::select! {
                done = following => done,
                () = runtime.clock.sleep(FOLLOW_TIMEOUT) => {
                    Err(format!("no answer within {} s", FOLLOW_TIMEOUT.as_secs()))
                }
            };
            done.map_err(|reason| format!("{name}: {reason}"))?;
            reached.count += 1;
        }
        Ok(())
    }
}

impl LivenessService {
    /// Tells every departure there is to tell; when to try again, if somebody could not deal with
    /// one.
    pub(crate) async fn tell(
        &self,
        runtime: &Arc<Runtime>,
    ) -> Result<Option<Duration>, LivenessError> {
        let worker_table = self.worker_table(runtime).await?;
        let mut reached = self.telling.lock().await;
        loop {
            let pending_offline = worker_table.lock().pending_offline(TOLD_MAX);
            let mut told = 0;
            for departure in &pending_offline {
                if let Err(reason) =
                    self.offline_handlers.tell(runtime, departure, &mut reached).await
                {
                    let worker = &departure.id;
                    tracing::warn!(%worker, %reason, "a departure is told again later");
                    break;
                }
                told += 1;
            }
            if told > 0 {
                let mut batch = Batch::new();
                pending_offline[..told]
                    .iter()
                    .for_each(|told| batch.delete(key::departure(told.number)));
                batch.frees_space();
                let seq = {
                    let mut worker_table = worker_table.lock();
                    let seq = hand_over(runtime, batch).map_err(LivenessError::refused)?;
                    worker_table.told(told);
                    seq
                };
                settled(runtime, seq).await?;
            }
            if told < pending_offline.len() {
                return Ok(Some(runtime.clock.elapsed() + RETRY_AFTER));
            }
            if pending_offline.is_empty() {
                return Ok(None);
            }
        }
    }
}

impl NodeBuilder {
    /// Has `follow` told of every worker that goes offline, in the order in which they do, one
    /// after the other. What it is to do is done once it answers `Ok`; then it has to survive a
    /// crash. An error, or no answer within 30 s, has the same departure told again. So has a crash
    /// between its answer and the note of it: the [number](Departure::number) is the same then.
    #[must_use]
    pub fn on_worker_offline<F, T>(self, follow: F) -> Self
    where
        F: Fn(Departure) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), String>> + Send + 'static,
    {
        let mut offline_handlers: OfflineHandlers = self.kept().cloned().unwrap_or_default();
        offline_handlers.add("a follower", move |_, departure| follow(departure));
        self.setting(offline_handlers)
    }
}
