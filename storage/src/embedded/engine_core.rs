//! The embedded engine without a thread of its own: what its parts share, and the calls that touch
//! more than one of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    batch::Batch,
    embedded::{
        backing::port::BackingDirectory,
        commit::{
            commit_queue::{Admission, CommitQueue},
            memtable::Memtable,
            waiters::Waiters,
        },
        directory::manifest::Manifest,
        journal::{frame, segment_files::Segments, writer::JournalWriter},
        maintenance_signal::MaintenanceSignal,
        options::EmbeddedOptions,
        os_error::OsTrouble,
        space::Space,
    },
    engine::seam::{CommitSeq, Durability, EngineStatus, Epoch, Fence, ShardNo},
    error::CommitError,
};

/// How often whoever waits for a commit looks whether it is held back.
const HELD_LOOK: Duration = Duration::from_millis(100);

pub(crate) struct EngineCore {
    pub(crate) options: EmbeddedOptions,
    pub(crate) bases: Box<dyn BackingDirectory>,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) segments: Segments,
    pub(crate) memtable: Memtable,
    pub(crate) commit_queue: Mutex<CommitQueue>,
    /// Wakes the commit thread.
    pub(crate) work: Condvar,
    pub(crate) journal: Mutex<JournalWriter>,
    pub(crate) waiters: Waiters,
    pub(crate) maintenance_signal: MaintenanceSignal,
    pub(crate) counters: Counters,
    /// Held by the one who does the upkeep.
    pub(crate) maintain: Mutex<()>,
    /// Whether a checkpoint folds changes in, so that waiting for it makes sense.
    pub(crate) merging: Mutex<bool>,
    pub(crate) folded: Condvar,
    /// The last commit that the journal keeps.
    pub(crate) journaled: AtomicU64,
    /// Whether nothing was handed over for a while.
    pub(crate) is_idle: AtomicBool,
    pub(crate) space: Space,
    /// Whether there is no commit thread and who waits does its work.
    pub(crate) is_driven: bool,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) fsyncs: AtomicU64,
    pub(crate) fsync_last_nanos: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) committed: AtomicU64,
}

impl EngineCore {
    /// Takes a batch in, or refuses it with nothing applied.
    pub(crate) fn commit(
        &self,
        fence: Fence,
        batch: Batch,
        durability: Durability,
    ) -> Result<CommitSeq, CommitError> {
        let is_kept = durability != Durability::Memory && !batch.is_empty();
        let bytes = if is_kept { frame::batch_bytes(&batch) } else { 0 };
        let mut commit_queue = self.commit_queue.lock();
        commit_queue.check_admission()?;
        if !commit_queue.ownership.holds(fence) {
            return Err(CommitError::Fenced);
        }
        if !is_kept {
            self.check_volatile(&batch)?;
            self.memtable.apply_volatile(batch.into_writes());
            return Ok(commit_queue.number());
        }
        self.check_bounds(&commit_queue, bytes, batch.is_space_freeing())?;
        self.look_where_doubtful(&mut commit_queue, bytes, batch.is_space_freeing());
        if !batch.is_space_freeing()
            && self.is_much_to_fold()
            && !commit_queue.journal_space.is_ample()
        {
            // Perhaps the store has no space for all of it.
            commit_queue.wants_space = true;
            return Err(CommitError::DiskFull);
        }
        let was_refusing = commit_queue.wants_space;
        if let Err(refusal) = commit_queue.gather(&batch, bytes, durability) {
            if !was_refusing {
                self.wake_commit(&mut commit_queue);
            }
            drop(commit_queue);
            if matches!(refusal, CommitError::DiskFull) {
                self.note_disk_full(true);
            }
            return Err(refusal);
        }
        let seq = commit_queue.number();
        self.journaled.store(seq.0, Ordering::Release);
        self.memtable.apply(batch.into_writes());
        self.wake_commit(&mut commit_queue);
        drop(commit_queue);
        self.notify_if_large();
        Ok(seq)
    }

    /// Calls for a checkpoint if there is much to fold in.
    pub(crate) fn notify_if_large(&self) {
        if self.memtable.active_bytes() >= self.options.overlay_bytes.max(1) {
            self.maintenance_signal.notify();
        }
    }

    /// Whether a checkpoint is at work and does not keep up.
    pub(crate) fn is_lagging(&self) -> bool {
        self.memtable.bytes() > self.options.overlay_bytes_lag() && *self.merging.lock()
    }

    fn is_much_to_fold(&self) -> bool {
        self.memtable.bytes() > self.options.store_margin_bytes().max(1 << 20)
    }

    fn check_bounds(
        &self,
        commit_queue: &CommitQueue,
        bytes: u64,
        frees: bool,
    ) -> Result<(), CommitError> {
        let batch_bytes_max = self.options.batch_bytes;
        if bytes > batch_bytes_max {
            return Err(CommitError::TooLarge { batch_bytes: bytes, batch_bytes_max });
        }
        let waiting_bytes = commit_queue.waiting_bytes;
        let waiting_bytes_max = self.options.waiting_bytes;
        if waiting_bytes > 0 && waiting_bytes + bytes > waiting_bytes_max {
            return Err(CommitError::Overloaded { waiting_bytes, waiting_bytes_max });
        }
        let waiting_bytes_max = self.options.overlay_bytes_max();
        let waiting_bytes = self.memtable.bytes();
        // What frees space is slowed down like everything else, and has a bound of its own.
        let tolerated = if frees { waiting_bytes_max / 4 } else { 0 };
        if waiting_bytes > waiting_bytes_max + tolerated {
            return Err(CommitError::Overloaded { waiting_bytes, waiting_bytes_max });
        }
        Ok(())
    }

    fn check_volatile(&self, batch: &Batch) -> Result<(), CommitError> {
        let waiting_bytes_max = self.options.volatile_bytes;
        let waiting_bytes = self.memtable.volatile_bytes();
        if waiting_bytes > waiting_bytes_max && !batch.is_empty() && !batch.is_space_freeing() {
            return Err(CommitError::Overloaded { waiting_bytes, waiting_bytes_max });
        }
        Ok(())
    }

    /// Wakes the commit thread if it sleeps.
    pub(crate) fn wake_commit(&self, commit_queue: &mut CommitQueue) {
        if commit_queue.is_asleep {
            commit_queue.is_asleep = false;
            self.work.notify_one();
        }
    }

    /// Whether the commit is as durable as promised; otherwise the waker is kept.
    pub(crate) fn poll_committed(
        &self,
        seq: CommitSeq,
        durability: Durability,
        cx: &Context<'_>,
    ) -> Poll<Result<(), CommitError>> {
        if self.waiters.is_reached(seq, durability) {
            return Poll::Ready(Ok(()));
        }
        if self.is_driven {
            self.drive(durability == Durability::Durable);
            // Without a commit thread nobody else will write it.
            let held = self.commit_queue.lock().held.as_ref().map(OsTrouble::reason);
            if let Some(reason) = held.filter(|_| !self.waiters.is_reached(seq, durability)) {
                return Poll::Ready(Err(CommitError::Held { reason }));
            }
        }
        let answer = self.waiters.poll(seq, durability, cx);
        if answer.is_pending() && seq.0 > self.journaled.load(Ordering::Acquire) {
            // Nothing in the journal will ever speak for it: let the commit thread say so.
            self.wake_commit(&mut self.commit_queue.lock());
        }
        answer
    }

    /// Blocks until the commit is durable, asking for an fsync; not while it is held back.
    ///
    /// # Errors
    /// Why it is held back, or poison.
    pub(crate) fn wait_durable(&self, seq: CommitSeq) -> Result<(), CommitError> {
        let waker = Waker::from(Arc::new(ThisThread(std::thread::current())));
        let cx = Context::from_waker(&waker);
        {
            let mut commit_queue = self.commit_queue.lock();
            commit_queue.wants_sync = true;
            self.wake_commit(&mut commit_queue);
        }
        loop {
            match self.poll_committed(seq, Durability::Durable, &cx) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => {}
            }
            if let Some(trouble) = &self.commit_queue.lock().held {
                return Err(CommitError::Held { reason: trouble.reason() });
            }
            std::thread::park_timeout(HELD_LOOK);
        }
    }

    /// Ends all acknowledgements: what is on the disk is not known any more.
    pub(crate) fn poison(&self, reason: &str) {
        let reason: Arc<str> = reason.into();
        tracing::error!(
            %reason,
            "poisoned: nothing is acknowledged any more; restart, what was acknowledged is kept"
        );
        {
            let mut commit_queue = self.commit_queue.lock();
            commit_queue.admission = Admission::Poisoned(reason.clone());
            commit_queue.held = None;
            commit_queue.discard();
        }
        self.waiters.poison(&reason);
    }

    pub(crate) fn handed_over(&self) -> CommitSeq {
        self.commit_queue.lock().seq
    }

    pub(crate) fn release(&self, fence: Fence) {
        self.commit_queue.lock().ownership.release(fence);
    }

    pub(crate) fn claim(&self, shard: ShardNo) -> Result<Epoch, CommitError> {
        let mut commit_queue = self.commit_queue.lock();
        commit_queue.check_admission()?;
        Ok(commit_queue.ownership.claim(shard))
    }

    pub(crate) fn renew(&self, fence: Fence) -> Result<(), CommitError> {
        let holds = self.commit_queue.lock().ownership.holds(fence);
        if holds { Ok(()) } else { Err(CommitError::Fenced) }
    }

    /// Refuses what comes later, makes everything durable and folds it in.
    pub(crate) fn close(&self) -> Result<(), CommitError> {
        let seq = {
            let mut commit_queue = self.commit_queue.lock();
            match &commit_queue.admission {
                Admission::Closed => return Ok(()),
                Admission::Poisoned(reason) => return Err(CommitError::Poisoned(reason.clone())),
                Admission::Open => commit_queue.admission = Admission::Closed,
            }
            commit_queue.seq
        };
        if let Err(error) = self.wait_durable(seq) {
            // Whoever waits for what is held back is told that nothing more will come of it.
            if let CommitError::Held { reason } = &error {
                self.poison(&format!("the last batches could not be written: {reason}"));
            }
            return Err(error);
        }
        // Whoever does upkeep now may not have seen the last batches.
        drop(self.maintain.lock());
        if let Err(error) = self.do_maintenance() {
            tracing::warn!(%error, "the last checkpoint failed: the journal is replayed instead");
        }
        Ok(())
    }

    pub(crate) fn status(&self) -> EngineStatus {
        let commit_queue = self.commit_queue.lock();
        let poisoned = match &commit_queue.admission {
            Admission::Poisoned(reason) => Some(reason.clone()),
            Admission::Open | Admission::Closed => None,
        };
        let waiting_bytes = commit_queue.waiting_bytes;
        let unavailable = commit_queue.unavailable();
        drop(commit_queue);
        let base = self.memtable.base();
        let counters = &self.counters;
        EngineStatus {
            poisoned,
            is_disk_full: self.space.is_disk_full.load(Ordering::Relaxed),
            unavailable,
            flush_interval: self.options.flush_interval,
            commits: counters.committed.load(Ordering::Relaxed),
            fsyncs: counters.fsyncs.load(Ordering::Relaxed),
            fsync_last: Duration::from_nanos(counters.fsync_last_nanos.load(Ordering::Relaxed)),
            waiting_bytes,
            overlay_bytes: self.memtable.bytes(),
            volatile_bytes: self.memtable.volatile_bytes(),
            journal_bytes: self.segments.used_bytes(),
            store_bytes: base.disk_bytes(),
            live_bytes: base.live_bytes(),
            checkpoints: counters.checkpoints.load(Ordering::Relaxed),
        }
    }
}

struct ThisThread(std::thread::Thread);

impl Wake for ThisThread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
