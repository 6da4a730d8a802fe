//! The worker table of a node: its rules behind a lock, and its writes on their way to the store.
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
    runtime::{commit_barrier::CommitBarrier, shared_state::Runtime},
    time::clock::{self, Clock},
    worker::{
        api::{
            error::LivenessError,
            options::LivenessOptions,
            stats::LivenessStats,
            worker_info::{Beat, WorkerInfo, WorkerStatus},
        },
        background::offline_handlers::{HandlerProgress, OfflineHandlers},
        load,
        state::{
            pending_write::{WorkerChange, WriteStep},
            worker_entry::{Now, WorkerEntry},
            worker_table::WorkerTable,
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
pub(crate) struct LivenessService {
    pub(crate) options: LivenessOptions,
    pub(crate) offline_handlers: OfflineHandlers,
    /// Somebody has departed.
    pub(crate) departed: Notify,
    worker_table: OnceCell<Mutex<WorkerTable>>,
    /// One flush at a time.
    flushing: TaskMutex<()>,
    /// One tale at a time, in order.
    pub(crate) telling: TaskMutex<HandlerProgress>,
    is_closed: AtomicBool,
}

impl LivenessService {
    pub(crate) fn new(options: LivenessOptions, offline_handlers: OfflineHandlers) -> Self {
        Self {
            options,
            offline_handlers,
            departed: Notify::new(),
            worker_table: OnceCell::new(),
            flushing: TaskMutex::default(),
            telling: TaskMutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The worker table, read from the store when it is first asked for.
    pub(crate) async fn worker_table(
        &self,
        runtime: &Runtime,
    ) -> Result<&Mutex<WorkerTable>, LoadError> {
        let load = || async {
            let first = fence(runtime).epoch.number(NUMBERED.load(Ordering::Relaxed));
            load::worker_table(runtime, self.options, DepartureNo(first)).await.map(Mutex::new)
        };
        self.worker_table.get_or_try_init(load).await
    }

    /// A sign of life; with what the worker says of itself, if it does.
    pub(crate) async fn beat(
        &self,
        runtime: &Runtime,
        id: &str,
        meta: Option<Item>,
        life: Option<u64>,
    ) -> Result<Beat, LivenessError> {
        let worker_table = self.worker_table(runtime).await?;
        let (seq, life) = {
            let mut worker_table = worker_table.lock();
            if self.is_closed.load(Ordering::SeqCst) {
                return Err(LivenessError::shutting_down());
            }
            let step = worker_table.beat(id, meta, life, now(&runtime.clock))?;
            let passed = self.options.is_passthrough.then(|| worker_table.rewrite(id)).flatten();
            let seq = match (step, passed) {
                (WriteStep::Write(change), _) => commit(runtime, &mut worker_table, vec![*change]),
                (WriteStep::Merged(_), Some(change)) => {
                    commit(runtime, &mut worker_table, vec![change])
                }
                (WriteStep::Merged(seq), None) => Ok(seq),
            };
            (seq, worker_table.get(id).map_or(0, |(_, entry)| entry.record.life))
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
        let worker_table = self.worker_table(runtime).await?;
        let seq = {
            let mut worker_table = worker_table.lock();
            match worker_table.deregister(id, life, now(&runtime.clock))? {
                WriteStep::Merged(seq) => Ok(seq),
                WriteStep::Write(change) => commit(runtime, &mut worker_table, vec![*change]),
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
        let worker_table = self.worker_table(runtime).await?;
        let (info, seq) = {
            let worker_table = worker_table.lock();
            let (id, entry) = worker_table.get(id).ok_or(LivenessError::NotFound)?;
            (info_of(id, entry), entry.seq)
        };
        settled(runtime, seq).await?;
        Ok(info)
    }

    /// Writes every beat that is pending; how many workers that were. Touches no disk if there are
    /// none.
    pub(crate) async fn flush(&self, runtime: &Runtime) -> Result<usize, LivenessError> {
        let Some(worker_table) = self.worker_table.get() else { return Ok(0) };
        let _alone = self.flushing.lock().await;
        let mut left = worker_table.lock().pending_count();
        let mut written = 0;
        while left > 0 {
            let (count, begun) = {
                let mut worker_table = worker_table.lock();
                let mut batch = Batch::new();
                let count = worker_table.begin_flush(&mut batch);
                if count == 0 {
                    break;
                }
                (count, hand_over(runtime, batch))
            };
            let done = match begun {
                Ok(seq) => settled(runtime, seq).await,
                Err(error) => Err(LivenessError::refused(error)),
            };
            let mut worker_table = worker_table.lock();
            worker_table.end_flush(done.is_ok());
            worker_table.totals.flush_failures += u64::from(done.is_err());
            done?;
            left = left.saturating_sub(count);
            written += count;
        }
        Ok(written)
    }

    /// Takes for dead who was not seen for too long; how many that were.
    pub(crate) async fn sweep(&self, runtime: &Runtime) -> Result<usize, LivenessError> {
        let worker_table = self.worker_table(runtime).await?;
        let (mut after, mut dead) = (None::<Arc<str>>, 0);
        loop {
            let elapsed = runtime.clock.elapsed();
            let (stale, next) = worker_table.lock().stale(after.as_deref(), SLICE, elapsed);
            for ids in stale.chunks(DEPARTURES_MAX) {
                dead += self.mark_offline(runtime, worker_table, ids).await?;
            }
            match next {
                Some(_) => after = next,
                None => return Ok(dead),
            }
        }
    }

    async fn mark_offline(
        &self,
        runtime: &Runtime,
        worker_table: &Mutex<WorkerTable>,
        ids: &[Arc<str>],
    ) -> Result<usize, LivenessError> {
        let (count, seq) = {
            let mut worker_table = worker_table.lock();
            let changes = worker_table.mark_offline(ids, now(&runtime.clock));
            if changes.is_empty() {
                return Ok(0);
            }
            let count = changes.len();
            let seq =
                commit(runtime, &mut worker_table, changes).map_err(LivenessError::refused)?;
            (count, seq)
        };
        self.departed.notify_one();
        settled(runtime, seq).await.map(|()| count)
    }

    /// Writes what is pending until nothing is, and takes no more.
    pub(crate) async fn drain(&self, runtime: &Runtime) -> Result<(), LivenessError> {
        if self.worker_table.get().is_none() {
            self.close();
        }
        let Some(worker_table) = self.worker_table.get() else { return Ok(()) };
        loop {
            self.flush(runtime).await?;
            let worker_table = worker_table.lock();
            if worker_table.pending_count() == 0 {
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
        self.worker_table.get().map_or(0, |worker_table| worker_table.lock().pending_count())
    }

    /// The figures; zeros before anything was asked of the worker table.
    pub(crate) fn stats(&self) -> LivenessStats {
        let Some(worker_table) = self.worker_table.get() else { return LivenessStats::default() };
        let worker_table = worker_table.lock();
        let (online, offline) = worker_table.counts();
        let totals = worker_table.totals;
        LivenessStats {
            online: online as u64,
            offline: offline as u64,
            pending: worker_table.pending_count() as u64,
            untold: worker_table.untold_count() as u64,
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
pub(crate) fn info_of(id: &Arc<str>, entry: &WorkerEntry) -> WorkerInfo {
    let record = entry.record;
    WorkerInfo {
        id: Arc::clone(id),
        status: if entry.is_online() { WorkerStatus::Online } else { WorkerStatus::Offline },
        first_seen_at: clock::from_unix_ms(record.first_seen_at_ms),
        last_seen_at: clock::from_unix_ms(record.last_seen_at_ms),
        offline_since: record.offline_since_ms.map(clock::from_unix_ms),
        meta: entry.meta.clone(),
    }
}

/// Waits until a commit is as durable as the node promises.
pub(crate) async fn settled(runtime: &Runtime, seq: CommitSeq) -> Result<(), LivenessError> {
    let mut gate = CommitBarrier::default();
    gate.raise(seq, runtime.options.durability);
    gate.open(&**runtime.store.engine()).await.map_err(LivenessError::unknown)
}

/// Hands writes of the worker table over.
pub(crate) fn hand_over(runtime: &Runtime, batch: Batch) -> Result<CommitSeq, CommitError> {
    runtime.store.hand_over(fence(runtime), batch, runtime.options.durability)
}

/// Hands changes over and, if they were accepted, makes them take effect.
pub(crate) fn commit(
    runtime: &Runtime,
    worker_table: &mut WorkerTable,
    changes: Vec<WorkerChange>,
) -> Result<CommitSeq, CommitError> {
    let mut batch = Batch::new();
    changes.iter().for_each(|change| change.write(&mut batch));
    let seq = hand_over(runtime, batch)?;
    for change in changes {
        let (was_online, worker) = (worker_table.is_online(&change.id), Arc::clone(&change.id));
        worker_table.apply(change, seq);
        NUMBERED.fetch_max(worker_table.departure_next().0 as u32, Ordering::Relaxed);
        match (was_online, worker_table.is_online(&worker)) {
            (false, true) => runtime.events.emit(|| Event::WorkerOnline { worker }),
            (true, false) => runtime.events.emit(|| Event::WorkerOffline { worker }),
            _ => {}
        }
    }
    Ok(seq)
}

/// What the commits of the worker table are checked against.
fn fence(runtime: &Runtime) -> Fence {
    runtime.fence("worker", "fleet")
}

pub(crate) fn now(clock: &Clock) -> Now {
    Now { elapsed: clock.elapsed(), unix_ms: clock.now_ms() }
}
