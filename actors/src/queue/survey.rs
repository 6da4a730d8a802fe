//! Looking at a queue without changing it.

use std::time::{Duration, SystemTime};

use lanekeeper_storage::{
    Durability, Engine, LoadError, ScanLimit,
    key::{self, MessageState as State, Priority, QueueNo},
    record::LaneMeta,
};

use super::{
    Message, MessageId, MessageState, Page, Paused, PriorityStats, QueueConfig, QueueError,
    QueueStats, actor::QueueActor, place::Place, window::Held,
};
use crate::{Handler, Request, Turn, clock::from_unix_ms};

/// Priorities that statistics name.
const PRIORITIES_MAX: usize = 1_000;

/// A page of the queue in pop order.
pub(super) struct PeekPage {
    pub(super) depth: usize,
    pub(super) priority: Option<Priority>,
    pub(super) after: Option<MessageId>,
}

/// One message by its id.
pub(super) struct Find(pub(super) MessageId);

/// The configuration in force.
pub(super) struct ReadConfig;

/// The queue in numbers.
pub(super) struct ReadStats {
    /// The node's durability.
    pub(super) node: Durability,
    /// The time between two fsyncs of relaxed commits.
    pub(super) flush_interval: Duration,
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
            range = range.after(&Place::from(after).key(queue));
        }
        let found = turn.store().scan(range, ScanLimit::count(depth)).await?;
        let found = self.rules.messages(found)?.into_iter();
        let messages: Vec<_> = found.map(|(place, held)| held.into_message(place)).collect();
        let is_full = messages.len() == depth;
        let next = messages.last().filter(|_| is_full).map(|last| last.id);
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
        let held = self.find(id, turn)?;
        Ok((held.into_message(id.into()), MessageState::Ready))
    }
}

impl Request for ReadConfig {
    type Reply = QueueConfig;
}

impl Handler<ReadConfig> for QueueActor {
    async fn handle(&mut self, _: ReadConfig, _: &mut Turn<'_, Self>) -> QueueConfig {
        self.rules.settings.into()
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
        let queue = self.rules.queue.filter(|_| self.rules.meta.ready_count > 0);
        let (by_priority, oldest) = match queue {
            Some(queue) => turn.store().read(move |engine| survey(engine, queue)).await?,
            None => (Vec::new(), None),
        };
        let age = |oldest| now.duration_since(oldest).unwrap_or_default();
        let meta = &self.rules.meta;
        let durability = self.rules.durability(node);
        Ok(QueueStats {
            ready: meta.ready_count,
            by_priority,
            bytes: meta.ready_bytes,
            oldest_ready_age: oldest.map(age),
            pushed: meta.pushed_total,
            popped: meta.popped_total,
            rejected: meta.rejected_total,
            evicted: meta.evicted_total,
            cancelled: meta.cancelled_total,
            purged: meta.purged_total,
            paused: Paused::from(self.rules.settings),
            durability,
            loss_window: match durability {
                Durability::Durable => Some(Duration::ZERO),
                Durability::Relaxed => Some(flush_interval),
                Durability::Memory => None,
            },
        })
    }
}

/// The first priorities in use, and when the oldest of their messages was pushed. Inside a priority
/// the first message is the oldest, so that one read of each is enough.
fn survey(
    engine: &dyn Engine,
    queue: QueueNo,
) -> Result<(Vec<PriorityStats>, Option<SystemTime>), LoadError> {
    let mut by_priority = Vec::new();
    let mut oldest_ms = None;
    for (key, lane) in engine.scan(&key::lanes(queue), ScanLimit::count(PRIORITIES_MAX))? {
        let ready = LaneMeta::decode(&lane)?.ready_count;
        let Some(priority) = key::priority_of_lane(&key) else { continue };
        by_priority.push(PriorityStats { priority: priority.get(), ready });
        let first = key::messages_of(queue, State::Ready, priority);
        for (_, record) in engine.scan(&first, ScanLimit::count(1))? {
            let pushed_at_ms = Held::decode(&record)?.pushed_at_ms;
            oldest_ms =
                Some(oldest_ms.map_or(pushed_at_ms, |oldest: u64| oldest.min(pushed_at_ms)));
        }
    }
    Ok((by_priority, oldest_ms.map(from_unix_ms)))
}
