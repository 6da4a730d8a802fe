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
        service::{Keeper, hand_over, settled},
        state::pending_write::Untold,
    },
};

/// What a follower does; it answers once that is durable.
type Follow =
    dyn Fn(Arc<Runtime>, Departure) -> BoxFuture<Result<(), String>> + Send + Sync + 'static;

/// How long a follower may take for one departure.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a departure waits that somebody could not deal with.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Departures told before that is written.
const TOLD_MAX: usize = 256;

/// Everyone who is told, in this order.
#[derive(Clone, Default)]
pub(crate) struct Followers(Vec<(&'static str, Arc<Follow>)>);

/// How many of the followers have dealt with a departure.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    of: Option<DepartureNo>,
    count: usize,
}

impl Followers {
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
        untold: &Untold,
        reached: &mut Reached,
    ) -> Result<(), String> {
        if reached.of != Some(untold.number) {
            *reached = Reached { of: Some(untold.number), count: 0 };
        }
        let departure = Departure {
            number: untold.number.0,
            worker: Arc::clone(&untold.id),
            at: clock::from_unix_ms(untold.at_ms),
            cause: untold.cause,
            life: untold.life,
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

impl Keeper {
    /// Tells every departure there is to tell; when to try again, if somebody could not deal with
    /// one.
    pub(crate) async fn tell(
        &self,
        runtime: &Arc<Runtime>,
    ) -> Result<Option<Duration>, LivenessError> {
        let fleet = self.fleet(runtime).await?;
        let mut reached = self.telling.lock().await;
        loop {
            let untold = fleet.lock().untold(TOLD_MAX);
            let mut told = 0;
            for departure in &untold {
                if let Err(reason) = self.followers.tell(runtime, departure, &mut reached).await {
                    let worker = &departure.id;
                    tracing::warn!(%worker, %reason, "a departure is told again later");
                    break;
                }
                told += 1;
            }
            if told > 0 {
                let mut batch = Batch::new();
                untold[..told].iter().for_each(|told| batch.delete(key::departure(told.number)));
                batch.frees_space();
                let seq = {
                    let mut fleet = fleet.lock();
                    let seq = hand_over(runtime, batch).map_err(LivenessError::refused)?;
                    fleet.told(told);
                    seq
                };
                settled(runtime, seq).await?;
            }
            if told < untold.len() {
                return Ok(Some(runtime.clock.elapsed() + RETRY_AFTER));
            }
            if untold.is_empty() {
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
        let mut followers: Followers = self.kept().cloned().unwrap_or_default();
        followers.add("a follower", move |_, departure| follow(departure));
        self.setting(followers)
    }
}
