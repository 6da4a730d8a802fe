//! The fleet of a node: its rules behind a lock, and its writes on their way to the store.
//!
//! A change is written and applied under the lock, so that whoever decides next sees it; the wait
//! for the disk comes after it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use lanekeeper_storage::{Batch, CommitError, CommitSeq, Fence, LoadError, key::DepartureNo};
use parking_lot::Mutex;
use tokio::sync::{Mutex as TaskMutex, Notify, OnceCell};

use crate::{
    node::event::Event,
    queue::api::item::Item,
    runtime::{commit_barrier::OutputGate, shared_state::Runtime},
    time::clock::{self, Clock},
    worker::{
        api::{
            error::LivenessError,
            options::LivenessOptions,
            stats::LivenessStats,
            worker_info::{Beat, WorkerInfo, WorkerStatus},
        },
        background::offline_handlers::{Followers, Reached},
        load,
        state::{
            pending_write::{Change, Step},
            worker_entry::{Member, Now},
            worker_table::Fleet,
        },
    },
};

/// Workers looked at under one hold of the lock.
pub(crate) const SLICE: usize = 4_096;
/// Departures written in one batch.
const DEPARTURES_MAX: usize = 1_000;

/// Departures numbered by this process; with the epoch of the store's owner it makes their numbers
/// unique.
static NUMBERED: AtomicU32 = AtomicU32::new(0);

/// Everything that liveness is in one node.
pub(crate) struct Keeper {
    pub(crate) options: LivenessOptions,
    pub(crate) followers: Followers,
    /// Somebody has departed.
    pub(crate) departed: Notify,
    fleet: OnceCell<Mutex<Fleet>>,
    /// One flush at a time.
    flushing: TaskMutex<()>,
    /// One tale at a time, in order.
    pub(crate) telling: TaskMutex<Reached>,
    is_closed: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(options: LivenessOptions, followers: Followers) -> Self {
        Self {
            options,
            followers,
            departed: Notify::new(),
            fleet: OnceCell::new(),
            flushing: TaskMutex::default(),
            telling: TaskMutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The fleet, read from the store when it is first asked for.
    pub(crate) async fn fleet(&self, runtime: &Runtime) -> Result<&Mutex<Fleet>, LoadError> {
        let load = || async {
            let first = fence(runtime).epoch.number(NUMBERED.load(Ordering::Relaxed));
            load::fleet(runtime, self.options, DepartureNo(first)).await.map(Mutex::new)
        };
        self.fleet.get_or_try_init(load).await
    }

    /// A sign of life; with what the worker says of itself, if it does.
    pub(crate) async fn beat(
        &self,
        runtime: &Runtime,
        id: &str,
        meta: Option<Item>,
        life: Option<u64>,
    ) -> Result<Beat, LivenessError> {
        let fleet = self.fleet(runtime).await?;
        let (seq, life) = {
            let mut fleet = fleet.lock();
            if self.is_closed.load(Ordering::SeqCst) {
                return Err(LivenessError::shutting_down());
            }
            let step = fleet.beat(id, meta, life, now(&runtime.clock))?;
            let passed = self.options.is_passthrough.then(|| fleet.rewrite(id)).flatten();
            let seq = match (step, passed) {
                (Step::Write(change), _) => commit(runtime, &mut fleet, vec![*change]),
                (Step::Merged(_), Some(change)) => commit(runtime, &mut fleet, vec![change]),
                (Step::Merged(seq), None) => Ok(seq),
            };
            (seq, fleet.get(id).map_or(0, |(_, member)| member.record.life))
        };
        settled(runtime, seq.map_err(LivenessError::refused)?).await?;
        Ok(Beat { status: WorkerStatus::Online, drain: runtime.is_draining(), life })
    }

    /// A farewell.
    pub(crate) async fn deregister(
        &self,
        runtime: &Runtime,
        id: &str,
        life: Option<u64>,
    ) -> Result<(), LivenessError> {
        let fleet = self.fleet(runtime).await?;
        let seq = {
            let mut fleet = fleet.lock();
            match fleet.deregister(id, life, now(&runtime.clock))? {
                Step::Merged(seq) => Ok(seq),
                Step::Write(change) => commit(runtime, &mut fleet, vec![*change]),
            }
        };
        settled(runtime, seq.map_err(LivenessError::refused)?).await?;
        self.departed.notify_one();
        Ok(())
    }

    /// A worker.
    pub(crate) async fn info(
        &self,
        runtime: &Runtime,
        id: &str,
    ) -> Result<WorkerInfo, LivenessError> {
        let fleet = self.fleet(runtime).await?;
        let (info, seq) = {
            let fleet = fleet.lock();
            let (id, member) = fleet.get(id).ok_or(LivenessError::NotFound)?;
            (info_of(id, member), member.seq)
        };
        settled(runtime, seq).await?;
        Ok(info)
    }

    /// Writes every beat that is pending; how many workers that were. Touches no disk if there are
    /// none.
    pub(crate) async fn flush(&self, runtime: &Runtime) -> Result<usize, LivenessError> {
        let Some(fleet) = self.fleet.get() else { return Ok(0) };
        let _alone = self.flushing.lock().await;
        let mut left = fleet.lock().pending_count();
        let mut written = 0;
        while left > 0 {
            let (count, begun) = {
                let mut fleet = fleet.lock();
                let mut batch = Batch::new();
                let count = fleet.begin_flush(&mut batch);
                if count == 0 {
                    break;
                }
                (count, hand_over(runtime, batch))
            };
            let done = match begun {
                Ok(seq) => settled(runtime, seq).await,
                Err(error) => Err(LivenessError::refused(error)),
            };
            let mut fleet = fleet.lock();
            fleet.end_flush(done.is_ok());
            fleet.totals.flush_failures += u64::from(done.is_err());
            done?;
            left = left.saturating_sub(count);
            written += count;
        }
        Ok(written)
    }

    /// Takes for dead who was not seen for too long; how many that were.
    pub(crate) async fn sweep(&self, runtime: &Runtime) -> Result<usize, LivenessError> {
        let fleet = self.fleet(runtime).await?;
        let (mut after, mut dead) = (None::<Arc<str>>, 0);
        loop {
            let elapsed = runtime.clock.elapsed();
            let (stale, next) = fleet.lock().stale(after.as_deref(), SLICE, elapsed);
            for ids in stale.chunks(DEPARTURES_MAX) {
                dead += self.bury(runtime, fleet, ids).await?;
            }
            match next {
                Some(_) => after = next,
                None => return Ok(dead),
            }
        }
    }

    async fn bury(
        &self,
        runtime: &Runtime,
        fleet: &Mutex<Fleet>,
        ids: &[Arc<str>],
    ) -> Result<usize, LivenessError> {
        let (count, seq) = {
            let mut fleet = fleet.lock();
            let changes = fleet.bury(ids, now(&runtime.clock));
            if changes.is_empty() {
                return Ok(0);
            }
            let count = changes.len();
            let seq = commit(runtime, &mut fleet, changes).map_err(LivenessError::refused)?;
            (count, seq)
        };
        self.departed.notify_one();
        settled(runtime, seq).await.map(|()| count)
    }

    /// Writes what is pending until nothing is, and takes no more.
    pub(crate) async fn drain(&self, runtime: &Runtime) -> Result<(), LivenessError> {
        if self.fleet.get().is_none() {
            self.close();
        }
        let Some(fleet) = self.fleet.get() else { return Ok(()) };
        loop {
            self.flush(runtime).await?;
            let fleet = fleet.lock();
            if fleet.pending_count() == 0 {
                self.close();
                return Ok(());
            }
        }
    }

    /// Takes no more beats.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Workers with heartbeats that are not written yet.
    pub(crate) fn pending_count(&self) -> usize {
        self.fleet.get().map_or(0, |fleet| fleet.lock().pending_count())
    }

    /// The figures; zeros before anything was asked of the fleet.
    pub(crate) fn stats(&self) -> LivenessStats {
        let Some(fleet) = self.fleet.get() else { return LivenessStats::default() };
        let fleet = fleet.lock();
        let (online, offline) = fleet.counts();
        let totals = fleet.totals;
        LivenessStats {
            online: online as u64,
            offline: offline as u64,
            pending: fleet.pending_count() as u64,
            untold: fleet.untold_count() as u64,
            beats_total: totals.beats,
            written_total: totals.written,
            flushed_total: totals.flushed,
            flushes_total: totals.flushes,
            flush_failures_total: totals.flush_failures,
            arrived_total: totals.arrived,
            silent_total: totals.silent,
            deregistered_total: totals.deregistered,
            told_total: totals.told,
            forgotten_total: totals.forgotten,
        }
    }
}

/// What is known of a worker, for people.
pub(crate) fn info_of(id: &Arc<str>, member: &Member) -> WorkerInfo {
    let record = member.record;
    WorkerInfo {
        id: Arc::clone(id),
        status: if member.is_online() { WorkerStatus::Online } else { WorkerStatus::Offline },
        first_seen_at: clock::from_unix_ms(record.first_seen_at_ms),
        last_seen_at: clock::from_unix_ms(record.last_seen_at_ms),
        offline_since: record.offline_since_ms.map(clock::from_unix_ms),
        meta: member.meta.clone(),
    }
}

/// Waits until a commit is as durable as the node promises.
pub(crate) async fn settled(runtime: &Runtime, seq: CommitSeq) -> Result<(), LivenessError> {
    let mut gate = OutputGate::default();
    gate.raise(seq, runtime.options.durability);
    gate.open(&**runtime.store.engine()).await.map_err(LivenessError::unknown)
}

/// Hands writes of the fleet over.
pub(crate) fn hand_over(runtime: &Runtime, batch: Batch) -> Result<CommitSeq, CommitError> {
    runtime.store.hand_over(fence(runtime), batch, runtime.options.durability)
}

/// Hands changes over and, if they were accepted, makes them take effect.
pub(crate) fn commit(
    runtime: &Runtime,
    fleet: &mut Fleet,
    changes: Vec<Change>,
) -> Result<CommitSeq, CommitError> {
    let mut batch = Batch::new();
    changes.iter().for_each(|change| change.write(&mut batch));
    let seq = hand_over(runtime, batch)?;
    for change in changes {
        let (was_online, worker) = (fleet.is_online(&change.id), Arc::clone(&change.id));
        fleet.apply(change, seq);
        NUMBERED.fetch_max(fleet.departure_next().0 as u32, Ordering::Relaxed);
        match (was_online, fleet.is_online(&worker)) {
            (false, true) => runtime.events.emit(|| Event::WorkerOnline { worker }),
            (true, false) => runtime.events.emit(|| Event::WorkerOffline { worker }),
            _ => {}
        }
    }
    Ok(seq)
}

/// What the commits of the fleet are checked against.
fn fence(runtime: &Runtime) -> Fence {
    runtime.fence("worker", "fleet")
}

pub(crate) fn now(clock: &Clock) -> Now {
    Now { elapsed: clock.elapsed(), unix_ms: clock.now_ms() }
}
