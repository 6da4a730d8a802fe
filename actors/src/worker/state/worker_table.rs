//! The rules: who is online, what waits to be written, who has departed. No clock, no I/O.
//!
//! ```text
//!   first beat           not seen for too long, or deregistered
//! (unknown) ───▶ online ─────────────────────────────────────────▶ offline
//!                   ▲              beat                               │
//!                   └─────────────────────────────────────────────────┘
//! ```
//!
//! Each arrow is a [`WorkerChange`]: written first, then applied. A beat of a worker that is online
//! is merged: it is pending until a flush has written it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use lanekeeper_storage::{Batch, CommitSeq, key::DepartureNo, record::OfflineCause};

use crate::{
    queue::api::item::Item,
    worker::{
        api::{error::LivenessError, options::LivenessOptions, stats::Totals},
        state::{
            pending_write::{PendingOffline, WorkerChange, WriteStep},
            worker_entry::{Now, WorkerEntry},
        },
    },
};

/// Bytes of beats in one batch of a flush, nearly: far more than ten thousand workers need, and
/// well below what the engine takes in one piece.
const FLUSH_BYTES_MAX: usize = 8 << 20;
/// Bytes that a record and its key take at most, and the meta's key.
const RECORD_BYTES: usize = 300;

/// Every worker that is known.
#[derive(Debug)]
pub(crate) struct WorkerTable {
    options: LivenessOptions,
    entries: BTreeMap<Arc<str>, WorkerEntry>,
    /// Those who have been offline for longest first: they give way.
    offline: BTreeSet<(u64, Arc<str>)>,
    /// Whose beats are merged and not yet being written.
    pending: BTreeSet<Arc<str>>,
    /// Whose beats are being written, with the meta that goes along.
    in_flight: BTreeMap<Arc<str>, Option<Item>>,
    departures: VecDeque<PendingOffline>,
    departure_next: DepartureNo,
    meta_bytes: usize,
    pub(crate) totals: Totals,
}

impl WorkerTable {
    /// Nobody; the departures will be numbered from `departure_next` on.
    pub(crate) fn new(options: LivenessOptions, departure_next: DepartureNo) -> Self {
        Self {
            options,
            entries: BTreeMap::new(),
            offline: BTreeSet::new(),
            pending: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            departures: VecDeque::new(),
            departure_next,
            meta_bytes: 0,
            totals: Totals::default(),
        }
    }

    /// Takes a worker in as it was found in the store.
    pub(crate) fn restore(&mut self, id: Arc<str>, entry: WorkerEntry) {
        self.put(id, entry);
    }

    /// Takes a departure in as it was found in the store; they come in order.
    pub(crate) fn restore_departure(&mut self, pending_offline: PendingOffline) {
        self.departure_next = self.departure_next.max(DepartureNo(pending_offline.number.0 + 1));
        self.departures.push_back(pending_offline);
    }

    /// A sign of life.
    pub(crate) fn beat(
        &mut self,
        id: &str,
        meta: Option<Item>,
        life: Option<u64>,
        now: Now,
    ) -> Result<WriteStep, LivenessError> {
        let known_bytes = self.entries.get(id).map_or(0, WorkerEntry::meta_bytes);
        let meta_bytes = self.check_meta(known_bytes, meta.as_ref())?;
        let step = match self.entries.get_mut(id) {
            Some(entry) if entry.is_online() => {
                entry.live(life, now);
                entry.see(meta, now);
                let seq = entry.seq;
                self.meta_bytes = meta_bytes;
                if !self.pending.contains(id) {
                    self.pending.insert(self.shared(id));
                }
                WriteStep::Merged(seq)
            }
            known => {
                let mut entry = match known {
                    Some(entry) => {
                        let mut entry = entry.clone();
                        entry.live(life, now);
                        entry
                    }
                    None => WorkerEntry::new(now),
                };
                entry.see(meta, now);
                entry.record.offline_since_ms = None;
                let forgotten = self.who_gives_way(id)?;
                let (id, departure) = (self.shared(id), None);
                WriteStep::Write(Box::new(WorkerChange { id, entry, departure, forgotten }))
            }
        };
        self.totals.beats += 1;
        Ok(step)
    }

    /// What is known of a worker now, to be written at once.
    pub(crate) fn rewrite(&self, id: &str) -> Option<WorkerChange> {
        let (id, entry) = self.entries.get_key_value(id)?;
        let (id, entry) = (Arc::clone(id), entry.clone());
        Some(WorkerChange { id, entry, departure: None, forgotten: None })
    }

    /// A farewell; of one life, if it is given: a later one goes on.
    pub(crate) fn deregister(
        &mut self,
        id: &str,
        life: Option<u64>,
        now: Now,
    ) -> Result<WriteStep, LivenessError> {
        let (id, entry) = self.entries.get_key_value(id).ok_or(LivenessError::NotFound)?;
        if !entry.is_online() {
            return Ok(WriteStep::Merged(entry.seq));
        }
        let departures_max = self.options.workers_max;
        if self.departures.len() >= departures_max {
            return Err(LivenessError::TooManyUntold { departures_max });
        }
        let (id, entry) = (Arc::clone(id), entry.clone());
        let Some(life) = life.filter(|life| *life < entry.record.life) else {
            return Ok(WriteStep::Write(Box::new(self.depart(
                id,
                OfflineCause::Deregistered,
                now,
            ))));
        };
        // What came with the life that goes on is not of the one that ends.
        let at_ms = now.unix_ms.min(entry.record.life.saturating_sub(1));
        let (number, cause, life) = (self.number(), OfflineCause::Deregistered, Some(life));
        let departure = Some(PendingOffline { number, id: Arc::clone(&id), at_ms, cause, life });
        Ok(WriteStep::Write(Box::new(WorkerChange { id, entry, departure, forgotten: None })))
    }

    /// The first workers after `after` that seem to be dead, of at most `slice` looked at; and
    /// after whom to go on, if there are more.
    pub(crate) fn stale(
        &self,
        after: Option<&str>,
        slice: usize,
        now: Duration,
    ) -> (Vec<Arc<str>>, Option<Arc<str>>) {
        let mut last = None;
        let mut stale = Vec::new();
        let behind = |id: &str| self.members_from(Bound::Excluded(id)).next().is_some();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (id, entry) in self.members_from(start).take(slice) {
            if self.is_stale(id, entry, now) {
                stale.push(Arc::clone(id));
            }
            last = Some(id);
        }
        let is_more = last.is_some_and(|last| behind(last));
        (stale, last.filter(|_| is_more).map(Arc::clone))
    }

    /// Those of `ids` that still are to be taken for dead, as many as can be told about.
    pub(crate) fn mark_offline(&mut self, ids: &[Arc<str>], now: Now) -> Vec<WorkerChange> {
        let room = self.options.workers_max.saturating_sub(self.departures.len());
        let is_stale = |id: &&Arc<str>| {
            self.entries.get(&***id).is_some_and(|entry| self.is_stale(id, entry, now.elapsed))
        };
        let dead: Vec<_> = ids.iter().filter(is_stale).take(room).map(Arc::clone).collect();
        dead.into_iter().map(|id| self.depart(id, OfflineCause::Silent, now)).collect()
    }

    /// Makes what was written take effect.
    pub(crate) fn apply(&mut self, change: WorkerChange, seq: CommitSeq) {
        let WorkerChange { id, mut entry, departure, forgotten } = change;
        if let Some(forgotten) = forgotten {
            self.remove(&forgotten);
            self.totals.forgotten += 1;
        }
        self.totals.written += 1;
        self.totals.arrived += u64::from(entry.is_online() && !self.is_online(&id));
        self.pending.remove(&id);
        (entry.seq, entry.is_meta_written) = (seq, true);
        self.put(id, entry);
        match departure {
            Some(PendingOffline { cause: OfflineCause::Silent, .. }) => self.totals.silent += 1,
            Some(PendingOffline { cause: OfflineCause::Deregistered, .. }) => {
                self.totals.deregistered += 1;
            }
            None => {}
        }
        self.departures.extend(departure);
    }

    /// Puts what is pending into `batch` and keeps it in flight; how many workers, 0 if nothing is
    /// pending. What does not fit stays pending.
    pub(crate) fn begin_flush(&mut self, batch: &mut Batch) -> usize {
        // A flush that was given up left it.
        self.end_flush(false);
        let mut bytes = 0;
        while bytes < FLUSH_BYTES_MAX
            && let Some(id) = self.pending.pop_first()
        {
            let entry = self.entries.get(&id).expect("who is pending is known");
            let meta = entry.meta.clone().filter(|_| !entry.is_meta_written);
            bytes += RECORD_BYTES + meta.as_ref().map_or(0, Item::size_bytes);
            entry.write(&id, batch);
            self.in_flight.insert(id, meta);
        }
        self.in_flight.len()
    }

    /// Ends a flush: what was not written is pending again.
    pub(crate) fn end_flush(&mut self, is_written: bool) {
        let landed = std::mem::take(&mut self.in_flight);
        if is_written {
            self.totals.flushed += landed.len() as u64;
            self.totals.flushes += 1;
        }
        for (id, meta) in landed {
            // It may have said something else meanwhile, or have gone.
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if is_written {
                entry.is_meta_written |= meta.is_some() && entry.meta == meta;
            } else if entry.is_online() {
                self.pending.insert(id);
            }
        }
    }

    /// Workers with heartbeats that are not written yet.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending.len() + self.in_flight.len()
    }

    /// The departures to be told first, `count` at most.
    pub(crate) fn pending_offline(&self, count: usize) -> Vec<PendingOffline> {
        self.departures.iter().take(count).cloned().collect()
    }

    /// Departures to be told.
    pub(crate) fn untold_count(&self) -> usize {
        self.departures.len()
    }

    /// Forgets the first `count` departures: they were told.
    pub(crate) fn told(&mut self, count: usize) {
        self.departures.drain(..count);
        self.totals.told += count as u64;
    }

    /// Those who have been offline since this moment or before, `count` at most.
    pub(crate) fn offline_before(&self, ms: u64, count: usize) -> Vec<Arc<str>> {
        let long = self.offline.iter().take_while(|(since_ms, _)| *since_ms <= ms);
        long.take(count).map(|(_, id)| Arc::clone(id)).collect()
    }

    /// Forgets a worker: its records are removed.
    pub(crate) fn forget(&mut self, id: &Arc<str>) {
        self.remove(id);
        self.pending.remove(id);
        self.totals.forgotten += 1;
    }

    pub(crate) fn get(&self, id: &str) -> Option<(&Arc<str>, &WorkerEntry)> {
        self.entries.get_key_value(id)
    }

    /// Everyone from there on, in the order of the ids.
    pub(crate) fn members_from(
        &self,
        start: Bound<&str>,
    ) -> impl Iterator<Item = (&Arc<str>, &WorkerEntry)> {
        self.entries.range::<str, _>((start, Bound::Unbounded))
    }

    /// How many are online and how many are not.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.entries.len() - self.offline.len(), self.offline.len())
    }

    /// The number of the next departure.
    pub(crate) fn departure_next(&self) -> DepartureNo {
        self.departure_next
    }

    /// Whether the worker is known and online.
    pub(crate) fn is_online(&self, id: &str) -> bool {
        self.entries.get(id).is_some_and(WorkerEntry::is_online)
    }

    /// Nobody is dead whose beat waits for the disk.
    fn is_stale(&self, id: &Arc<str>, entry: &WorkerEntry, now: Duration) -> bool {
        entry.is_online()
            && now.saturating_sub(entry.seen) > self.options.stale_after
            && !self.pending.contains(id)
            && !self.in_flight.contains_key(id)
    }

    fn number(&mut self) -> DepartureNo {
        let number = self.departure_next;
        self.departure_next.0 += 1;
        number
    }

    fn depart(&mut self, id: Arc<str>, cause: OfflineCause, now: Now) -> WorkerChange {
        let mut entry = self.entries.get(&id).expect("only who is known departs").clone();
        entry.record.offline_since_ms = Some(now.unix_ms);
        let (number, at_ms, life) = (self.number(), now.unix_ms, Some(entry.record.life));
        let departure = Some(PendingOffline { number, id: Arc::clone(&id), at_ms, cause, life });
        WorkerChange { id, entry, departure, forgotten: None }
    }

    /// The bytes of all metas with this one instead of one of `known_bytes`.
    fn check_meta(&self, known_bytes: usize, meta: Option<&Item>) -> Result<usize, LivenessError> {
        let Some(meta) = meta else { return Ok(self.meta_bytes) };
        let bytes = meta.size_bytes();
        let bytes_max = self.options.meta_bytes_max;
        if bytes > bytes_max {
            return Err(LivenessError::MetaTooLarge { bytes, bytes_max });
        }
        let total = self.meta_bytes - known_bytes + bytes;
        let bytes_max = self.options.metas_bytes_max;
        if total > bytes_max && bytes > known_bytes {
            return Err(LivenessError::MetasTooLarge { bytes: total, bytes_max });
        }
        Ok(total)
    }

    fn who_gives_way(&self, newcomer: &str) -> Result<Option<Arc<str>>, LivenessError> {
        let workers_max = self.options.workers_max;
        if self.entries.contains_key(newcomer) || self.entries.len() < workers_max {
            return Ok(None);
        }
        let longest = self.offline.first().ok_or(LivenessError::FleetFull { workers_max })?;
        Ok(Some(Arc::clone(&longest.1)))
    }

    /// The id, shared with the table if it is there.
    fn shared(&self, id: &str) -> Arc<str> {
        self.entries.get_key_value(id).map_or_else(|| id.into(), |(id, _)| Arc::clone(id))
    }

    fn put(&mut self, id: Arc<str>, entry: WorkerEntry) {
        self.remove(&id);
        self.meta_bytes += entry.meta_bytes();
        if let Some(since_ms) = entry.record.offline_since_ms {
            self.offline.insert((since_ms, Arc::clone(&id)));
        }
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: &Arc<str>) {
        let Some(entry) = self.entries.remove(id) else { return };
        self.meta_bytes -= entry.meta_bytes();
        if let Some(since_ms) = entry.record.offline_since_ms {
            self.offline.remove(&(since_ms, Arc::clone(id)));
        }
    }
}
