//! Finding messages by what is known of them: their id, or the key they were pushed with.

use std::collections::HashMap;

use lanekeeper_storage::{
    LoadError,
    key::{self, MessageState as State},
    record::{DedupRecord, KeyOutcome, MessageRecord, MovedRecord, QueueOutboxRecord},
};

use crate::{
    queue::{
        actor::QueueActor,
        api::{
            error::QueueError,
            message::{MessageId, MessageState},
        },
        state::order::position::Position,
        verb::push::{Duplicate, PushRequest},
    },
    runtime::turn::Turn,
    time::clock,
};

impl QueueActor {
    /// A message by its id, whatever its state.
    pub(crate) fn find(
        &self,
        id: MessageId,
        turn: &Turn<'_, Self>,
    ) -> Result<(Position, MessageRecord), QueueError> {
        self.look_up(id, turn)?.ok_or(QueueError::MessageNotFound)
    }

    /// Notes which of these messages were pushed before, by their keys.
    pub(crate) fn find_duplicate(
        &self,
        messages: &mut [PushRequest],
        turn: &Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        let has_key = |message: &PushRequest| message.dedup_key.is_some();
        if self.rules.dedup_window_ms() == 0 || !messages.iter().any(has_key) {
            return Ok(());
        }
        let now_ms = clock::unix_ms(turn.now());
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (index, message) in messages.iter_mut().enumerate() {
            let Some(dedup_key) = &message.dedup_key else { continue };
            if let Some(&first) = seen.get(dedup_key) {
                message.duplicate = Some(Duplicate::Same(first));
                continue;
            }
            seen.insert(dedup_key.clone(), index);
            let Some(queue) = self.rules.queue else { continue };
            let Some(record) = turn.store().get(&key::dedup(queue, dedup_key))? else { continue };
            let record = DedupRecord::decode(&record)?;
            if record.forget_at_ms <= now_ms {
                message.stale_dedup_ms = Some(record.forget_at_ms);
                continue;
            }
            let (priority, arrival) = record.position();
            let id = MessageId { arrival, priority };
            let state = match (self.look_up(id, turn)?, record.ending) {
                (Some((_, found)), _) => MessageState::from(&found.state),
                (None, ending) => ending.map_or(MessageState::Done, MessageState::from),
            };
            message.duplicate = Some(Duplicate::Earlier(id, state));
        }
        Ok(())
    }

    /// Takes the key from a dead letter that has come back, unless it is remembered as that.
    pub(crate) fn check_key(
        &self,
        letter: &mut QueueOutboxRecord,
        turn: &Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        let Some(note) = letter.note.as_deref_mut().filter(|note| note.death.is_none()) else {
            return Ok(());
        };
        let Some(dedup_key) = note.dedup_key.as_deref() else { return Ok(()) };
        let record = turn.store().get(&key::dedup(self.rules.number(), dedup_key))?;
        let record = record.map(|record| DedupRecord::decode(&record)).transpose()?;
        let is_its = record.is_some_and(|record| {
            record.ending == Some(KeyOutcome::Dead)
                && note.forget_at_ms == Some(record.forget_at_ms)
        });
        if !is_its {
            note.dedup_key = None;
        }
        Ok(())
    }

    /// Frees the key of a message that is taken out of the queue unused: it may be pushed again.
    pub(crate) fn forget_key_of(
        &self,
        position: Position,
        message: &MessageRecord,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        let Some(dedup_key) = message.note.as_ref().and_then(|note| note.dedup_key.as_deref())
        else {
            return Ok(());
        };
        let queue = self.rules.number();
        let key = key::dedup(queue, dedup_key);
        let Some(record) = turn.store().get(&key)? else { return Ok(()) };
        let record = DedupRecord::decode(&record)?;
        let priority = message.note.as_ref().and_then(|note| note.came_with);
        // The key may be another message's by now.
        if record.position() == (priority.unwrap_or(position.priority), position.arrival) {
            turn.batch().delete(key);
            turn.batch().delete(key::dedup_due(queue, record.forget_at_ms, dedup_key));
        }
        Ok(())
    }

    fn look_up(
        &self,
        id: MessageId,
        turn: &Turn<'_, Self>,
    ) -> Result<Option<(Position, MessageRecord)>, LoadError> {
        let Some(queue) = self.rules.queue else { return Ok(None) };
        let at = |position: Position| {
            for state in State::ALL {
                if let Some(record) = turn.store().get(&position.key(queue, state))? {
                    return Ok(Some((position, MessageRecord::decode(&record)?)));
                }
            }
            Ok::<_, LoadError>(None)
        };
        match at(id.into())? {
            None => self.moved(id, turn)?.map_or(Ok(None), at),
            found => Ok(found),
        }
    }

    /// The place of a message that came with the priority in its id and has another one now.
    pub(crate) fn moved(
        &self,
        id: MessageId,
        turn: &Turn<'_, Self>,
    ) -> Result<Option<Position>, LoadError> {
        let Some(queue) = self.rules.queue else { return Ok(None) };
        let Some(moved) = turn.store().get(&key::moved(queue, id.arrival))? else {
            return Ok(None);
        };
        let MovedRecord { priority, came_with } = MovedRecord::decode(&moved)?;
        let position = Position { priority, arrival: id.arrival };
        Ok((came_with == id.priority).then_some(position))
    }
}
