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
//! ([`Blocked::Load`]); only in the first case has anything changed. [`QueueState::settle`] ends a
//! turn.

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, Key, KeyRange, LoadError, ScanLimit,
    key::{self, Arrival, MessageState, Priority, QueueNo},
    record::{OnFull, PermitRecord, PriorityMeta, QueueEntry, QueueMeta, QueueSettings},
};

use crate::{
    queue::{
        api::error::QueueError,
        state::{
            expiry::ExpiryRest,
            message::stored_message::Victim,
            order::{
                aging::Aging, head_cache::HeadCache, position::Position,
                priority_counts::PriorityCounts, tail_cache::TailCache,
            },
        },
        verb::{dead_letter::DeadMessage, delete},
    },
    token_bucket::TokenBucket,
};

/// What is wrong with a queue that has nothing where it should.
const TOO_FEW: &str = "it holds fewer messages than it counts";

/// Room for accepted messages that is kept from turn to turn.
const FRESH_KEPT_MAX: usize = 8;

/// How much of a queue is kept in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryBounds {
    /// Messages of the head.
    pub(crate) window_count_max: usize,
    /// Bytes of the head; it has one message at least.
    pub(crate) window_bytes_max: usize,
    /// Places of the tail; a queue that does not evict has none.
    pub(crate) tail_count_max: usize,
    /// Counts of priorities.
    pub(crate) lane_count_max: usize,
}

impl MemoryBounds {
    /// The bounds of every queue.
    pub(crate) const QUEUE: Self = Self {
        window_count_max: 512,
        window_bytes_max: 256 << 10,
        tail_count_max: 512,
        lane_count_max: 256,
    };
}

/// What the rules must see of the store before they can go on.
#[derive(Clone, Debug)]
pub(crate) enum MissingData {
    /// The counts of these priorities.
    PriorityCounts(Vec<Priority>),
    /// The priorities in use, from the beginning of this range.
    AllLanes(KeyRange, ScanLimit),
    /// Messages of this priority, from the beginning of this range.
    LaneHead(Priority, KeyRange, ScanLimit),
    /// Messages from the beginning of this range.
    Head(KeyRange, ScanLimit),
    /// Messages from the end of this range.
    TailCache(KeyRange, ScanLimit),
}

/// Why a verb did nothing.
#[derive(Clone, Debug)]
pub(crate) enum Blocked {
    /// It must see something of the store first; then it is tried again.
    Load(MissingData),
    /// It is refused.
    Refuse(QueueError),
}

impl From<QueueError> for Blocked {
    fn from(error: QueueError) -> Self {
        Self::Refuse(error)
    }
}

/// A queue in memory.
#[derive(Debug)]
pub(crate) struct QueueState {
    /// The queue's id.
    pub(crate) id: Box<str>,
    /// `None` until something is written for the first time.
    pub(crate) queue: Option<QueueNo>,
    /// When it was first written to; 0 before.
    pub(crate) created_at_ms: u64,
    pub(crate) meta: QueueMeta,
    pub(crate) settings: QueueSettings,
    pub(crate) head_cache: HeadCache,
    pub(crate) tail_cache: TailCache,
    /// Empty unless messages age.
    pub(crate) aging: Aging,
    pub(crate) priority_counts: PriorityCounts,
    /// Messages accepted in this turn and not yet taken in it: written when it ends.
    pub(crate) fresh: Vec<(Position, Bytes)>,
    pub(crate) is_meta_changed: bool,
    pub(crate) is_settings_changed: bool,
    /// Whether `meta` counts refusals that no change has written yet.
    pub(crate) has_unwritten_refusals: bool,
    /// Messages that died in this turn and are to be sent to the dead-letter queue.
    pub(crate) dead: Vec<DeadMessage>,
    /// Permits of leases that ended in this turn, to be released.
    pub(crate) freed: Vec<PermitRecord>,
    /// The earliest thing due that this turn added.
    pub(crate) wake_wanted_ms: Option<u64>,
    /// `None` until something was due.
    pub(crate) expiry_rest: Option<Box<ExpiryRest>>,
    pub(crate) push_bucket: TokenBucket,
    pub(crate) pop_bucket: TokenBucket,
    /// Bytes of messages that may be given at once, as far as there is memory for an answer.
    pub(crate) give_bytes_max: usize,
    bounds: MemoryBounds,
}

impl QueueState {
    /// A queue never used.
    pub(crate) fn unused(bounds: MemoryBounds) -> Self {
        let mut rules = Self {
            id: Box::default(),
            queue: None,
            created_at_ms: 0,
            meta: QueueMeta::default(),
            settings: QueueSettings::default(),
            head_cache: HeadCache::new(bounds.window_count_max, bounds.window_bytes_max),
            tail_cache: TailCache::new(bounds.tail_count_max),
            aging: Aging::default(),
            priority_counts: PriorityCounts::new(bounds.lane_count_max),
            fresh: Vec::new(),
            is_meta_changed: false,
            is_settings_changed: false,
            has_unwritten_refusals: false,
            dead: Vec::new(),
            freed: Vec::new(),
            wake_wanted_ms: None,
            expiry_rest: None,
            push_bucket: TokenBucket::default(),
            pop_bucket: TokenBucket::default(),
            give_bytes_max: usize::MAX,
            bounds,
        };
        rules.settle_memory();
        rules
    }

    /// A queue as the store knows it. Reads three records, whatever the queue holds.
    pub(crate) fn load(
        id: &str,
        bounds: MemoryBounds,
        get: impl Fn(&Key) -> Result<Option<Bytes>, LoadError>,
    ) -> Result<Self, LoadError> {
        let mut rules = Self::unused(bounds);
        rules.id = id.into();
        let Some(entry) = get(&key::queue_entry(id))? else {
            rules.meta.arrival_next = delete::first_arrival(get)?;
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
            rules.head_cache = HeadCache::new(bounds.window_count_max, bounds.window_bytes_max);
        }
        rules.settle_memory();
        Ok(rules)
    }

    /// Makes a place for the queue in the store: its first write.
    pub(crate) fn create(&mut self, id: &str, queue: QueueNo, now_ms: u64, batch: &mut Batch) {
        debug_assert!(self.queue.is_none(), "a queue is created once");
        (self.id, self.queue, self.created_at_ms) = (id.into(), Some(queue), now_ms);
        batch.put(key::queue_entry(id), QueueEntry::new(queue, now_ms).encode());
    }

    /// The number of a queue that holds something or changes.
    pub(crate) fn number(&self) -> QueueNo {
        self.queue.expect("a queue is created before anything is written to it")
    }

    /// Takes in what [`Blocked::Load`] asked for.
    pub(crate) fn supply(
        &mut self,
        missing: MissingData,
        found: Vec<(Key, Bytes)>,
    ) -> Result<(), LoadError> {
        match missing {
            MissingData::PriorityCounts(priorities) => {
                self.learn_lanes(found)?;
                priorities.into_iter().for_each(|priority| self.priority_counts.learn(priority, 0));
            }
            MissingData::AllLanes(range, _) => {
                let priority_of = |(key, _): &(Key, Bytes)| {
                    key::priority_of_lane(key).ok_or_else(|| self.damaged("a key is no lane's"))
                };
                let priorities: Vec<_> = found.iter().map(priority_of).collect::<Result<_, _>>()?;
                self.learn_priorities(&range, &priorities);
            }
            MissingData::Head(..) => {
                let (known, fresh) = (self.head_cache.len(), self.fresh_messages(|_| true)?);
                self.head_cache.extend_with(self.messages(found)?, fresh);
                // Asking again would find nothing again.
                if self.head_cache.len() == known {
                    return Err(self.damaged(TOO_FEW));
                }
            }
            MissingData::LaneHead(priority, ..) => {
                let fresh = self.fresh_messages(|position| position.priority == priority)?;
                let messages = self.messages(found)?;
                if !self.aging.extend(priority, messages, fresh) {
                    return Err(self.damaged(TOO_FEW));
                }
            }
            MissingData::TailCache(..) if found.is_empty() => return Err(self.damaged(TOO_FEW)),
            MissingData::TailCache(..) => {
                let messages = self.messages(found)?.into_iter();
                self.tail_cache
                    .extend(messages.map(|(position, stored)| (position, Victim::of(&stored))));
            }
        }
        Ok(())
    }

    fn learn_lanes(&mut self, found: Vec<(Key, Bytes)>) -> Result<(), LoadError> {
        for (key, priority_count) in found {
            let priority = key::priority_of_lane(&key);
            let priority = priority.ok_or_else(|| self.damaged("a key is no lane's"))?;
            self.priority_counts
                .learn(priority, PriorityMeta::decode(&priority_count)?.ready_count);
        }
        Ok(())
    }

    /// Ends a turn: writes what it changed and brings memory back within its bounds.
    pub(crate) fn settle(&mut self, batch: &mut Batch) {
        if self.is_meta_changed {
            let queue = self.number();
            for (position, record) in self.fresh.drain(..) {
                batch.add(position.key(queue, MessageState::Ready), record);
            }
            self.fresh.shrink_to(FRESH_KEPT_MAX);
            self.priority_counts.settle(queue, batch);
            self.write_meta(batch);
        }
        self.settle_memory();
    }

    /// Writes the settings, if this turn changed them. They last, also those of a queue that keeps
    /// its messages in memory.
    pub(crate) fn settle_settings(&mut self, batch: &mut Batch) {
        if std::mem::take(&mut self.is_settings_changed) {
            batch.put(key::queue_settings(self.number()), self.settings.encode());
        }
    }

    /// Writes the totals, if they count refusals that were not written yet.
    pub(crate) fn settle_refusals(&mut self, batch: &mut Batch) {
        if self.has_unwritten_refusals && self.queue.is_some() {
            self.write_meta(batch);
        }
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let tail_cache = self.tail_cache.len() * size_of::<(Position, Victim)>();
        let priority_counts = self.priority_counts.len() * size_of::<(Priority, u64, u64)>();
        size_of::<Self>()
            + self.head_cache.bytes()
            + self.aging.bytes()
            + tail_cache
            + priority_counts
    }

    /// Whether a full queue lets messages give way.
    pub(crate) fn is_evicting(&self) -> bool {
        self.settings.capacity.is_some() && self.settings.on_full == OnFull::EvictLowest
    }

    /// Makes sure that the counts of priorities that [`PriorityCounts::unknown`] named can be
    /// changed.
    pub(crate) fn know_lanes(&mut self, unknown: Vec<Priority>) -> Result<(), Blocked> {
        if unknown.is_empty() {
            return Ok(());
        }
        if self.meta.ready_count == 0 {
            unknown.into_iter().for_each(|priority| self.priority_counts.learn(priority, 0));
            return Ok(());
        }
        Err(Blocked::Load(MissingData::PriorityCounts(unknown)))
    }

    /// Makes sure that the window holds `count` messages. The queue has that many.
    pub(crate) fn know_head(&self, count: usize) -> Result<(), Blocked> {
        if self.head_cache.len() >= count {
            return Ok(());
        }
        let queue = self.number();
        let range = key::messages(queue, MessageState::Ready);
        let range = match self.head_cache.end() {
            Some(end) => range.after(&end.key(queue, MessageState::Ready)),
            None => range,
        };
        Err(Blocked::Load(MissingData::Head(range, self.window_limit())))
    }

    /// Makes sure that the tail knows `count` messages. The queue has that many.
    pub(crate) fn know_tail(&self, count: usize) -> Result<(), Blocked> {
        if self.tail_cache.len() >= count {
            return Ok(());
        }
        let queue = self.number();
        let mut range = key::messages(queue, MessageState::Ready);
        if let Some(start) = self.tail_cache.start() {
            range.end = start.key(queue, MessageState::Ready);
        }
        let limit = ScanLimit { count_max: self.bounds.tail_count_max, ..self.window_limit() };
        Err(Blocked::Load(MissingData::TailCache(range, limit)))
    }

    /// Messages held, in whatever state.
    pub(crate) fn held_count(&self) -> u64 {
        let QueueMeta { ready_count, scheduled_count, leased_count, .. } = self.meta;
        ready_count + scheduled_count + leased_count
    }

    pub(crate) fn damaged(&self, reason: &str) -> LoadError {
        LoadError::Corrupt(format!("queue number {}: {reason}", self.number().0).into())
    }

    fn window_limit(&self) -> ScanLimit {
        let MemoryBounds { window_count_max, window_bytes_max, .. } = self.bounds;
        ScanLimit { count_max: window_count_max, bytes_max: window_bytes_max }
    }

    pub(crate) fn write_meta(&mut self, batch: &mut Batch) {
        batch.put(key::queue_meta(self.number()), self.meta.encode());
        self.is_meta_changed = false;
        self.has_unwritten_refusals = false;
    }

    fn settle_memory(&mut self) {
        self.head_cache.settle(self.meta.ready_count);
        self.aging.settle(|priority| self.priority_counts.count(priority));
        if self.is_evicting() {
            self.tail_cache.settle(self.meta.ready_count);
        }
    }

    /// When the queue has to be woken, if that is earlier than it was to be up to now; with when
    /// that was.
    pub(crate) fn take_wake(&mut self) -> Option<(Option<u64>, u64)> {
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
    pub(crate) fn arrival_next(&self) -> Arrival {
        Arrival(self.meta.arrival_next)
    }
}
