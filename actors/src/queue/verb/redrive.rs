//! Dead letters on their way back.

use lanekeeper_storage::{
    ScanLimit,
    key::{self, MessageState as State},
    record::MessageRecord,
};

use crate::{
    actor::virtual_actor::{Handler, Request},
    outbox::delivery::OutboxId,
    queue::{
        actor::QueueActor,
        api::{
            error::QueueError,
            lease_handle::{LEASES_MAX, Redrive},
            message::MessageId,
        },
        state::{
            order::position::{Position, SliceCursor},
            queue_state::QueueState,
        },
    },
    runtime::turn::Turn,
    time::clock,
};

/// Dead letters that one turn hands back at most.
const SLICE: ScanLimit = ScanLimit { count_max: 100, bytes_max: 4 << 20 };

/// Hand a slice of dead letters back.
pub(crate) struct TakeDeadLetters {
    /// The queue they go to.
    origin: String,
    which: Left,
}

/// What is left to hand back.
enum Left {
    /// So many in pop order.
    First(u64, Option<SliceCursor>),
    Ids(Vec<MessageId>),
}

/// What a slice came to.
pub(crate) struct TakenDeadLetters {
    pub(crate) count: u64,
    /// The last letter.
    pub(crate) letter: Option<OutboxId>,
    /// What is left, if anything is.
    pub(crate) next: Option<TakeDeadLetters>,
}

impl TakeDeadLetters {
    /// The first slice.
    pub(crate) fn begin(origin: &str, which: Redrive) -> Result<Self, QueueError> {
        let which = match which {
            Redrive::All => Left::First(u64::MAX, None),
            Redrive::First(0) => {
                return Err(QueueError::InvalidDepth { depth: 0, depth_max: usize::MAX });
            }
            Redrive::First(count) => Left::First(count as u64, None),
            Redrive::Ids(ids) if (1..=LEASES_MAX).contains(&ids.len()) => Left::Ids(ids),
            Redrive::Ids(ids) => {
                let (count, count_max) = (ids.len(), LEASES_MAX);
                return Err(QueueError::InvalidItems { count, count_max });
            }
        };
        Ok(Self { origin: origin.to_owned(), which })
    }
}

impl Request for TakeDeadLetters {
    type Reply = Result<TakenDeadLetters, QueueError>;
}

impl Handler<TakeDeadLetters> for QueueActor {
    async fn handle(
        &mut self,
        TakeDeadLetters { origin, which }: TakeDeadLetters,
        turn: &mut Turn<'_, Self>,
    ) -> Result<TakenDeadLetters, QueueError> {
        let (messages, left) = match which {
            Left::First(count, cursor) => self.first_ready(count, cursor, turn).await?,
            Left::Ids(mut ids) => {
                let rest = ids.split_off(ids.len().min(SLICE.count_max));
                (self.ready_ones(&ids, turn)?, (!rest.is_empty()).then_some(Left::Ids(rest)))
            }
        };
        let now_ms = clock::unix_ms(turn.now());
        let verb = |rules: &mut QueueState, batch: &mut _| rules.redrive(&messages, now_ms, batch);
        let letters = self.decide(turn, verb).await?;
        for content in letters {
            turn.send::<Self>(&origin, content);
        }
        let letter = turn.last_letter();
        let next = left.map(|which| TakeDeadLetters { origin, which });
        Ok(TakenDeadLetters { count: messages.len() as u64, letter, next })
    }
}

type Slice = (Vec<(Position, MessageRecord)>, Option<Left>);

impl QueueActor {
    async fn first_ready(
        &self,
        count: u64,
        cursor: Option<SliceCursor>,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Slice, QueueError> {
        let Some(queue) = self.rules.queue else { return Ok((Vec::new(), None)) };
        // What arrives meanwhile stays: else a letter that dies at once would go round for ever.
        let end = cursor.map_or(self.rules.arrival_next(), |cursor| cursor.end);
        let mut range = key::messages(queue, State::Ready);
        if let Some(cursor) = cursor {
            range = range.after(&cursor.after.key(queue, State::Ready));
        }
        let count_max = SLICE.count_max.min(usize::try_from(count).unwrap_or(usize::MAX));
        let store = turn.store().clone();
        let mut messages =
            self.rules.records(store.scan(range, ScanLimit { count_max, ..SLICE }).await?)?;
        let Some(&(after, _)) = messages.last() else { return Ok((messages, None)) };
        messages.retain(|(position, _)| position.arrival < end);
        let left = count - messages.len() as u64;
        let cursor = Some(SliceCursor { end, after });
        Ok((messages, (left > 0).then_some(Left::First(left, cursor))))
    }

    fn ready_ones(
        &self,
        ids: &[MessageId],
        turn: &Turn<'_, Self>,
    ) -> Result<Vec<(Position, MessageRecord)>, QueueError> {
        let mut messages: Vec<(Position, MessageRecord)> = Vec::new();
        for &id in ids {
            match self.find(id, turn) {
                Ok((position, message)) if message.state.of_key() != State::Leased => {
                    if messages.iter().all(|(known, _)| *known != position) {
                        messages.push((position, message));
                    }
                }
                Ok(_) | Err(QueueError::MessageNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(messages)
    }
}
