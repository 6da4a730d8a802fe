//! The end of a queue: nothing of it is left, and what comes later under its id is another one.
//!
//! Message ids name a place in the order of arrival, so that a later queue of the same id must go
//! on behind it. One record for all queues says how far deleted ones have counted: it is raised, in
//! large steps, before the first of them is deleted.

use std::sync::Arc;

use bytes::Bytes;
use lanekeeper_storage::{
    Durability, Engine, Key, KeyRange, LoadError, ScanLimit, decode_state,
    key::{self, Arrival, MessageState as State, QueueNo},
    record::{ActorState, QueueEntry, QueueMeta, QueueSettings},
};
use serde::{Deserialize, Serialize};

use crate::{
    actor::virtual_actor::{Handler, Request, VirtualActor},
    queue::{
        actor::{QueueActor, WAKE},
        api::{config::QueueLimits, error::QueueError, handle::Queue},
        setting::sink::{self, SinkChange},
        state::queue_state::{MemoryBounds, QueueState},
    },
    runtime::{commit_barrier::Store, shared_state::Runtime, turn::Turn},
};

/// What one turn takes out at most.
const SLICE: ScanLimit = ScanLimit { count_max: 1_000, bytes_max: 4 << 20 };
/// Rounds of a deletion at most, if others go on pushing.
const ROUNDS_MAX: usize = 1_000;
/// The steps in which the record of arrivals is raised.
const STEP: u64 = 1 << 20;

/// How far the queues that were deleted have counted their messages. One for the whole node.
#[derive(Default, Serialize, Deserialize)]
struct Arrivals {
    floor: u64,
}

/// The key of that one.
const ARRIVALS: &str = "deleted";

impl VirtualActor for Arrivals {
    const KIND: &'static str = "queue.arrivals";
}

/// Make sure that every new queue begins behind this number; answers where it does.
struct Raise(u64);

impl Request for Raise {
    type Reply = u64;
}

impl Handler<Raise> for Arrivals {
    async fn handle(&mut self, Raise(number): Raise, turn: &mut Turn<'_, Self>) -> u64 {
        if number > self.floor {
            self.floor = (number / STEP + 1).saturating_mul(STEP);
            turn.save();
        }
        self.floor
    }
}

/// The number of the first message of a queue that is not there yet.
pub(crate) fn first_arrival(
    get: impl Fn(&Key) -> Result<Option<Bytes>, LoadError>,
) -> Result<u64, LoadError> {
    let Some(record) = get(&key::actor(Arrivals::KIND, ARRIVALS))? else { return Ok(0) };
    let state = ActorState::decode(&record)?.state;
    let arrivals: Arrivals = decode_state(&state)?;
    Ok(arrivals.floor)
}

/// Take out some messages, whatever their states; answers how many.
struct ClearSlice;

/// Delete the queue, if nothing is in it.
struct Delete {
    is_forced: bool,
    /// Where new queues begin to count.
    floor: u64,
    /// The node's durability.
    node: Durability,
    /// Only if the queue's metadata is still just this, it has no settings, and nobody waits.
    unchanged: Option<Bytes>,
}

/// What a turn of a deletion came to.
enum DeleteStep {
    /// It is gone; whether there was one.
    Gone(bool),
    /// There is more to be done first.
    More,
    /// New queues have to begin behind this number first.
    Raise(u64),
}

impl Request for ClearSlice {
    type Reply = Result<u64, QueueError>;
}

impl Handler<ClearSlice> for QueueActor {
    async fn handle(
        &mut self,
        _: ClearSlice,
        turn: &mut Turn<'_, Self>,
    ) -> Result<u64, QueueError> {
        let Some(queue) = self.rules.queue else { return Ok(0) };
        for state in State::ALL {
            let found = turn.store().scan(key::messages(queue, state), SLICE).await?;
            let found = self.rules.records(found)?;
            if found.is_empty() {
                continue;
            }
            let all = Arrival(u64::MAX);
            let count = self.decide(turn, |rules, batch| rules.purge(&found, all, batch)).await?;
            turn.batch().frees_space();
            return Ok(count);
        }
        Ok(0)
    }
}

impl Request for Delete {
    type Reply = Result<DeleteStep, QueueError>;
}

impl Handler<Delete> for QueueActor {
    async fn handle(
        &mut self,
        Delete { is_forced, floor, node, unchanged }: Delete,
        turn: &mut Turn<'_, Self>,
    ) -> Result<DeleteStep, QueueError> {
        let Some(queue) = self.rules.queue else { return Ok(DeleteStep::Gone(false)) };
        if let Some(meta) = unchanged
            && !self.is_idle_as(&meta, queue, turn)?
        {
            return Ok(DeleteStep::Gone(false));
        }
        let (messages, leased) = (self.rules.held_count(), self.rules.meta.leased_count);
        match messages {
            0 => {}
            _ if is_forced => return Ok(DeleteStep::More),
            _ => return Err(QueueError::InUse { messages, leased }),
        }
        let next = self.rules.arrival_next().0;
        if next > floor {
            return Ok(DeleteStep::Raise(next));
        }
        let level = node.max(self.rules.durability(node));
        let (rest, is_all) = rest_of(queue, turn.store().clone()).await?;
        rest.into_iter().for_each(|key| turn.lasting_at(level).delete(key));
        if !is_all {
            return Ok(DeleteStep::More);
        }
        turn.cancel_reminder(WAKE).map_err(|error| match error {
            crate::time::reminder::ReminderError::Load(error) => QueueError::Load(error),
            other => unreachable!("the name is one: {other}"),
        })?;
        let id = turn.id();
        let sink = key::sink(&id.key);
        let has_sink = turn.store().get(&sink)?.is_some();
        let lasting = turn.lasting_at(level);
        lasting.delete(key::queue_entry(&id.key));
        lasting.delete(key::queue_meta(queue));
        lasting.delete(key::queue_settings(queue));
        lasting.delete(sink);
        lasting.frees_space();
        if has_sink {
            sink::tell(turn, SinkChange::Of);
        }
        let mut rules = QueueState::unused(MemoryBounds::QUEUE);
        rules.id = std::mem::take(&mut self.rules.id);
        rules.meta.arrival_next = floor;
        self.rules = rules;
        Ok(DeleteStep::Gone(true))
    }
}

impl QueueActor {
    /// Whether this is still the metadata of a queue that is idle.
    fn is_idle_as(
        &self,
        meta: &Bytes,
        queue: QueueNo,
        turn: &Turn<'_, Self>,
    ) -> Result<bool, LoadError> {
        let store = turn.store();
        let is_same = store.get(&key::queue_meta(queue))?.is_some_and(|own| own == *meta);
        let is_bare = self.rules.settings == QueueSettings::default()
            && store.get(&key::sink(&turn.id().key))?.is_none();
        Ok(is_same && is_bare && self.waiters.is_empty() && !self.rules.has_unwritten_refusals)
    }
}

/// The id and the metadata of the queue of this entry, if it is empty, nothing is to happen in it
/// by itself, and nobody has set anything about it.
pub(crate) fn idle(
    engine: &dyn Engine,
    entry: &Key,
    record: &Bytes,
) -> Result<Option<(String, Bytes)>, LoadError> {
    let Some(id) = key::queue_id_of(entry) else { return Ok(None) };
    let queue = QueueEntry::decode(record)?.queue();
    let Some(record) = engine.get(&key::queue_meta(queue))? else { return Ok(None) };
    let meta = QueueMeta::decode(&record)?;
    let is_empty = meta.ready_count + meta.scheduled_count + meta.leased_count == 0;
    if !is_empty || meta.wake_at_ms.is_some() {
        return Ok(None);
    }
    if let Some(settings) = engine.get(&key::queue_settings(queue))?
        && QueueSettings::decode(&settings)? != QueueSettings::default()
    {
        return Ok(None);
    }
    let has_sink = engine.get(&key::sink(id))?.is_some();
    Ok((!has_sink).then(|| (id.to_owned(), record)))
}

/// Deletes a queue that is still idle with this metadata, and puts it out of memory.
pub(crate) async fn forget(
    runtime: &Arc<Runtime>,
    id: &str,
    meta: Bytes,
) -> Result<(), QueueError> {
    let queue = Queue::at(id, Arc::clone(runtime), QueueLimits::default());
    queue.end(false, Some(meta)).await?;
    queue.passivate().await;
    Ok(())
}

/// What the store has of an empty queue besides what every queue has, as far as one turn takes it:
/// keys that were to be remembered, counts of priorities, entries of what is due. And whether that
/// is all.
async fn rest_of(queue: QueueNo, store: Store) -> Result<(Vec<Key>, bool), LoadError> {
    let mut rest = Vec::new();
    let ranges: [KeyRange; 3] =
        [key::dedup_dues(queue), key::priority_counts(queue), key::dues(queue)];
    for range in ranges {
        let found = store.scan(range, ScanLimit::count(SLICE.count_max + 1)).await?;
        for (entry, _) in found {
            if let Some((_, dedup_key)) = key::dedup_due_of(&entry) {
                rest.push(key::dedup(queue, dedup_key));
            }
            rest.push(entry);
            if rest.len() >= SLICE.count_max {
                return Ok((rest, false));
            }
        }
    }
    Ok((rest, true))
}

impl Queue {
    /// Deletes the queue if no message is in it: its settings, its sink, its totals and the keys it
    /// remembered are gone, and it is not listed any more. Answers whether there was one. What is
    /// pushed later makes another queue of this id, whose message ids and leases are new ones. Its
    /// dead-letter queue stays.
    ///
    /// Dropping the future leaves the queue as it was, or deleted; of what it remembers some may be
    /// forgotten.
    ///
    /// # Errors
    /// [`QueueError::InUse`] while messages are in it, in whatever state.
    pub async fn delete(&self) -> Result<bool, QueueError> {
        self.end(false, None).await
    }

    /// As [`Queue::delete`], and takes out every message first, those that are leased too: who
    /// holds a lease is told that it is not there when it settles it.
    ///
    /// It goes on in slices of 1,000 messages, as [`Queue::purge`] does.
    ///
    /// # Errors
    /// [`QueueError::InUse`] if others go on pushing faster than it takes out.
    pub async fn delete_with_messages(&self) -> Result<bool, QueueError> {
        self.end(true, None).await
    }

    async fn end(&self, is_forced: bool, unchanged: Option<Bytes>) -> Result<bool, QueueError> {
        let node = self.runtime().options.durability;
        let (mut floor, mut rounds) = (0, 0);
        while rounds < ROUNDS_MAX {
            while is_forced && self.ask(ClearSlice).await?? > 0 {}
            let unchanged = unchanged.clone();
            match self.ask(Delete { is_forced, floor, node, unchanged }).await?? {
                DeleteStep::Gone(was_there) => return Ok(was_there),
                // Somebody may have pushed meanwhile; there is an end to all else.
                DeleteStep::More => rounds += usize::from(is_forced),
                DeleteStep::Raise(number) => {
                    floor = self.runtime().actor::<Arrivals>(ARRIVALS).ask(Raise(number)).await?;
                }
            }
        }
        let stats = self.stats().await?;
        let messages = stats.ready + stats.scheduled + stats.leased;
        Err(QueueError::InUse { messages, leased: stats.leased })
    }
}
