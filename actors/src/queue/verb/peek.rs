//! Looking at a queue without changing it.

use std::time::Duration;

use lanekeeper_storage::{
    Durability, Engine, LoadError, ScanLimit,
    key::{self, MessageState as State, Priority, QueueNo},
    record::{self, MessageRecord, PriorityMeta},
};

use crate::{
    actor::virtual_actor::{Handler, Request},
    queue::{
        actor::{QueueActor, give_bytes_max},
        api::{
            config::{Paused, QueueConfig},
            error::QueueError,
            message::{Message, MessageId, MessageState, Page},
            stats::{PriorityStats, QueueStats},
        },
        listing::counts::count_dead,
        state::message::stored_message::StoredMessage,
    },
    runtime::{
        memory_budget::{COUNTED_BYTES, MemoryBudget, MemoryUse},
        turn::Turn,
    },
    time::clock::from_unix_ms,
};

/// Priorities that statistics name.
const PRIORITIES_MAX: usize = 1_000;
/// Leases among which the oldest is looked for.
const LEASES_MAX: usize = 1_000;

/// A page of the queue in pop order.
pub(crate) struct PeekPage {
    pub(crate) depth: usize,
    pub(crate) priority: Option<Priority>,
    pub(crate) after: Option<MessageId>,
}

/// One message by its id.
pub(crate) struct Find(pub(crate) MessageId);

/// The configuration in force.
pub(crate) struct ReadConfig;

/// The queue in numbers.
pub(crate) struct ReadStats {
    /// The node's durability.
    pub(crate) node: Durability,
    /// The time between two fsyncs of relaxed commits.
    pub(crate) flush_interval: Duration,
}

impl Request for PeekPage {
    type Reply = Result<Page, QueueError>;
}

impl Handler<PeekPage> for QueueActor {
    async fn handle(
        &mut self,
        PeekPage { depth, priority, after }: PeekPage,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Page, QueueError> {
        let Some(queue) = self.rules.queue else { return Ok(Page::default()) };
        let mut range = match priority {
            Some(priority) => key::messages_of(queue, State::Ready, priority),
            None => key::messages(queue, State::Ready),
        };
        if let Some(after) = after {
            let after = self.moved(after, turn)?.unwrap_or_else(|| after.into());
            range = range.after(&after.key(queue, State::Ready));
        }
        let memory = turn.store().memory().clone();
        let bytes_max = page_bytes_max(&memory)?;
        let limit = ScanLimit { count_max: depth, bytes_max };
        let found = turn.store().scan(range.clone(), limit).await?;
        let bytes: usize = found.iter().map(|(_, record)| record.len()).sum();
        afford_page(&memory, bytes, bytes_max)?;
        // A page may have ended for want of memory: then there is a next one too.
        let is_cut = match found.last() {
            Some((last, _)) if found.len() < depth && bytes_max != usize::MAX => {
                let next = turn.store().scan(range.after(last), ScanLimit::count(1)).await?;
                !next.is_empty()
            }
            _ => false,
        };
        let found = self.rules.messages(found)?;
        let is_full = found.len() == depth || is_cut;
        // By its place, which is not what the id of a message says that was moved.
        let next = found.last().filter(|_| is_full).map(|&(position, _)| position.into());
        let found = found.into_iter();
        let messages: Vec<_> =
            found.map(|(position, stored)| stored.into_message(position)).collect();
        Ok(Page { messages, next })
    }
}

impl Request for Find {
    type Reply = Result<(Message, MessageState), QueueError>;
}

impl Handler<Find> for QueueActor {
    async fn handle(
        &mut self,
        Find(id): Find,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(Message, MessageState), QueueError> {
        let (position, found) = self.find(id, turn)?;
        let state = MessageState::from(&found.state);
        Ok((StoredMessage::of(found).into_message(position), state))
    }
}

impl Request for ReadConfig {
    type Reply = QueueConfig;
}

impl Handler<ReadConfig> for QueueActor {
    async fn handle(&mut self, _: ReadConfig, _: &mut Turn<'_, Self>) -> QueueConfig {
        QueueConfig::from(&self.rules.settings)
    }
}

impl Request for ReadStats {
    type Reply = Result<QueueStats, QueueError>;
}

impl Handler<ReadStats> for QueueActor {
    async fn handle(
        &mut self,
        ReadStats { node, flush_interval }: ReadStats,
        turn: &mut Turn<'_, Self>,
    ) -> Result<QueueStats, QueueError> {
        let now = turn.now();
        let (queue, id) = (self.rules.queue, turn.id());
        let found = turn.store().read(move |engine| {
            let dead_count = count_dead(engine, &id.key)?;
            let found = queue.map(|queue| survey(engine, queue)).transpose()?;
            Ok(QueueSurvey { dead_count, ..found.unwrap_or_default() })
        });
        let found = found.await?;
        let age = |oldest_ms| now.duration_since(from_unix_ms(oldest_ms)).unwrap_or_default();
        let meta = &self.rules.meta;
        let durability = self.rules.durability(node);
        Ok(QueueStats {
            ready: meta.ready_count,
            scheduled: meta.scheduled_count,
            leased: meta.leased_count,
            dead: found.dead_count,
            by_priority: found.by_priority,
            bytes: meta.bytes,
            oldest_ready_age: found.oldest_ready_ms.map(age),
            oldest_leased_age: found.oldest_leased_ms.map(age),
            totals: meta.totals,
            paused: Paused::from(&self.rules.settings),
            durability,
            loss_window: match durability {
                Durability::Durable => Some(Duration::ZERO),
                Durability::Relaxed => Some(flush_interval),
                Durability::Memory => None,
            },
        })
    }
}

/// Bytes of records that a page may hold, or a refusal if there is no memory for any.
pub(crate) fn page_bytes_max(memory: &MemoryBudget) -> Result<usize, QueueError> {
    match give_bytes_max(memory) / 2 {
        0 => Err(QueueError::NoMemory(memory.refuse(MemoryUse::Answer, 1))),
        bytes_max => Ok(bytes_max),
    }
}

/// Refuses a page of one message that is larger than what is left: the first is read in any case.
pub(crate) fn afford_page(
    memory: &MemoryBudget,
    bytes: usize,
    bytes_max: usize,
) -> Result<(), QueueError> {
    if bytes > COUNTED_BYTES && bytes > bytes_max.saturating_mul(4) {
        return Err(QueueError::NoMemory(memory.refuse(MemoryUse::Answer, bytes as u64)));
    }
    Ok(())
}

/// What is read of the store for the statistics.
#[derive(Debug, Default)]
struct QueueSurvey {
    by_priority: Vec<PriorityStats>,
    oldest_ready_ms: Option<u64>,
    oldest_leased_ms: Option<u64>,
    dead_count: u64,
}

/// The first priorities in use, when the oldest of their messages was pushed, and when the oldest
/// of the first leases began. Inside a priority the first message is the oldest, so that one read
/// of each is enough.
fn survey(engine: &dyn Engine, queue: QueueNo) -> Result<QueueSurvey, LoadError> {
    let mut found = QueueSurvey::default();
    let oldest = |oldest_ms: &mut Option<u64>, ms: u64| {
        *oldest_ms = Some(oldest_ms.map_or(ms, |oldest_ms| oldest_ms.min(ms)));
    };
    for (key, priority_count) in
        engine.scan(&key::priority_counts(queue), ScanLimit::count(PRIORITIES_MAX))?
    {
        let ready = PriorityMeta::decode(&priority_count)?.ready_count;
        let Some(priority) = key::priority_of_lane(&key) else { continue };
        found.by_priority.push(PriorityStats { priority: priority.get(), ready });
        let first = key::messages_of(queue, State::Ready, priority);
        for (_, record) in engine.scan(&first, ScanLimit::count(1))? {
            oldest(&mut found.oldest_ready_ms, MessageRecord::decode(&record)?.pushed_at_ms);
        }
    }
    let leased = key::messages(queue, State::Leased);
    for (_, record) in engine.scan(&leased, ScanLimit::count(LEASES_MAX))? {
        if let record::MessageStateRecord::Leased(lease) = MessageRecord::decode(&record)?.state {
            oldest(&mut found.oldest_leased_ms, lease.leased_at_ms);
        }
    }
    Ok(found)
}
