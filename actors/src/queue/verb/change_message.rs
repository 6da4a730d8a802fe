//! Changing a message that waits: when it is ready, and how urgent it is.

use lanekeeper_storage::{
    Batch,
    key::{MessageState as State, Priority},
    record::{MessageRecord, MessageStateRecord as StateRecord},
};

use crate::{
    actor::virtual_actor::{Handler, Request},
    queue::{
        actor::QueueActor,
        api::{
            error::QueueError,
            message::{Message, MessageId, MessageState},
        },
        state::{
            message::{stored_message::StoredMessage, transition::WaitState},
            order::position::Position,
            queue_state::{Blocked, QueueState},
        },
    },
    runtime::turn::Turn,
    time::clock,
};

/// Make a scheduled message ready now.
pub(crate) struct Promote(pub(crate) MessageId);

/// Give a message another priority.
pub(crate) struct Reprioritise {
    pub(crate) id: MessageId,
    pub(crate) priority: Priority,
}

impl QueueState {
    /// A scheduled message is ready now, at its own place.
    pub(crate) fn promote(
        &mut self,
        position: Position,
        message: &MessageRecord,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), Blocked> {
        let unknown = self.priority_counts.unknown(std::iter::once(position.priority));
        self.know_lanes(unknown)?;
        self.leave(position, message, batch);
        let stored = StoredMessage::of(message.clone());
        if stored.is_expired(now_ms) {
            self.expire((position, stored), now_ms, batch);
        } else {
            self.enter_ready(position, stored, batch);
        }
        Ok(())
    }

    /// A message that nobody has leased stands among those of another priority from now on, by its
    /// arrival. It keeps its id.
    pub(crate) fn reprioritise(
        &mut self,
        position: Position,
        message: &MessageRecord,
        priority: Priority,
        batch: &mut Batch,
    ) -> Result<(), Blocked> {
        let unknown = self.priority_counts.unknown([position.priority, priority].into_iter());
        self.know_lanes(unknown)?;
        let to = Position { priority, ..position };
        self.leave(position, message, batch);
        let mut stored = StoredMessage::of(message.clone());
        let mut note = stored.note.take().unwrap_or_default();
        // Noted as long as the message is there, so that whatever once led to it still does.
        let came_with = note.came_with.unwrap_or(position.priority);
        note.came_with = Some(came_with);
        self.note_move(to, came_with, batch);
        stored.note = Some(note);
        match message.state {
            StateRecord::Scheduled { ready_at_ms, since_ms, is_holding } => {
                self.enter_scheduled(
                    to,
                    stored,
                    WaitState { ready_at_ms, since_ms, is_holding },
                    batch,
                );
            }
            _ => self.enter_ready(to, stored, batch),
        }
        Ok(())
    }
}

impl Request for Promote {
    /// Whether it was scheduled.
    type Reply = Result<bool, QueueError>;
}

impl Handler<Promote> for QueueActor {
    async fn handle(
        &mut self,
        Promote(id): Promote,
        turn: &mut Turn<'_, Self>,
    ) -> Result<bool, QueueError> {
        let (position, message) = self.find(id, turn)?;
        match message.state.of_key() {
            State::Leased => return Err(QueueError::Leased),
            State::Ready => return Ok(false),
            State::Scheduled => {}
        }
        let now_ms = clock::unix_ms(turn.now());
        let verb = |rules: &mut QueueState, batch: &mut Batch| {
            rules.promote(position, &message, now_ms, batch)
        };
        self.decide(turn, verb).await?;
        Ok(true)
    }
}

impl Request for Reprioritise {
    type Reply = Result<(Message, MessageState), QueueError>;
}

impl Handler<Reprioritise> for QueueActor {
    async fn handle(
        &mut self,
        Reprioritise { id, priority }: Reprioritise,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(Message, MessageState), QueueError> {
        let (position, message) = self.find(id, turn)?;
        if message.state.of_key() == State::Leased {
            return Err(QueueError::Leased);
        }
        let state = MessageState::from(&message.state);
        if position.priority != priority {
            let verb = |rules: &mut QueueState, batch: &mut Batch| {
                rules.reprioritise(position, &message, priority, batch)
            };
            self.decide(turn, verb).await?;
        }
        let mut changed = StoredMessage::of(message).into_message(position);
        changed.priority = priority.get();
        Ok((changed, state))
    }
}
