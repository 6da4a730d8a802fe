//! What a queue is asked, and how it answers.

use lanekeeper_storage::{
    Durability, ScanLimit,
    key::{self, Arrival, MessageState as State, Priority},
};

use super::{
    Message, MessageId, Paused, QueueConfig, QueueError,
    actor::{QueueActor, Taken, Waiting},
    place::Place,
    push::Incoming,
    window::Held,
};
use crate::{Handler, Request, Turn};

/// Messages that one turn of a purge takes out at most, and bytes it reads for that.
const PURGE_LIMIT: ScanLimit = ScanLimit { count_max: 1_000, bytes_max: 4 << 20 };

/// Accept one message.
pub(super) struct PushOne(pub(super) Incoming);

/// Accept all of these or none.
pub(super) struct PushAll(pub(super) Vec<Incoming>);

/// Take messages.
pub(super) struct PopSome {
    pub(super) depth: usize,
    /// Whether to wait in line if there are none.
    pub(super) may_wait: bool,
}

/// What a pop comes to.
pub(super) enum Popped {
    Now(Vec<Message>),
    Later(Waiting),
}

/// Take one message out, whatever its place.
pub(super) struct Cancel(pub(super) MessageId);

/// Take out a slice of what is to be purged.
pub(super) struct PurgeSlice {
    /// Only this priority.
    pub(super) priority: Option<Priority>,
    /// How far the purge is; `None` if it begins.
    pub(super) cursor: Option<PurgeCursor>,
}

/// How far a purge is.
#[derive(Clone, Copy)]
pub(super) struct PurgeCursor {
    /// What arrived from here on stays: it was pushed after the purge began.
    end: Arrival,
    /// The last place looked at.
    after: Place,
}

/// Change what the queue refuses, and how durable it is.
pub(super) struct Configure {
    pub(super) config: QueueConfig,
    /// The node's durability.
    pub(super) node: Durability,
}

/// Pause (or resume) the verbs that are `true`.
pub(super) struct Pause {
    pub(super) verbs: Paused,
    pub(super) is_resume: bool,
    /// The node's durability.
    pub(super) node: Durability,
}

impl Request for PushOne {
    type Reply = Result<MessageId, QueueError>;
}

impl Handler<PushOne> for QueueActor {
    async fn handle(
        &mut self,
        PushOne(message): PushOne,
        turn: &mut Turn<'_, Self>,
    ) -> Result<MessageId, QueueError> {
        let priority = message.priority;
        let arrival = self.push(std::slice::from_ref(&message), turn).await?;
        Ok(MessageId { arrival, priority })
    }
}

impl Request for PushAll {
    type Reply = Result<Vec<MessageId>, QueueError>;
}

impl Handler<PushAll> for QueueActor {
    async fn handle(
        &mut self,
        PushAll(messages): PushAll,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Vec<MessageId>, QueueError> {
        let first = self.push(&messages, turn).await?;
        let arrivals = (first.0..).map(Arrival);
        let id =
            |(message, arrival): (Incoming, _)| MessageId { arrival, priority: message.priority };
        Ok(messages.into_iter().zip(arrivals).map(id).collect())
    }
}

impl Request for PopSome {
    type Reply = Result<Popped, QueueError>;
}

impl Handler<PopSome> for QueueActor {
    async fn handle(
        &mut self,
        PopSome { depth, may_wait }: PopSome,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Popped, QueueError> {
        let messages: Taken = self.pop(depth, turn).await;
        let messages = messages?;
        if messages.is_empty() && may_wait {
            return self.wait(depth, turn).map(Popped::Later);
        }
        Ok(Popped::Now(messages))
    }
}

impl Request for Cancel {
    type Reply = Result<(), QueueError>;
}

impl Handler<Cancel> for QueueActor {
    async fn handle(
        &mut self,
        Cancel(id): Cancel,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), QueueError> {
        let message = self.find(id, turn)?;
        let place = Place::from(id);
        self.decide(turn, |rules, batch| rules.cancel(place, &message, batch)).await?;
        turn.batch().frees_space();
        self.settle(turn);
        Ok(())
    }
}

impl QueueActor {
    /// A message by its id.
    pub(super) fn find(&self, id: MessageId, turn: &Turn<'_, Self>) -> Result<Held, QueueError> {
        let queue = self.rules.queue.ok_or(QueueError::MessageNotFound)?;
        let record = turn.store().get(&Place::from(id).key(queue))?;
        Ok(Held::decode(&record.ok_or(QueueError::MessageNotFound)?)?)
    }
}

impl Request for PurgeSlice {
    /// How many were taken out, and how far the purge is if it is not over.
    type Reply = Result<(u64, Option<PurgeCursor>), QueueError>;
}

impl Handler<PurgeSlice> for QueueActor {
    async fn handle(
        &mut self,
        PurgeSlice { priority, cursor }: PurgeSlice,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(u64, Option<PurgeCursor>), QueueError> {
        let Some(queue) = self.rules.queue.filter(|_| self.rules.meta.ready_count > 0) else {
            return Ok((0, None));
        };
        let mut range = match priority {
            Some(priority) => key::messages_of(queue, State::Ready, priority),
            None => key::messages(queue, State::Ready),
        };
        let end = cursor.map_or(self.rules.arrival_next(), |cursor| cursor.end);
        if let Some(cursor) = cursor {
            range = range.after(&cursor.after.key(queue));
        }
        let found = turn.store().scan(range, PURGE_LIMIT).await?;
        let found = self.rules.messages(found)?;
        let Some(&(last, _)) = found.last() else { return Ok((0, None)) };
        let count = self.decide(turn, |rules, batch| rules.purge(&found, end, batch)).await?;
        turn.batch().frees_space();
        self.settle(turn);
        // Behind a message that stays, all of its priority stay.
        let after = if last.arrival < end { last } else { Place::end_of(last.priority) };
        Ok((count, Some(PurgeCursor { end, after })))
    }
}

impl Request for Configure {
    type Reply = Result<QueueConfig, QueueError>;
}

impl Handler<Configure> for QueueActor {
    async fn handle(
        &mut self,
        Configure { config, node }: Configure,
        turn: &mut Turn<'_, Self>,
    ) -> Result<QueueConfig, QueueError> {
        let before = self.rules.durability(node);
        if self.rules.configure(config, node)? {
            self.keep_settings(before.max(node), node, turn);
        }
        Ok(self.rules.settings.into())
    }
}

impl Request for Pause {
    type Reply = Paused;
}

impl Handler<Pause> for QueueActor {
    async fn handle(
        &mut self,
        Pause { verbs, is_resume, node }: Pause,
        turn: &mut Turn<'_, Self>,
    ) -> Paused {
        let is_changed = if is_resume { self.rules.resume(verbs) } else { self.rules.pause(verbs) };
        if is_changed {
            self.keep_settings(node, node, turn);
        }
        if self.rules.settings.is_pop_paused {
            self.turn_away(turn);
        }
        self.rules.settings.into()
    }
}

impl QueueActor {
    /// Ends a turn that changed settings: they survive what the node survives, also those of a
    /// queue that keeps its messages in memory.
    fn keep_settings(&mut self, level: Durability, node: Durability, turn: &mut Turn<'_, Self>) {
        self.create(turn);
        self.rules.settle(turn.batch());
        turn.durability(level.max(self.rules.durability(node)));
    }
}
