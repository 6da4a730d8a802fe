//! What a queue is asked, and how it answers.

use lanekeeper_storage::{
    Durability, ScanLimit,
    key::{self, Arrival, MessageState as State, Priority},
};

use crate::{
    actor::{
        caller::CallerRef,
        virtual_actor::{Handler, Request},
    },
    queue::{
        actor::{QueueActor, TakenMessages, WaitingReply},
        api::{
            config::{Paused, QueueConfig},
            error::QueueError,
            lease_token::LeaseOptions,
            message::{Message, MessageId, MessageState, Pushed},
        },
        setting::sink::{self, SinkChange},
        state::{
            order::position::{Position, SliceCursor},
            undelivered::UndeliveredLeases,
        },
        verb::{
            push::{Duplicate, PushRequest},
            serve_waiters::Waiter,
        },
    },
    runtime::turn::Turn,
};

/// Messages that one turn of a purge takes out at most, and bytes it reads for that.
const PURGE_LIMIT: ScanLimit = ScanLimit { count_max: 1_000, bytes_max: 4 << 20 };

/// Accept one message.
pub(crate) struct PushOne(pub(crate) PushRequest);

/// Accept all of these or none.
pub(crate) struct PushAll(pub(crate) Vec<PushRequest>);

/// Take messages.
pub(crate) struct PopSome {
    pub(crate) depth: usize,
    /// For whom, if it waits.
    pub(crate) caller: CallerRef,
    /// Whether to wait in line if there are none.
    pub(crate) may_wait: bool,
}

/// What taking comes to.
pub(crate) enum Delivered<T, W> {
    Now(T),
    Later(WaitingReply<W>),
}

/// Lease messages.
pub(crate) struct LeaseSome {
    pub(crate) options: LeaseOptions,
    /// Whether to wait in line if there are none.
    pub(crate) may_wait: bool,
}

/// Take one message out, whatever its place.
pub(crate) struct Cancel(pub(crate) MessageId);

/// Take out a slice of what is to be purged.
pub(crate) struct PurgeSlice {
    /// Those that are ready, or those that are scheduled.
    pub(crate) state: State,
    /// Only this priority.
    pub(crate) priority: Option<Priority>,
    /// How far the purge is; `None` if it begins.
    pub(crate) cursor: Option<SliceCursor>,
}

/// Change what the queue refuses, and how durable it is.
pub(crate) struct Configure {
    pub(crate) config: QueueConfig,
    /// The node's durability.
    pub(crate) node: Durability,
}

/// Pause (or resume) the verbs that are `true`.
pub(crate) struct Pause {
    pub(crate) verbs: Paused,
    pub(crate) is_resume: bool,
    /// The node's durability.
    pub(crate) node: Durability,
}

impl Request for PushOne {
    type Reply = Result<Pushed, QueueError>;
}

impl Handler<PushOne> for QueueActor {
    async fn handle(
        &mut self,
        PushOne(mut message): PushOne,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Pushed, QueueError> {
        self.find_duplicate(std::slice::from_mut(&mut message), turn)?;
        let arrival = self.push(std::slice::from_ref(&message), turn).await?;
        Ok(match message.duplicate {
            Some(Duplicate::Earlier(id, state)) => Pushed { id, duplicate: Some(state) },
            _ => {
                let id = MessageId { arrival, priority: message.priority };
                Pushed { id, duplicate: None }
            }
        })
    }
}

impl Request for PushAll {
    type Reply = Result<Vec<Pushed>, QueueError>;
}

impl Handler<PushAll> for QueueActor {
    async fn handle(
        &mut self,
        PushAll(mut messages): PushAll,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Vec<Pushed>, QueueError> {
        self.find_duplicate(&mut messages, turn)?;
        let first = self.push(&messages, turn).await?;
        let mut arrivals = (first.0..).map(Arrival);
        let mut pushed: Vec<Pushed> = Vec::with_capacity(messages.len());
        for message in &messages {
            pushed.push(match message.duplicate {
                Some(Duplicate::Earlier(id, state)) => Pushed { id, duplicate: Some(state) },
                Some(Duplicate::Same(index)) => {
                    let Pushed { id, duplicate } = pushed[index];
                    let state = MessageState::waiting(messages[index].delay_ms);
                    Pushed { id, duplicate: Some(duplicate.unwrap_or(state)) }
                }
                None => {
                    let arrival = arrivals.next().expect("there is no end of numbers");
                    let id = MessageId { arrival, priority: message.priority };
                    Pushed { id, duplicate: None }
                }
            });
        }
        Ok(pushed)
    }
}

impl Request for PopSome {
    type Reply = Result<Delivered<Vec<Message>, TakenMessages>, QueueError>;
}

impl Handler<PopSome> for QueueActor {
    async fn handle(
        &mut self,
        PopSome { depth, caller, may_wait }: PopSome,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Delivered<Vec<Message>, TakenMessages>, QueueError> {
        self.serve_before(turn).await;
        let messages: TakenMessages = self.pop(depth, turn).await;
        match messages {
            Ok(messages) if messages.is_empty() && may_wait => {}
            Err(QueueError::Locked { .. } | QueueError::RateLimited { .. }) if may_wait => {}
            messages => return messages.map(Delivered::Now),
        }
        self.wait(depth, turn, |promise| Waiter::Pop(caller, promise)).map(Delivered::Later)
    }
}

impl Request for LeaseSome {
    type Reply =
        Result<Delivered<UndeliveredLeases, Result<UndeliveredLeases, QueueError>>, QueueError>;
}

impl Handler<LeaseSome> for QueueActor {
    async fn handle(
        &mut self,
        LeaseSome { options, may_wait }: LeaseSome,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Delivered<UndeliveredLeases, Result<UndeliveredLeases, QueueError>>, QueueError>
    {
        self.serve_before(turn).await;
        match self.lease(&options, turn).await {
            Ok(undelivered) if undelivered.is_empty() && may_wait => {}
            Err(QueueError::Locked { .. } | QueueError::RateLimited { .. }) if may_wait => {}
            Err(QueueError::Paused { .. }) if may_wait && options.waits_while_paused => {}
            Err(QueueError::NoPermit { .. }) if may_wait => self.stand_in_line(&options, turn),
            undelivered => return undelivered.map(Delivered::Now),
        }
        let depth = options.depth;
        self.wait(depth, turn, |promise| Waiter::Lease(options, promise)).map(Delivered::Later)
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
        let (position, message) = self.find(id, turn)?;
        if message.state.of_key() == State::Leased {
            return Err(QueueError::Leased);
        }
        self.decide(turn, |rules, batch| rules.cancel(position, &message, batch)).await?;
        self.forget_key_of(position, &message, turn)?;
        turn.batch().frees_space();
        Ok(())
    }
}

impl Request for PurgeSlice {
    /// How many were taken out, and how far the purge is if it is not over.
    type Reply = Result<(u64, Option<SliceCursor>), QueueError>;
}

impl Handler<PurgeSlice> for QueueActor {
    async fn handle(
        &mut self,
        PurgeSlice { state, priority, cursor }: PurgeSlice,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(u64, Option<SliceCursor>), QueueError> {
        let Some(queue) = self.rules.queue.filter(|_| self.rules.held_count() > 0) else {
            return Ok((0, None));
        };
        let mut range = match priority {
            Some(priority) => key::messages_of(queue, state, priority),
            None => key::messages(queue, state),
        };
        let end = cursor.map_or(self.rules.arrival_next(), |cursor| cursor.end);
        if let Some(cursor) = cursor {
            range = range.after(&cursor.after.key(queue, state));
        }
        let found = turn.store().scan(range, PURGE_LIMIT).await?;
        let found = self.rules.records(found)?;
        let Some(&(last, _)) = found.last() else { return Ok((0, None)) };
        let count = self.decide(turn, |rules, batch| rules.purge(&found, end, batch)).await?;
        for (position, message) in found.iter().filter(|(position, _)| position.arrival < end) {
            self.forget_key_of(*position, message, turn)?;
        }
        turn.batch().frees_space();
        // Behind a message that stays, all of its priority stay.
        let after = if last.arrival < end { last } else { Position::end_of(last.priority) };
        Ok((count, Some(SliceCursor { end, after })))
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
        let moved = self.moved_by(&config, node, turn.store().clone()).await?;
        if self.rules.configure(&config, node)? {
            self.keep_settings(before.max(node), turn);
            self.move_layers(moved, turn);
        }
        Ok(QueueConfig::from(&self.rules.settings))
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
        let was_pop_paused = self.rules.settings.is_pop_paused;
        let is_changed = if is_resume { self.rules.resume(verbs) } else { self.rules.pause(verbs) };
        if is_changed {
            self.keep_settings(node, turn);
        }
        if self.rules.settings.is_pop_paused {
            self.turn_away(turn);
        } else if was_pop_paused {
            sink::tell(turn, SinkChange::Resumed);
        }
        Paused::from(&self.rules.settings)
    }
}

impl QueueActor {
    /// Ends a turn that changed settings: they survive what the node survives, also those of a
    /// queue that keeps its messages in memory.
    fn keep_settings(&mut self, level: Durability, turn: &mut Turn<'_, Self>) {
        self.create(turn);
        self.rules.settle_settings(turn.lasting_at(level));
    }
}
