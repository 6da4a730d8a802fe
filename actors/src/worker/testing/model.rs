//! Random beats, farewells, flushes that fail, sweeps that race and restarts against the rules, and
//! against what a list of beats says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, CommitSeq, Key, Write,
    key::{self, DepartureNo},
    record::{OfflineCause, WorkerMeta, WorkerRecord},
};

use crate::{
    queue::api::item::Item,
    worker::{
        api::{error::LivenessError, options::LivenessOptions},
        state::{
            pending_write::{WorkerChange, WriteStep},
            worker_entry::{Now, WorkerEntry},
            worker_table::WorkerTable,
        },
    },
};

const STALE_AFTER: Duration = Duration::from_millis(150);
const WORKERS_MAX: usize = 6;

/// What is known of a worker from the list of its beats.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Life {
    is_online: bool,
    /// When it last beat, or the node began.
    seen: Duration,
    beat_ms: u64,
    meta: Option<String>,
    /// It beat since it was last handed over to be written.
    is_owed: bool,
    /// It is being written.
    is_in_flight: bool,
}

impl Life {
    fn is_waiting(&self) -> bool {
        self.is_owed || self.is_in_flight
    }
}

struct Run {
    random: fastrand::Rng,
    worker_table: WorkerTable,
    store: BTreeMap<Key, Bytes>,
    elapsed: Duration,
    lives: BTreeMap<String, Life>,
    departed: Vec<(String, OfflineCause)>,
    told: usize,
    meta_bytes_max: usize,
    last_told: Option<DepartureNo>,
    /// Workers found stale a while ago, not buried yet.
    suspects: Vec<Arc<str>>,
}

fn options() -> LivenessOptions {
    LivenessOptions {
        stale_after: STALE_AFTER,
        workers_max: WORKERS_MAX,
        meta_bytes_max: 24,
        metas_bytes_max: 60,
        ..LivenessOptions::default()
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            worker_table: WorkerTable::new(options(), DepartureNo(0)),
            store: BTreeMap::new(),
            elapsed: Duration::from_secs(1),
            lives: BTreeMap::new(),
            departed: Vec::new(),
            told: 0,
            meta_bytes_max: 60,
            last_told: None,
            suspects: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        Now { elapsed: self.elapsed, unix_ms: 1_000_000 + self.elapsed.as_millis() as u64 }
    }

    fn store(&mut self, batch: Batch) {
        for write in batch.into_writes() {
            match write {
                Write::Put(key, value) | Write::Add(key, value) => {
                    self.store.insert(key, value);
                }
                Write::Delete(key) => drop(self.store.remove(&key)),
            }
        }
    }

    /// Writes a change and makes it take effect; or not, as when the disk is full.
    fn change(&mut self, change: WorkerChange) -> bool {
        if self.random.u8(..) < 40 {
            return false;
        }
        let mut batch = Batch::new();
        change.write(&mut batch);
        self.store(batch);
        if let Some(forgotten) = &change.forgotten {
            let gone = self.lives.remove(&**forgotten).expect("only who is known is forgotten");
            assert!(!gone.is_online, "{forgotten} was online");
        }
        self.worker_table.apply(change, CommitSeq(1));
        true
    }

    fn id(&mut self) -> String {
        format!("w{}", self.random.u32(..9))
    }

    fn beat(&mut self) {
        let (id, now) = (self.id(), self.now());
        let meta = self.random.bool().then(|| format!("{{\"n\":\"{}\"}}", self.text(24)));
        let item = meta.as_ref().map(|text| Item::from_json(text).expect("JSON"));
        let before = self.lives.get(&id).cloned();
        let is_new = before.is_none();
        let mut life = before.unwrap_or(Life {
            is_online: false,
            seen: now.elapsed,
            beat_ms: now.unix_ms,
            meta: None,
            is_owed: false,
            is_in_flight: false,
        });
        match self.worker_table.beat(&id, item, None, now) {
            Ok(WriteStep::Merged(_)) => {
                assert!(life.is_online, "{id} is not online: its beat has to be written");
                life.is_owed = true;
            }
            Ok(WriteStep::Write(change)) => {
                assert!(!life.is_online, "{id} is online: its beat can wait");
                if !self.change(*change) {
                    return;
                }
                (life.is_online, life.is_owed) = (true, false);
            }
            Err(LivenessError::FleetFull { .. }) => {
                assert!(is_new && self.lives.values().all(|life| life.is_online));
                return assert_eq!(self.lives.len(), WORKERS_MAX);
            }
            Err(LivenessError::MetaTooLarge { bytes, .. }) => return assert!(bytes > 24),
            Err(LivenessError::MetasTooLarge { bytes, .. }) => return assert!(bytes > 60),
            Err(error) => panic!("{error}"),
        }
        (life.seen, life.beat_ms) = (now.elapsed, now.unix_ms);
        life.meta = meta.or(life.meta);
        self.lives.insert(id, life);
    }

    fn text(&mut self, length_max: usize) -> String {
        (0..self.random.usize(..length_max)).map(|_| self.random.lowercase()).collect()
    }

    fn deregister(&mut self) {
        let (id, now) = (self.id(), self.now());
        match self.worker_table.deregister(&id, None, now) {
            Ok(WriteStep::Merged(_)) => assert!(!self.lives[&id].is_online),
            Ok(WriteStep::Write(change)) => {
                assert!(self.lives[&id].is_online);
                if self.change(*change) {
                    self.depart(id, OfflineCause::Deregistered);
                }
            }
            Err(LivenessError::NotFound) => assert!(!self.lives.contains_key(&id)),
            Err(LivenessError::TooManyUntold { .. }) => {
                assert_eq!(self.departed.len() - self.told, WORKERS_MAX);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn depart(&mut self, id: String, cause: OfflineCause) {
        let life = self.lives.get_mut(&id).expect("only who is known departs");
        (life.is_online, life.is_owed) = (false, false);
        self.departed.push((id, cause));
    }

    fn suspect(&mut self) {
        let (mut after, mut found) = (None::<Arc<str>>, Vec::new());
        loop {
            let (stale, next) = self.worker_table.stale(after.as_deref(), 2, self.elapsed);
            found.extend(stale);
            match next {
                Some(_) => after = next,
                None => break,
            }
        }
        let is_dead = |life: &&Life| {
            life.is_online && !life.is_waiting() && self.elapsed - life.seen > STALE_AFTER
        };
        assert_eq!(found.len(), self.lives.values().filter(is_dead).count());
        self.suspects = found;
    }

    fn mark_offline(&mut self) {
        let suspects = std::mem::take(&mut self.suspects);
        for change in self.worker_table.mark_offline(&suspects, self.now()) {
            let id = change.id.to_string();
            let life = &self.lives[&id];
            assert!(life.is_online && !life.is_waiting(), "{id}: {life:?}");
            assert!(self.elapsed - life.seen > STALE_AFTER, "{id} lives: {life:?}");
            if self.change(change) {
                self.depart(id, OfflineCause::Silent);
            }
        }
    }

    fn flush(&mut self) {
        let owed = self.lives.values().filter(|life| life.is_owed).count();
        assert_eq!(self.worker_table.pending_count(), owed);
        let mut batch = Batch::new();
        let count = self.worker_table.begin_flush(&mut batch);
        assert_eq!((count, batch.is_empty()), (owed, owed == 0));
        let is_written = self.random.u8(..) > 60;
        if is_written {
            self.store(batch);
        }
        for life in self.lives.values_mut() {
            life.is_in_flight = std::mem::take(&mut life.is_owed);
        }
        // What comes while the disk is busy.
        for _ in 0..self.random.u8(..6) {
            match self.random.u8(..5) {
                0 => self.beat(),
                1 => self.deregister(),
                2 => self.suspect(),
                3 => self.mark_offline(),
                _ => self.elapsed += Duration::from_millis(self.random.u64(..80)),
            }
        }
        self.worker_table.end_flush(is_written);
        for life in self.lives.values_mut() {
            life.is_owed |= life.is_in_flight && life.is_online && !is_written;
            life.is_in_flight = false;
        }
        let left = self.lives.values().filter(|life| life.is_owed).count();
        assert_eq!(self.worker_table.pending_count(), left);
    }

    fn tell(&mut self) {
        let count = self.random.usize(..4);
        let pending_offline = self.worker_table.pending_offline(count);
        let mut batch = Batch::new();
        for (place, pending_offline) in pending_offline.iter().enumerate() {
            let expected = &self.departed[self.told + place];
            assert_eq!((pending_offline.id.to_string(), pending_offline.cause), *expected);
            assert!(self.last_told < Some(pending_offline.number), "in order");
            self.last_told = Some(pending_offline.number);
            batch.delete(key::departure(pending_offline.number));
        }
        self.told += pending_offline.len();
        self.store(batch);
        self.worker_table.told(pending_offline.len());
    }

    /// A crash: what was merged is lost, what was written is not.
    fn restart(&mut self) {
        let mut worker_table = WorkerTable::new(options(), self.worker_table.departure_next());
        let stored = std::mem::take(&mut self.lives);
        for (id, life) in stored {
            let record = self.record(&id).expect("who is known is written");
            let meta = self.meta(&id);
            let item = meta.as_ref().map(|text| Item::from_json(text).expect("JSON"));
            let entry = WorkerEntry::stored(record, item, self.elapsed);
            worker_table.restore(id.as_str().into(), entry);
            let (seen, beat_ms) = (self.elapsed, record.last_seen_at_ms);
            assert!(beat_ms <= life.beat_ms);
            self.lives.insert(id, Life { seen, beat_ms, meta, is_owed: false, ..life });
        }
        let pending_offline = self.worker_table.pending_offline(usize::MAX);
        pending_offline
            .into_iter()
            .for_each(|pending_offline| worker_table.restore_departure(pending_offline));
        self.worker_table = worker_table;
        self.suspects.clear();
        // A meta that had become smaller may be back, beside one that took its room.
        self.meta_bytes_max = usize::MAX;
    }

    fn record(&self, id: &str) -> Option<WorkerRecord> {
        let bytes = self.store.get(&key::worker(id))?;
        Some(WorkerRecord::decode(bytes).expect("a record"))
    }

    fn meta(&self, id: &str) -> Option<String> {
        let bytes = self.store.get(&key::worker_meta(id))?;
        let json = WorkerMeta::decode(bytes).expect("a meta").json;
        Some(String::from_utf8(json.to_vec()).expect("text"))
    }

    fn step(&mut self) {
        match self.random.u32(..100) {
            0..40 => self.beat(),
            40..48 => self.deregister(),
            48..60 => self.elapsed += Duration::from_millis(self.random.u64(..80)),
            60..75 => self.flush(),
            75..83 => self.suspect(),
            83..90 => self.mark_offline(),
            90..98 => self.tell(),
            _ => self.restart(),
        }
        self.check();
    }

    fn check(&mut self) {
        assert!(self.lives.len() <= WORKERS_MAX);
        let mut bytes = 0;
        for (id, life) in &self.lives {
            let (_, entry) = self.worker_table.get(id).expect("it is known");
            assert_eq!(entry.is_online(), life.is_online, "{id}");
            assert_eq!(entry.record.last_seen_at_ms, life.beat_ms, "{id}");
            let meta = entry.meta.as_ref().map(|meta| meta.as_str().to_owned());
            assert_eq!(meta, life.meta, "{id}");
            bytes += meta.map_or(0, |meta| meta.len());
            let record = self.record(id).expect("it is written");
            assert_eq!(record.offline_since_ms.is_none(), life.is_online, "{id} in the store");
            if !life.is_waiting() {
                assert_eq!(record, entry.record, "{id} in the store");
                assert_eq!(self.meta(id), life.meta, "{id} in the store");
            }
        }
        assert!(bytes <= self.meta_bytes_max, "{bytes} bytes of meta");
        self.meta_bytes_max = bytes.max(60);
        let departures = key::departures();
        let pending_offline = self.store.keys().filter(|key| departures.contains(key)).count();
        assert_eq!(pending_offline, self.departed.len() - self.told);
        let offline = self.lives.values().filter(|life| !life.is_online).count();
        assert_eq!(self.worker_table.counts(), (self.lives.len() - offline, offline));
    }
}

#[test]
fn any_sequence_of_verbs_leaves_what_a_list_of_beats_would_say() {
    let first =
        std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    for seed in (0..300).map(|run| first.wrapping_add(run)) {
        let run = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            (0..500).for_each(|_| run.step());
        });
        assert!(run.is_ok(), "SEED={seed}");
    }
}
