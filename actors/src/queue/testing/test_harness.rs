//! The rules on a memory engine, for tests: what the actor does, without a runtime.

use lanekeeper_storage::record::OnFull;
use std::cell::Cell;

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, Durability, Engine, Fence, Key, MemoryEngine, ScanLimit, ShardNo,
    key::{self, Arrival, MessageState, Priority, QueueNo},
    record::{LaneMeta, MessageRecord, QueueMeta},
};

use crate::queue::{
    api::{
        config::{Paused, QueueConfig},
        error::QueueError,
        message::{Message, MessageId},
    },
    state::{
        message::stored_message::Held,
        order::position::Place,
        queue_state::{MemoryBounds, Need, Rules, Stop},
    },
    verb::{expire, push::Incoming},
};

const ID: &str = "trial";
const QUEUE: QueueNo = QueueNo(7);

/// Bounds that are met at once.
pub(crate) const TIGHT: MemoryBounds = MemoryBounds {
    window_count_max: 4,
    window_bytes_max: 1 << 10,
    tail_count_max: 3,
    lane_count_max: 2,
};

pub(crate) struct Trial {
    pub(crate) rules: Rules,
    pub(crate) now_ms: u64,
    /// Reads of messages that the rules asked for.
    pub(crate) scan_count: usize,
    /// Writes of the last turn.
    pub(crate) write_count: usize,
    engine: MemoryEngine,
    bounds: MemoryBounds,
}

impl Trial {
    pub(crate) fn new(bounds: MemoryBounds) -> Self {
        let engine = MemoryEngine::new();
        Self {
            rules: Rules::unused(bounds),
            now_ms: 1_000,
            scan_count: 0,
            write_count: 0,
            engine,
            bounds,
        }
    }

    /// A queue with a capacity.
    pub(crate) fn bounded(capacity: u64, on_full: OnFull) -> Self {
        let mut trial = Self::new(TIGHT);
        let config = QueueConfig { capacity: Some(capacity), on_full, ..QueueConfig::default() };
        trial.configure(&config).expect("a valid configuration");
        trial
    }

    /// A turn.
    pub(crate) fn turn<T>(
        &mut self,
        mut verb: impl FnMut(&mut Rules, &mut Batch) -> Result<T, Stop>,
    ) -> Result<T, QueueError> {
        let mut batch = Batch::new();
        let outcome = loop {
            match verb(&mut self.rules, &mut batch) {
                Ok(value) => break Ok(value),
                Err(Stop::Refuse(error)) => break Err(error),
                Err(Stop::Load(need)) => {
                    assert!(batch.is_empty(), "nothing has changed before the verb is decided");
                    self.load(need)?;
                }
            }
        };
        self.rules.settle(&mut batch);
        self.rules.settle_settings(&mut batch);
        assert!(outcome.is_ok() || batch.is_empty(), "a refusal writes nothing");
        self.write_count = batch.writes().len();
        self.commit(batch);
        outcome
    }

    pub(crate) fn push(&mut self, messages: &[(u32, &str)]) -> Result<Vec<MessageId>, QueueError> {
        Ok(self.push_to(messages, &[])?.0)
    }

    /// Pushes, and hands on to those who wait for so many messages each, in one turn.
    pub(crate) fn push_to(
        &mut self,
        messages: &[(u32, &str)],
        depths: &[usize],
    ) -> Result<(Vec<MessageId>, Vec<Message>), QueueError> {
        self.create();
        let incoming = |&(number, payload): &(u32, &str)| {
            Incoming::new(priority(number), Bytes::copy_from_slice(payload.as_bytes()))
        };
        let messages: Vec<_> = messages.iter().map(incoming).collect();
        let now_ms = self.now_ms;
        let (first, taken) = self.turn(|rules, batch| {
            let first = rules.push(&messages, now_ms, batch)?;
            let mut taken = Vec::new();
            for &depth in depths {
                taken.extend(rules.pop(depth, now_ms, batch)?);
            }
            Ok((first, taken))
        })?;
        let id = |(message, offset): (&Incoming, u64)| MessageId {
            priority: message.priority,
            arrival: Arrival(first.0 + offset),
        };
        Ok((messages.iter().zip(0..).map(id).collect(), taken))
    }

    pub(crate) fn pop(&mut self, depth: usize) -> Result<Vec<Message>, QueueError> {
        let now_ms = self.now_ms;
        self.turn(|rules, batch| rules.pop(depth, now_ms, batch))
    }

    /// Pushes what has been read of a request.
    pub(crate) fn accept(&mut self, messages: &[Incoming]) {
        self.create();
        let now_ms = self.now_ms;
        self.turn(|rules, batch| rules.push(messages, now_ms, batch)).expect("a good push");
    }

    /// Does a slice of what is due; answers how many messages and deduplication keys that were.
    pub(crate) fn fall_due(&mut self) -> (usize, usize) {
        let (now_ms, rest) = (self.now_ms, self.rules.due_rest().expect("a queue in the store"));
        let dues = expire::dues(&self.engine, QUEUE, rest, now_ms).expect("it reads");
        self.turn(|rules, batch| rules.fall_due(&dues, now_ms, batch)).expect("no refusal");
        (dues.messages.len(), dues.dedup_keys.len())
    }

    /// The payloads of what the queue holds, in pop order.
    pub(crate) fn payloads(&self) -> Vec<String> {
        let stored = self.stored().into_iter();
        stored.map(|(_, held)| String::from_utf8_lossy(&held.payload).into_owned()).collect()
    }

    /// Removes a message behind the back of the rules.
    pub(crate) fn damage(&self, id: MessageId) {
        let mut batch = Batch::new();
        batch.delete(Place::from(id).key(QUEUE, MessageState::Ready));
        self.commit(batch);
    }

    pub(crate) fn cancel(&mut self, id: MessageId) -> Result<(), QueueError> {
        let place = Place::from(id);
        let found =
            self.engine.get(&place.key(QUEUE, MessageState::Ready)).expect("a memory engine reads");
        let Some(record) = found else { return Err(QueueError::MessageNotFound) };
        let message = MessageRecord::decode(&record).expect("a message");
        self.turn(|rules, batch| rules.cancel(place, &message, batch))
    }

    /// Gives a ready message another priority; answers its place then.
    pub(crate) fn reprioritise(&mut self, place: Place, to: Priority) -> Place {
        let key = place.key(QUEUE, MessageState::Ready);
        let found = self.engine.get(&key).expect("a memory engine reads").expect("it is ready");
        let message = MessageRecord::decode(&found).expect("a message");
        let verb =
            |rules: &mut Rules, batch: &mut _| rules.reprioritise(place, &message, to, batch);
        self.turn(verb).expect("no refusal");
        Place { priority: to, ..place }
    }

    /// Makes the first scheduled message ready; answers its place and its payload.
    pub(crate) fn promote_first(&mut self) -> Option<(Place, Bytes)> {
        let range = key::messages(QUEUE, MessageState::Scheduled);
        let found = self.engine.scan(&range, ScanLimit::count(1)).expect("it reads");
        let (place, message) = self.rules.records(found).expect("messages").pop()?;
        let now_ms = self.now_ms;
        self.turn(|rules, batch| rules.promote(place, &message, now_ms, batch)).expect("it may");
        Some((place, message.payload))
    }

    /// Purges in slices of `slice` messages.
    pub(crate) fn purge(&mut self, only: Option<u32>, slice: usize) -> u64 {
        let range = match only {
            Some(number) => key::messages_of(QUEUE, MessageState::Ready, priority(number)),
            None => key::messages(QUEUE, MessageState::Ready),
        };
        let end = self.rules.arrival_next();
        let mut purged = 0;
        loop {
            let found = self.engine.scan(&range, ScanLimit::count(slice)).expect("it reads");
            if found.is_empty() {
                return purged;
            }
            let found = self.rules.records(found).expect("messages");
            let count = self.turn(|rules, batch| rules.purge(&found, end, batch));
            purged += count.expect("a purge is not refused");
        }
    }

    pub(crate) fn configure(&mut self, config: &QueueConfig) -> Result<(), QueueError> {
        self.create();
        self.turn(|rules, _| Ok(rules.configure(config, Durability::Durable)?))?;
        Ok(())
    }

    pub(crate) fn pause(&mut self, verbs: Paused) {
        self.create();
        self.turn(|rules, _| Ok(rules.pause(verbs))).expect("pausing is not refused");
    }

    pub(crate) fn resume(&mut self, verbs: Paused) {
        self.turn(|rules, _| Ok(rules.resume(verbs))).expect("resuming is not refused");
    }

    /// Drops the memory and begins anew from the store.
    pub(crate) fn reactivate(&mut self) {
        let get_count = Cell::new(0);
        let get = |key: &Key| {
            get_count.update(|count| count + 1);
            self.engine.get(key)
        };
        self.rules = Rules::load(ID, self.bounds, get).expect("what was written loads");
        assert!(get_count.get() <= 3, "an activation reads three records at most");
    }

    /// Gives the queue its number, as the actor does before the first write.
    pub(crate) fn create(&mut self) {
        if self.rules.queue.is_none() {
            let mut batch = Batch::new();
            self.rules.create(ID, QUEUE, self.now_ms, &mut batch);
            self.commit(batch);
        }
    }

    /// What the store holds: messages in pop order, with their payloads.
    pub(crate) fn stored(&self) -> Vec<(Place, Held)> {
        let range = key::messages(QUEUE, MessageState::Ready);
        let found = self.engine.scan(&range, ScanLimit::count(usize::MAX)).expect("it reads");
        self.rules.messages(found).expect("messages")
    }

    /// As [`Trial::stored`], with their states.
    pub(crate) fn stored_records(&self) -> Vec<(Place, MessageRecord)> {
        let range = key::messages(QUEUE, MessageState::Ready);
        let found = self.engine.scan(&range, ScanLimit::count(usize::MAX)).expect("it reads");
        self.rules.records(found).expect("messages")
    }

    /// The counts of the priorities in the store.
    pub(crate) fn stored_lanes(&self) -> Vec<(u32, u64)> {
        let all = ScanLimit::count(usize::MAX);
        let found = self.engine.scan(&key::lanes(QUEUE), all).expect("it reads");
        let lane = |(key, lane): &(Key, Bytes)| {
            let lane = LaneMeta::decode(lane).expect("a lane");
            (key::priority_of_lane(key).expect("a lane's key").get(), lane.ready_count)
        };
        found.iter().map(lane).collect()
    }

    /// The metadata in the store.
    pub(crate) fn stored_meta(&self) -> QueueMeta {
        let found = self.engine.get(&key::queue_meta(QUEUE)).expect("it reads");
        found.map_or(QueueMeta::default(), |meta| QueueMeta::decode(&meta).expect("metadata"))
    }

    fn load(&mut self, need: Need) -> Result<(), QueueError> {
        let found = match &need {
            Need::Lanes(priorities) => {
                let lane = |&priority: &Priority| {
                    let key = key::lane(QUEUE, priority);
                    let lane = self.engine.get(&key).expect("it reads");
                    lane.map(|lane| (key, lane))
                };
                priorities.iter().filter_map(lane).collect()
            }
            Need::AllLanes(range, limit)
            | Need::LaneHead(_, range, limit)
            | Need::Head(range, limit) => self.engine.scan(range, *limit)?,
            Need::Tail(range, limit) => self.engine.scan_back(range, *limit)?,
        };
        self.scan_count += usize::from(!matches!(need, Need::Lanes(_) | Need::AllLanes(..)));
        Ok(self.rules.supply(need, found)?)
    }

    fn commit(&self, batch: Batch) {
        let epoch = self.engine.claim(ShardNo(0)).expect("a memory engine is claimed");
        let fence = Fence { shard: ShardNo(0), epoch };
        let committed = self.engine.commit(fence, batch, Durability::Memory);
        committed.expect("a memory engine commits");
    }
}

pub(crate) fn priority(number: u32) -> Priority {
    Priority::new(number).expect("in bounds")
}
