//! The rules of a queue: what it knows, and how it changes. No clock, no I/O, no task.
//!
//! A message's life:
//!
//! ```text
//!          delay              due            lease
//!   push ───────▶ scheduled ───────▶ ready ─────────▶ leased ───▶ done    (ack)
//!     │               ▲              ▲  │             │ │  │
//!     │               │ delayed nack │  │ nack, expiry│ │  │
//!     │               └──────────────┼──┼─────────────┘ │  │
//!     └──────────────────────────────┘◀─┼───────────────┘  └────▶ dead    (dead letter)
//!              no delay                 │
//!                                       └▶ done  (pop, cancel, purge, eviction, expiry)
//! ```
//!
//! Dead is ready again in another queue: the dead-letter queue of this one. A message keeps its
//! place, priority and arrival, through all of it.
//!
//! A verb either does all it should, or refuses, or says what it must see of the store first
//! ([`Stop::Load`]); only in the first case has anything changed. [`Rules::settle`] ends a turn.

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, Key, KeyRange, LoadError, ScanLimit,
    key::{self, Arrival, MessageState, Priority, QueueNo},
    record::{LaneMeta, OnFull, PermitRecord, QueueEntry, QueueMeta, QueueSettings},
};

use super::{
    QueueError, aged::Aged, bucket::Bucket, bury::Dead, deletion, due::DueRest, held::Victim,
    lanes::Lanes, place::Place, tail::Tail, window::Window,
};

/// What is wrong with a queue that has nothing where it should.
const TOO_FEW: &str = "it holds fewer messages than it counts";

/// Room for accepted messages that is kept from turn to turn.
const FRESH_KEPT_MAX: usize = 8;

/// How much of a queue is kept in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryBounds {
    /// Messages of the head.
    pub(super) window_count_max: usize,
    /// Bytes of the head; it has one message at least.
    pub(super) window_bytes_max: usize,
    /// Places of the tail; a queue that does not evict has none.
    pub(super) tail_count_max: usize,
    /// Counts of priorities.
    pub(super) lane_count_max: usize,
}

impl MemoryBounds {
    /// The bounds of every queue.
    pub(super) const QUEUE: Self = Self {
        window_count_max: 512,
        window_bytes_max: 256 << 10,
        tail_count_max: 512,
        lane_count_max: 256,
    };
}

/// What the rules must see of the store before they can go on.
#[derive(Clone, Debug)]
pub(super) enum Need {
    /// The counts of these priorities.
    Lanes(Vec<Priority>),
    /// The priorities in use, from the beginning of this range.
    AllLanes(KeyRange, ScanLimit),
    /// Messages of this priority, from the beginning of this range.
    LaneHead(Priority, KeyRange, ScanLimit),
    /// Messages from the beginning of this range.
    Head(KeyRange, ScanLimit),
    /// Messages from the end of this range.
    Tail(KeyRange, ScanLimit),
}

/// Why a verb did nothing.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// It must see something of the store first; then it is tried again.
    Load(Need),
    /// It is refused.
    Refuse(QueueError),
}

impl From<QueueError> for Stop {
    fn from(error: QueueError) -> Self {
        Self::Refuse(error)
    }
}

/// A queue in memory.
#[derive(Debug)]
pub(super) struct Rules {
    /// The queue's id.
    pub(super) id: Box<str>,
    /// `None` until something is written for the first time.
    pub(super) queue: Option<QueueNo>,
    /// When it was first written to; 0 before.
    pub(super) created_at_ms: u64,
    pub(super) meta: QueueMeta,
    pub(super) settings: QueueSettings,
    pub(super) window: Window,
    pub(super) tail: Tail,
    /// Empty unless messages age.
    pub(super) aged: Aged,
    pub(super) lanes: Lanes,
    /// Messages accepted in this turn and not yet taken in it: written when it ends.
    pub(super) fresh: Vec<(Place, Bytes)>,
    pub(super) is_meta_changed: bool,
    pub(super) is_settings_changed: bool,
    /// Whether `meta` counts refusals that no change has written yet.
    pub(super) has_unwritten_refusals: bool,
    /// Messages that died in this turn and are to be sent to the dead-letter queue.
    pub(super) dead: Vec<Dead>,
    /// Permits of leases that ended in this turn, to be released.
    pub(super) freed: Vec<PermitRecord>,
    /// The earliest thing due that this turn added.
    pub(super) wake_wanted_ms: Option<u64>,
    /// `None` until something was due.
    pub(super) due_rest: Option<Box<DueRest>>,
    pub(super) push_bucket: Bucket,
    pub(super) pop_bucket: Bucket,
    /// Bytes of messages that may be given at once, as far as there is memory for an answer.
    pub(super) give_bytes_max: usize,
    bounds: MemoryBounds,
}

impl Rules {
    /// A queue never used.
    pub(super) fn unused(bounds: MemoryBounds) -> Self {
        let mut rules = Self {
            id: Box::default(),
            queue: None,
            created_at_ms: 0,
            meta: QueueMeta::default(),
            settings: QueueSettings::default(),
            window: Window::new(bounds.window_count_max, bounds.window_bytes_max),
            tail: Tail::new(bounds.tail_count_max),
            aged: Aged::default(),
            lanes: Lanes::new(bounds.lane_count_max),
            fresh: Vec::new(),
            is_meta_changed: false,
            is_settings_changed: false,
            has_unwritten_refusals: false,
            dead: Vec::new(),
            freed: Vec::new(),
            wake_wanted_ms: None,
            due_rest: None,
            push_bucket: Bucket::default(),
            pop_bucket: Bucket::default(),
            give_bytes_max: usize::MAX,
            bounds,
        };
        rules.settle_memory();
        rules
    }

    /// A queue as the store knows it. Reads three records, whatever the queue holds.
    pub(super) fn load(
        id: &str,
        bounds: MemoryBounds,
        get: impl Fn(&Key) -> Result<Option<Bytes>, LoadError>,
    ) -> Result<Self, LoadError> {
        let mut rules = Self::unused(bounds);
        rules.id = id.into();
        let Some(entry) = get(&key::queue_entry(id))? else {
            rules.meta.arrival_next = deletion::first_arrival(get)?;
            return Ok(rules);
        };
        let entry = QueueEntry::decode(&entry)?;
        let queue = entry.queue();
        (rules.queue, rules.created_at_ms) = (Some(queue), entry.created_at_ms);
        if let Some(meta) = get(&key::queue_meta(queue))? {
            rules.meta = QueueMeta::decode(&meta)?;
        }
        if let Some(settings) = get(&key::queue_settings(queue))? {
            rules.settings = QueueSettings::decode(&settings)?;
        }
        if rules.meta.ready_count > 0 {
            rules.window = Window::new(bounds.window_count_max, bounds.window_bytes_max);
        }
        rules.settle_memory();
        Ok(rules)
    }

    /// Makes a place for the queue in the store: its first write.
    pub(super) fn create(&mut self, id: &str, queue: QueueNo, now_ms: u64, batch: &mut Batch) {
        debug_assert!(self.queue.is_none(), "a queue is created once");
        (self.id, self.queue, self.created_at_ms) = (id.into(), Some(queue), now_ms);
        batch.put(key::queue_entry(id), QueueEntry::new(queue, now_ms).encode());
    }

    /// The number of a queue that holds something or changes.
    pub(super) fn number(&self) -> QueueNo {
        self.queue.expect("a queue is created before anything is written to it")
    }

    /// Takes in what [`Stop::Load`] asked for.
    pub(super) fn supply(&mut self, need: Need, found: Vec<(Key, Bytes)>) -> Result<(), LoadError> {
        match need {
            Need::Lanes(priorities) => {
                self.learn_lanes(found)?;
                priorities.into_iter().for_each(|priority| self.lanes.learn(priority, 0));
            }
            Need::AllLanes(range, _) => {
                let priority_of = |(key, _): &(Key, Bytes)| {
                    key::priority_of_lane(key).ok_or_else(|| self.damaged("a key is no lane's"))
                };
                let priorities: Vec<_> = found.iter().map(priority_of).collect::<Result<_, _>>()?;
                self.learn_priorities(&range, &priorities);
            }
            Need::Head(..) => {
                let (known, fresh) = (self.window.len(), self.fresh_messages(|_| true)?);
                self.window.extend_with(self.messages(found)?, fresh);
                // Asking again would find nothing again.
                if self.window.len() == known {
                    return Err(self.damaged(TOO_FEW));
                }
            }
            Need::LaneHead(priority, ..) => {
                let fresh = self.fresh_messages(|place| place.priority == priority)?;
                let messages = self.messages(found)?;
                if !self.aged.extend(priority, messages, fresh) {
                    return Err(self.damaged(TOO_FEW));
                }
            }
            Need::Tail(..) if found.is_empty() => return Err(self.damaged(TOO_FEW)),
            Need::Tail(..) => {
                let messages = self.messages(found)?.into_iter();
                self.tail.extend(messages.map(|(place, held)| (place, Victim::of(&held))));
            }
        }
        Ok(())
    }

    fn learn_lanes(&mut self, found: Vec<(Key, Bytes)>) -> Result<(), LoadError> {
        for (key, lane) in found {
            let priority = key::priority_of_lane(&key);
            let priority = priority.ok_or_else(|| self.damaged("a key is no lane's"))?;
            self.lanes.learn(priority, LaneMeta::decode(&lane)?.ready_count);
        }
        Ok(())
    }

    /// Ends a turn: writes what it changed and brings memory back within its bounds.
    pub(super) fn settle(&mut self, batch: &mut Batch) {
        if self.is_meta_changed {
            let queue = self.number();
            for (place, record) in self.fresh.drain(..) {
                batch.add(place.key(queue, MessageState::Ready), record);
            }
            self.fresh.shrink_to(FRESH_KEPT_MAX);
            self.lanes.settle(queue, batch);
            self.write_meta(batch);
        }
        self.settle_memory();
    }

    /// Writes the settings, if this turn changed them. They last, also those of a queue that keeps
    /// its messages in memory.
    pub(super) fn settle_settings(&mut self, batch: &mut Batch) {
        if std::mem::take(&mut self.is_settings_changed) {
            batch.put(key::queue_settings(self.number()), self.settings.encode());
        }
    }

    /// Writes the totals, if they count refusals that were not written yet.
    pub(super) fn settle_refusals(&mut self, batch: &mut Batch) {
        if self.has_unwritten_refusals && self.queue.is_some() {
            self.write_meta(batch);
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        let tail = self.tail.len() * size_of::<(Place, Victim)>();
        let lanes = self.lanes.len() * size_of::<(Priority, u64, u64)>();
        size_of::<Self>() + self.window.bytes() + self.aged.bytes() + tail + lanes
    }

    /// Whether a full queue lets messages give way.
    pub(super) fn is_evicting(&self) -> bool {
        self.settings.capacity.is_some() && self.settings.on_full == OnFull::EvictLowest
    }

    /// Makes sure that the counts of priorities that [`Lanes::unknown`] named can be changed.
    pub(super) fn know_lanes(&mut self, unknown: Vec<Priority>) -> Result<(), Stop> {
        if unknown.is_empty() {
            return Ok(());
        }
        if self.meta.ready_count == 0 {
            unknown.into_iter().for_each(|priority| self.lanes.learn(priority, 0));
            return Ok(());
        }
        Err(Stop::Load(Need::Lanes(unknown)))
    }

    /// Makes sure that the window holds `count` messages. The queue has that many.
    pub(super) fn know_head(&self, count: usize) -> Result<(), Stop> {
        if self.window.len() >= count {
            return Ok(());
        }
        let queue = self.number();
        let range = key::messages(queue, MessageState::Ready);
        let range = match self.window.end() {
            Some(end) => range.after(&end.key(queue, MessageState::Ready)),
            None => range,
        };
        Err(Stop::Load(Need::Head(range, self.window_limit())))
    }

    /// Makes sure that the tail knows `count` messages. The queue has that many.
    pub(super) fn know_tail(&self, count: usize) -> Result<(), Stop> {
        if self.tail.len() >= count {
            return Ok(());
        }
        let queue = self.number();
        let mut range = key::messages(queue, MessageState::Ready);
        if let Some(start) = self.tail.start() {
            range.end = start.key(queue, MessageState::Ready);
        }
        let limit = ScanLimit { count_max: self.bounds.tail_count_max, ..self.window_limit() };
        Err(Stop::Load(Need::Tail(range, limit)))
    }

    /// Messages held, in whatever state.
    pub(super) fn held_count(&self) -> u64 {
        let QueueMeta { ready_count, scheduled_count, leased_count, .. } = self.meta;
        ready_count + scheduled_count + leased_count
    }

    pub(super) fn damaged(&self, reason: &str) -> LoadError {
        LoadError::Corrupt(format!("queue number {}: {reason}", self.number().0).into())
    }

    fn window_limit(&self) -> ScanLimit {
        let MemoryBounds { window_count_max, window_bytes_max, .. } = self.bounds;
        ScanLimit { count_max: window_count_max, bytes_max: window_bytes_max }
    }

    pub(super) fn write_meta(&mut self, batch: &mut Batch) {
        batch.put(key::queue_meta(self.number()), self.meta.encode());
        self.is_meta_changed = false;
        self.has_unwritten_refusals = false;
    }

    fn settle_memory(&mut self) {
        self.window.settle(self.meta.ready_count);
        self.aged.settle(|priority| self.lanes.count(priority));
        if self.is_evicting() {
            self.tail.settle(self.meta.ready_count);
        }
    }

    /// When the queue has to be woken, if that is earlier than it was to be up to now; with when
    /// that was.
    pub(super) fn take_wake(&mut self) -> Option<(Option<u64>, u64)> {
        let wanted_ms = self.wake_wanted_ms.take()?;
        let before_ms = self.meta.wake_at_ms;
        if before_ms.is_some_and(|before_ms| before_ms <= wanted_ms) {
            return None;
        }
        self.meta.wake_at_ms = Some(wanted_ms);
        self.is_meta_changed = true;
        Some((before_ms, wanted_ms))
    }

    /// The arrival number the next message gets.
    pub(super) fn arrival_next(&self) -> Arrival {
        Arrival(self.meta.arrival_next)
    }
}
