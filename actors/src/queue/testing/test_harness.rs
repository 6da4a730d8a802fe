//! The rules on a memory engine, for tests: what the actor does, without a runtime.

use lanekeeper_storage::record::OnFull;
use std::cell::Cell;

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, Durability, Engine, Fence, Key, MemoryEngine, ScanLimit, ShardNo,
    key::{self, Arrival, MessageState, Priority, QueueNo},
    record::{MessageRecord, PriorityMeta, QueueMeta},
};

use crate::queue::{
    api::{
        config::{Paused, QueueConfig},
        error::QueueError,
        message::{Message, MessageId},
    },
    state::{
        message::stored_message::StoredMessage,
        order::position::Position,
        queue_state::{Blocked, MemoryBounds, MissingData, QueueState},
    },
    verb::{expire, push::PushRequest},
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

pub(crate) struct TestHarness {
    pub(crate) rules: QueueState,
    pub(crate) now_ms: u64,
    /// Reads of messages that the rules asked for.
    pub(crate) scan_count: usize,
    /// Writes of the last turn.
    pub(crate) write_count: usize,
    engine: MemoryEngine,
    bounds: MemoryBounds,
}

impl TestHarness {
    pub(crate) fn new(bounds: MemoryBounds) -> Self {
        let engine = MemoryEngine::new();
        Self {
            rules: QueueState::unused(bounds),
            now_ms: 1_000,
            scan_count: 0,
            write_count: 0,
            engine,
            bounds,
        }
    }

    /// A queue with a capacity.
    pub(crate) fn bounded(capacity: u64, on_full: OnFull) -> Self {
        let mut harness = Self::new(TIGHT);
        let config = QueueConfig { capacity: Some(capacity), on_full, ..QueueConfig::default() };
        harness.configure(&config).expect("a valid configuration");
        harness
    }

    /// A turn.
    pub(crate) fn turn<T>(
        &mut self,
        mut verb: impl FnMut(&mut QueueState, &mut Batch) -> Result<T, Blocked>,
    ) -> Result<T, QueueError> {
        let mut batch = Batch::new();
        let outcome = loop {
            match verb(&mut self.rules, &mut batch) {
                Ok(value) => break Ok(value),
                Err(Blocked::Refuse(error)) => break Err(error),
                Err(Blocked::Load(missing)) => {
                    assert!(batch.is_empty(), "nothing has changed before the verb is decided");
                    self.load(missing)?;
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
        let request = |&(number, payload): &(u32, &str)| {
            PushRequest::new(priority(number), Bytes::copy_from_slice(payload.as_bytes()))
        };
        let messages: Vec<_> = messages.iter().map(request).collect();
        let now_ms = self.now_ms;
        let (first, taken) = self.turn(|rules, batch| {
            let first = rules.push(&messages, now_ms, batch)?;
            let mut taken = Vec::new();
            for &depth in depths {
                taken.extend(rules.pop(depth, now_ms, batch)?);
            }
            Ok((first, taken))
        })?;
        let id = |(message, offset): (&PushRequest, u64)| MessageId {
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
    pub(crate) fn accept(&mut self, messages: &[PushRequest]) {
        self.create();
        let now_ms = self.now_ms;
        self.turn(|rules, batch| rules.push(messages, now_ms, batch)).expect("a good push");
    }

    /// Does a slice of what is due; answers how many messages and deduplication keys that were.
    pub(crate) fn expire_due(&mut self) -> (usize, usize) {
        let (now_ms, rest) = (self.now_ms, self.rules.expiry_rest().expect("a queue in the store"));
        let due_batch = expire::due_batch(&self.engine, QUEUE, rest, now_ms).expect("it reads");
        self.turn(|rules, batch| rules.expire_due(&due_batch, now_ms, batch)).expect("no refusal");
        (due_batch.messages.len(), due_batch.dedup_keys.len())
    }

    /// The payloads of what the queue holds, in pop order.
    pub(crate) fn payloads(&self) -> Vec<String> {
        let stored = self.stored().into_iter();
        stored.map(|(_, stored)| String::from_utf8_lossy(&stored.payload).into_owned()).collect()
    }

    /// Removes a message behind the back of the rules.
    pub(crate) fn damage(&self, id: MessageId) {
        let mut batch = Batch::new();
        batch.delete(Position::from(id).key(QUEUE, MessageState::Ready));
        self.commit(batch);
    }

    pub(crate) fn cancel(&mut self, id: MessageId) -> Result<(), QueueError> {
        let position = Position::from(id);
        let found = self
            .engine
            .get(&position.key(QUEUE, MessageState::Ready))
            .expect("a memory engine reads");
        let Some(record) = found else { return Err(QueueError::MessageNotFound) };
        let message = MessageRecord::decode(&record).expect("a message");
        self.turn(|rules, batch| rules.cancel(position, &message, batch))
    }

    /// Gives a ready message another priority; answers its place then.
    pub(crate) fn reprioritise(&mut self, position: Position, to: Priority) -> Position {
        let key = position.key(QUEUE, MessageState::Ready);
        let found = self.engine.get(&key).expect("a memory engine reads").expect("it is ready");
        let message = MessageRecord::decode(&found).expect("a message");
        let verb = |rules: &mut QueueState, batch: &mut _| {
            rules.reprioritise(position, &message, to, batch)
        };
        self.turn(verb).expect("no refusal");
        Position { priority: to, ..position }
    }

    /// Makes the first scheduled message ready; answers its place and its payload.
    pub(crate) fn promote_first(&mut self) -> Option<(Position, Bytes)> {
        let range = key::messages(QUEUE, MessageState::Scheduled);
        let found = self.engine.scan(&range, ScanLimit::count(1)).expect("it reads");
        let (position, message) = self.rules.records(found).expect("messages").pop()?;
        let now_ms = self.now_ms;
        self.turn(|rules, batch| rules.promote(position, &message, now_ms, batch)).expect("it may");
        Some((position, message.payload))
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
        self.rules = QueueState::load(ID, self.bounds, get).expect("what was written loads");
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
    pub(crate) fn stored(&self) -> Vec<(Position, StoredMessage)> {
        let range = key::messages(QUEUE, MessageState::Ready);
        let found = self.engine.scan(&range, ScanLimit::count(usize::MAX)).expect("it reads");
        self.rules.messages(found).expect("messages")
    }

    /// As [`TestHarness::stored`], with their states.
    pub(crate) fn stored_records(&self) -> Vec<(Position, MessageRecord)> {
        let range = key::messages(QUEUE, MessageState::Ready);
        let found = self.engine.scan(&range, ScanLimit::count(usize::MAX)).expect("it reads");
        self.rules.records(found).expect("messages")
    }

    /// The counts of the priorities in the store.
    pub(crate) fn stored_lanes(&self) -> Vec<(u32, u64)> {
        let all = ScanLimit::count(usize::MAX);
        let found = self.engine.scan(&key::priority_counts(QUEUE), all).expect("it reads");
        let priority_count = |(key, priority_count): &(Key, Bytes)| {
            let priority_count = PriorityMeta::decode(priority_count).expect("a lane");
            (key::priority_of_lane(key).expect("a lane's key").get(), priority_count.ready_count)
        };
        found.iter().map(priority_count).collect()
    }

    /// The metadata in the store.
    pub(crate) fn stored_meta(&self) -> QueueMeta {
        let found = self.engine.get(&key::queue_meta(QUEUE)).expect("it reads");
        found.map_or(QueueMeta::default(), |meta| QueueMeta::decode(&meta).expect("metadata"))
    }

    fn load(&mut self, missing: MissingData) -> Result<(), QueueError> {
        let found = match &missing {
            MissingData::PriorityCounts(priorities) => {
                let priority_count = |&priority: &Priority| {
                    let key = key::priority_count(QUEUE, priority);
                    let priority_count = self.engine.get(&key).expect("it reads");
                    priority_count.map(|priority_count| (key, priority_count))
                };
                priorities.iter().filter_map(priority_count).collect()
            }
            MissingData::AllLanes(range, limit)
            | MissingData::LaneHead(_, range, limit)
            | MissingData::Head(range, limit) => self.engine.scan(range, *limit)?,
            MissingData::TailCache(range, limit) => self.engine.scan_back(range, *limit)?,
        };
        self.scan_count += usize::from(!matches!(
            missing,
            MissingData::PriorityCounts(_) | MissingData::AllLanes(..)
        ));
        Ok(self.rules.supply(missing, found)?)
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
