//! Forgetting what was used once: queues, gates and workers that nobody has touched for long.
//!
//! A slow walk over what the store has of them, a slice at a time, that activates none. An empty
//! queue (or gate) without settings of its own is a candidate; it is forgotten when a later visit
//! finds its record just as it was, long enough after the first one. So nothing is written down for
//! it, and a restart only makes the walk begin anew.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use lanekeeper_storage::{KeyRange, LoadError, ScanLimit, key};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    gate,
    maintenance::service::MaintenanceService,
    node::builder::NodeBuilder,
    queue,
    runtime::{kind_settings::KindSettings, mailbox::BoxFuture, shared_state::Runtime},
    worker,
};

/// The shortest time after which anything is forgotten.
const AFTER_MIN: Duration = Duration::from_secs(60);
/// Entries looked at in one go, and the pause between two.
const SLICE: usize = 200;
const PAUSE: Duration = Duration::from_millis(50);
/// The longest rest between two walks.
const REST_MAX: Duration = Duration::from_secs(600);
/// Candidates remembered at most; what is beyond waits for room.
const CANDIDATES_MAX: usize = 200_000;

/// How long something is left alone until it is forgotten.
#[derive(Clone, Copy, Debug)]
struct ForgetIdleAfter(Duration);

impl NodeBuilder {
    /// Forgets queues and gates that are empty, have no settings of their own and were not used for
    /// this long (a minute at least), and workers that are offline for it: as if they had been
    /// deleted. Never by default. What is used again meanwhile, or is asked for in that very
    /// moment, is there as if it was used for the first time. The time is counted by each process
    /// anew.
    #[must_use]
    pub fn forget_idle_after(self, time: Duration) -> Self {
        self.setting(ForgetIdleAfter(time.max(AFTER_MIN)))
    }
}

/// The duty, if the settings ask for it.
pub(crate) fn duty(settings: &KindSettings) -> Option<Arc<dyn MaintenanceService>> {
    let ForgetIdleAfter(after) = *settings.get()?;
    let walk =
        Walk { range: key::queue_entries(""), of: ForgetTarget::Queues, due: Duration::ZERO };
    let (walk, seen, changed) = (Mutex::new(walk), Mutex::default(), Notify::new());
    Some(Arc::new(Forget { after, walk, seen, changed, hasher: RandomState::new() }))
}

struct Forget {
    after: Duration,
    walk: Mutex<Walk>,
    seen: Mutex<HashMap<u64, Seen>>,
    hasher: RandomState,
    /// Nothing makes it come earlier.
    changed: Notify,
}

/// How far the walk is.
#[derive(Clone)]
struct Walk {
    range: KeyRange,
    of: ForgetTarget,
    due: Duration,
}

/// What is walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ForgetTarget {
    Queues,
    Gates,
}

/// A candidate as it was met first, by hashes.
#[derive(Clone, Copy)]
struct Seen {
    record: u64,
    since: Duration,
    /// When it was met last.
    last: Duration,
}

impl MaintenanceService for Forget {
    fn name(&self) -> &'static str {
        "forget"
    }

    fn run_once(
        self: Arc<Self>,
        runtime: Arc<Runtime>,
        now: Duration,
    ) -> BoxFuture<Option<Duration>> {
        Box::pin(async move {
            let walk = self.walk.lock().clone();
            if walk.due > now {
                return Some(walk.due);
            }
            let next = self.slice(&runtime, walk, now).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "what is idle is looked at again");
                Walk {
                    due: now + self.rest(),
                    range: key::queue_entries(""),
                    of: ForgetTarget::Queues,
                }
            });
            let due = next.due;
            *self.walk.lock() = next;
            Some(due)
        })
    }

    fn changed(&self) -> &Notify {
        &self.changed
    }
}

impl Forget {
    fn rest(&self) -> Duration {
        (self.after / 4).min(REST_MAX)
    }

    /// Looks at a slice; answers where and when to go on.
    async fn slice(
        &self,
        runtime: &Arc<Runtime>,
        mut walk: Walk,
        now: Duration,
    ) -> Result<Walk, LoadError> {
        let (of, range) = (walk.of, walk.range.clone());
        let read = runtime.store.read(move |engine| {
            let found = engine.scan(&range, ScanLimit::count(SLICE))?;
            let last = found.last().map(|(key, _)| key.clone());
            let mut idle: Vec<(String, Bytes)> = Vec::new();
            for (key, record) in &found {
                let candidate = match of {
                    ForgetTarget::Queues => queue::verb::delete::idle(engine, key, record)?,
                    ForgetTarget::Gates => gate::verb::delete::idle(engine, key, record)?,
                };
                idle.extend(candidate);
            }
            Ok((idle, last))
        });
        let (idle, last) = read.await?;
        for (id, record) in idle {
            if self.is_due(of, &id, &record, now) {
                let forgotten = match of {
                    ForgetTarget::Queues => {
                        let forgotten = queue::verb::delete::forget(runtime, &id, record).await;
                        forgotten.map_err(|error| error.to_string())
                    }
                    ForgetTarget::Gates => {
                        let forgotten = gate::verb::delete::forget(runtime, &id, record).await;
                        forgotten.map_err(|error| error.to_string())
                    }
                };
                if let Err(error) = forgotten {
                    tracing::warn!(?of, id, %error, "it is not forgotten");
                }
            }
        }
        walk.due = now + PAUSE;
        match (last, of) {
            (Some(last), _) => walk.range = walk.range.after(&last),
            (None, ForgetTarget::Queues) => {
                (walk.range, walk.of) = (key::gate_metas(""), ForgetTarget::Gates);
            }
            (None, ForgetTarget::Gates) => {
                if let Err(error) = worker::delete::forget_offline(runtime, self.after).await {
                    tracing::warn!(%error, "workers that are offline are not forgotten");
                }
                self.end_of_walk(now);
                (walk.range, walk.of) = (key::queue_entries(""), ForgetTarget::Queues);
                walk.due = now + self.rest();
            }
        }
        Ok(walk)
    }

    /// Whether a candidate has been as it is for long enough.
    fn is_due(&self, of: ForgetTarget, id: &str, record: &Bytes, now: Duration) -> bool {
        let name = self.hasher.hash_one((of == ForgetTarget::Gates, id));
        let record = self.hasher.hash_one(record);
        let mut seen = self.seen.lock();
        let has_room = seen.len() < CANDIDATES_MAX;
        match seen.get_mut(&name) {
            Some(own) if own.record == record => {
                own.last = now;
                now.saturating_sub(own.since) >= self.after && seen.remove(&name).is_some()
            }
            Some(own) => {
                *own = Seen { record, since: now, last: now };
                false
            }
            None if has_room => {
                seen.insert(name, Seen { record, since: now, last: now });
                false
            }
            None => false,
        }
    }

    /// Forgets candidates that this walk has not met: they are in use, or gone.
    fn end_of_walk(&self, now: Duration) {
        let mut seen = self.seen.lock();
        let longest = self.after * 4;
        seen.retain(|_, own| now.saturating_sub(own.last) <= longest);
        seen.shrink_to_fit();
    }
}
