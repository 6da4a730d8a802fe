//! The committer: takes one frame after the other from the commit queue, writes and fsyncs it, and
//! tells the callers waiting for it.

use std::{io, path::Path, sync::atomic::Ordering, time::Duration};

use crate::{
    embedded::{
        commit::commit_queue::Gathered,
        engine_core::EngineCore,
        journal::{
            journal_space::FramePlace,
            segment_files::Prepared,
            writer::{JournalFailure, JournalWriter},
        },
        os_error::{self, OsTrouble},
    },
    engine::seam::Durability,
    stopwatch::Stopwatch,
};

/// An fsync that takes longer than this is worth a word.
const SLOW_FSYNC: Duration = Duration::from_millis(500);
/// How often the disk is looked at while it is full or nearly so.
const FULL_RECHECK: Duration = Duration::from_millis(100);
/// How long a group waits for a checkpoint that lags behind, and how many bytes of changes make it
/// wait as long again.
const LAG_WAIT: Duration = Duration::from_millis(5);
const LAG_BYTES: u64 = 256 << 10;

impl EngineCore {
    /// Commits one group, if there is one. Fsyncs if the group asks for it or `is_flush_due`.
    pub(crate) fn pass(&self, journal: &mut JournalWriter, is_flush_due: bool) {
        if journal.is_failed {
            return;
        }
        match self.try_pass(journal, is_flush_due) {
            Ok(()) => {}
            Err(JournalFailure::NotWritten(error)) => self.fail(journal, None, &error),
            Err(JournalFailure::NotSynced { path, error }) => {
                self.fail(journal, Some(&path), &error);
            }
        }
    }

    fn fail(&self, journal: &mut JournalWriter, path: Option<&Path>, error: &io::Error) {
        if let Some(path) = path {
            tracing::error!(path = %path.display(), %error, "an fsync failed");
        }
        journal.is_failed = true;
        journal.held = None;
        self.poison(&format!("an fsync of the journal failed: {}", os_error::told(error)));
    }

    fn try_pass(
        &self,
        journal: &mut JournalWriter,
        is_flush_due: bool,
    ) -> Result<(), JournalFailure> {
        let was_held = journal.held.is_some();
        let taken = journal.held.take().or_else(|| self.commit_queue.lock().take());
        let mut wants_sync = is_flush_due;
        if let Some(mut frame) = taken {
            if frame.count > 0 {
                match self.write(journal, &mut frame) {
                    Ok(()) => wants_sync |= frame.has_durable,
                    Err(JournalFailure::NotWritten(error)) => {
                        self.hold(journal, frame, &error);
                        return self.sync(journal);
                    }
                    Err(failure) => return Err(failure),
                }
            }
            if was_held {
                self.let_go();
            }
            self.written(journal, frame);
        }
        if wants_sync || !journal.is_unsynced() { self.sync(journal) } else { Ok(()) }
    }

    /// Writes a group, where it begins a segment into that. What fails for another reason than
    /// want of space is tried once more at once.
    fn write(
        &self,
        journal: &mut JournalWriter,
        frame: &mut Gathered,
    ) -> Result<(), JournalFailure> {
        match self.try_write(journal, frame) {
            Err(JournalFailure::NotWritten(error)) if !os_error::is_full(&error) => {
                self.try_write(journal, frame)
            }
            done => done,
        }
    }

    fn try_write(
        &self,
        journal: &mut JournalWriter,
        frame: &mut Gathered,
    ) -> Result<(), JournalFailure> {
        if frame.place != FramePlace::Behind {
            let prepared = self.prepared_for(frame).map_err(JournalFailure::NotWritten)?;
            let begun = journal.begin_segment(&self.segments, &prepared, frame.first_seq);
            if begun.is_err() && frame.place == FramePlace::Next {
                self.commit_queue.lock().journal_space.spare_lost();
            }
            begun?;
            frame.place = FramePlace::Behind;
        }
        journal.append(frame)
    }

    /// Holds a group back that could not be written: it is tried again, and until then everything
    /// is refused, as it would have to be written behind it.
    fn hold(&self, journal: &mut JournalWriter, frame: Gathered, error: &io::Error) {
        journal.held = Some(frame);
        let trouble = OsTrouble::of("the journal cannot be written", error);
        self.commit_queue.lock().held = Some(trouble.clone());
        self.note_trouble(trouble);
    }

    /// Nothing is held back any more.
    fn let_go(&self) {
        self.commit_queue.lock().held = None;
        self.waiters.tell_held(None);
        tracing::info!("the journal can be written again");
        self.maintenance_signal.notify();
    }

    /// Tells those who wait for it that a group is written.
    fn written(&self, journal: &mut JournalWriter, frame: Gathered) {
        journal.last_seq = frame.last_seq;
        self.counters.committed.store(frame.last_seq.0, Ordering::Relaxed);
        self.waiters.publish(frame.last_seq, Durability::Relaxed);
        // Where space is tight none may be had, and it is looked for now and then.
        let wants_spare = {
            let mut commit_queue = self.commit_queue.lock();
            commit_queue.give_back(frame);
            commit_queue.journal_space.wants_spare() && commit_queue.journal_space.is_ample()
        };
        if wants_spare || self.is_journal_long() {
            self.maintenance_signal.notify();
        }
    }

    /// The prepared file that a group begins.
    fn prepared_for(&self, frame: &Gathered) -> io::Result<Prepared> {
        if let FramePlace::Own(bytes) = frame.place {
            return self.segments.prepare_file(bytes);
        }
        loop {
            if let Some(prepared) = self.segments.take_spare() {
                return Ok(prepared);
            }
            match self.segments.prepare() {
                Err(error) if os_error::is_full(&error) => {
                    self.space.reserve.give_up(self.segments.disk());
                    self.segments.prepare()?;
                }
                done => done?,
            }
            self.commit_queue.lock().journal_space.spare_ready();
        }
    }

    fn sync(&self, journal: &mut JournalWriter) -> Result<(), JournalFailure> {
        let was_unsynced = journal.is_unsynced();
        if was_unsynced {
            let began = Stopwatch::now();
            journal.sync(&self.segments)?;
            let took = began.elapsed();
            if took > SLOW_FSYNC {
                tracing::warn!(
                    took_ms = took.as_millis() as u64,
                    "an fsync of the journal is slow"
                );
            }
            self.counters.fsyncs.fetch_add(1, Ordering::Relaxed);
            self.counters.fsync_last_nanos.store(took.as_nanos() as u64, Ordering::Relaxed);
        }
        self.waiters.publish(journal.last_seq, Durability::Durable);
        // The next group says the same, if it is there already.
        if was_unsynced && !self.commit_queue.lock().has_untaken() {
            journal.mark();
        }
        Ok(())
    }

    /// Does the commit thread's work where there is none: everything handed over is written, and
    /// fsynced if `is_flush_due`.
    pub(crate) fn drive(&self, is_flush_due: bool) {
        let mut journal = self.journal.lock();
        loop {
            self.pass(&mut journal, is_flush_due);
            if journal.held.is_some() || !self.commit_queue.lock().has_untaken() {
                break;
            }
        }
    }

    /// The commit thread: runs until the engine stops, and leaves nothing unwritten.
    pub(crate) fn run_commits(&self) {
        let mut rhythm = Rhythm::new();
        while let Some(is_flush_due) = self.next_work(&mut rhythm) {
            let mut journal = self.journal.lock();
            self.pass(&mut journal, is_flush_due);
            rhythm.passed(&journal);
            drop(journal);
            self.tell_who_waits_long(&rhythm);
            self.is_idle.store(false, Ordering::Relaxed);
            self.wait_for_lagging_fold(&mut rhythm);
        }
    }

    /// Nobody waits for ever for a group that is held back.
    fn tell_who_waits_long(&self, rhythm: &Rhythm) {
        if rhythm.is_held_for(self.options.held_told_after) {
            let reason = self.commit_queue.lock().held.as_ref().map(OsTrouble::reason);
            self.waiters.tell_held(reason.as_ref());
        }
    }

    /// Waits until there is a group to commit or an fsync to make, and says whether to fsync.
    /// `None` once the engine stops and nothing is left.
    fn next_work(&self, rhythm: &mut Rhythm) -> Option<bool> {
        let mut commit_queue = self.commit_queue.lock();
        loop {
            let flush_in = rhythm.flush_in(self.options.flush_interval);
            let is_flush_due = flush_in == Some(Duration::ZERO);
            let is_tight =
                commit_queue.journal_space.wants_spare() && !commit_queue.journal_space.is_ample();
            let wants = commit_queue.wants_space || commit_queue.wants_maintenance || is_tight;
            let rechecks = wants || rhythm.is_held();
            let recheck_in = rhythm.recheck_in().filter(|_| rechecks);
            if recheck_in == Some(Duration::ZERO) {
                rhythm.rechecked_at = Stopwatch::now();
                self.maintenance_signal.notify();
                if rhythm.is_held() {
                    return Some(false);
                }
            }
            let has_group = !rhythm.is_held() && commit_queue.has_untaken();
            if !rhythm.is_failed && (has_group || commit_queue.wants_sync || is_flush_due) {
                let wants_sync = std::mem::take(&mut commit_queue.wants_sync);
                return Some(wants_sync || is_flush_due);
            }
            if commit_queue.is_stopping {
                return flush_in.map(|_| true);
            }
            let idle_in = rhythm.idle_in(self.options.idle_after);
            if idle_in == Some(Duration::ZERO) {
                rhythm.is_idle = true;
                self.is_idle.store(true, Ordering::Relaxed);
                self.maintenance_signal.notify();
                continue;
            }
            commit_queue.is_asleep = true;
            match [flush_in, idle_in, recheck_in].into_iter().flatten().min() {
                Some(timeout) => {
                    self.work.wait_for(&mut commit_queue, timeout);
                }
                None => self.work.wait(&mut commit_queue),
            }
            commit_queue.is_asleep = false;
        }
    }

    /// Gives a checkpoint that lags behind time to catch up, while one is at work: memory is
    /// bounded by slowing down those who fill it, the more so the more they fill it. Never for long
    /// at a time, as the checkpoint may fail.
    fn wait_for_lagging_fold(&self, rhythm: &mut Rhythm) {
        let bytes = self.memtable.bytes();
        let grown = bytes.saturating_sub(std::mem::replace(&mut rhythm.overlay_bytes, bytes));
        let lag = bytes / self.options.overlay_bytes_soft().max(1);
        let mut is_folding = self.merging.lock();
        if *is_folding && lag > 0 {
            let steps = (1 + grown / LAG_BYTES).saturating_mul(lag * lag);
            let timeout = LAG_WAIT.saturating_mul(steps.min(100) as u32);
            self.folded.wait_for(&mut is_folding, timeout);
        }
    }
}

/// What the commit thread remembers of time.
struct Rhythm {
    /// When the oldest batch not fsynced was written.
    unsynced_since: Option<Stopwatch>,
    busy_at: Stopwatch,
    /// When somebody was last called to look at the disk again.
    rechecked_at: Stopwatch,
    is_idle: bool,
    /// Since when a group is held back, if one is.
    held_since: Option<Stopwatch>,
    is_failed: bool,
    /// Bytes of changes after the last group.
    overlay_bytes: u64,
}

impl Rhythm {
    fn new() -> Self {
        Self {
            unsynced_since: None,
            busy_at: Stopwatch::now(),
            rechecked_at: Stopwatch::now(),
            is_idle: false,
            held_since: None,
            is_failed: false,
            overlay_bytes: 0,
        }
    }

    fn passed(&mut self, journal: &JournalWriter) {
        self.busy_at = Stopwatch::now();
        self.is_idle = false;
        let held_since = self.held_since.unwrap_or(self.busy_at);
        self.held_since = journal.held.is_some().then_some(held_since);
        self.is_failed = journal.is_failed;
        let is_unsynced = journal.is_unsynced() && !journal.is_failed;
        self.unsynced_since = is_unsynced.then(|| self.unsynced_since.unwrap_or(self.busy_at));
    }

    fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    fn is_held_for(&self, duration: Duration) -> bool {
        self.held_since.is_some_and(|since| since.elapsed() >= duration)
    }

    fn flush_in(&self, interval: Duration) -> Option<Duration> {
        self.unsynced_since.map(|since| since.until(interval))
    }

    fn recheck_in(&self) -> Option<Duration> {
        (!self.is_failed).then(|| self.rechecked_at.until(FULL_RECHECK))
    }

    fn idle_in(&self, after: Duration) -> Option<Duration> {
        (!self.is_idle).then(|| self.busy_at.until(after))
    }
}
