//! The actor around the rules: brings what they ask for, commits what they write, answers.

use std::sync::atomic::{AtomicU32, Ordering};

use lanekeeper_storage::{
    Batch, Durability, LoadError,
    key::{self, Arrival, Priority, QueueNo},
};

use super::{
    Message, QueueError,
    line::{InLine, Line, WAITING_MAX},
    push::Incoming,
    rules::{MemoryBounds, Need, Rules, Stop},
};
use crate::{ActivateError, Actor, AskError, Deferred, NotExecuted, Origin, Promise, Turn, clock};

/// What a pop gets.
pub(super) type Taken = Result<Vec<Message>, QueueError>;

/// A queue in memory, and the pops that wait for it. Nobody waits while it has a message to give.
pub(super) struct QueueActor {
    pub(super) rules: Rules,
    pub(super) line: Line<Promise<Taken>>,
}

/// What a pop that waits holds.
pub(super) struct Waiting {
    pub(super) place: InLine,
    pub(super) taken: Deferred<Taken>,
}

/// Queues made by this process; with the epoch of the store's owner it makes their numbers unique.
static CREATED: AtomicU32 = AtomicU32::new(0);

impl Actor for QueueActor {
    const KIND: &'static str = "queue";

    async fn load(from: &Origin<'_>) -> Result<Self, ActivateError> {
        let get = |key: &_| from.store().get(key);
        let rules = Rules::load(&from.id().key, MemoryBounds::QUEUE, get)?;
        Ok(Self { rules, line: Line::new(WAITING_MAX) })
    }

    async fn on_passivate(&mut self, turn: &mut Turn<'_, Self>) {
        self.rules.settle_refusals(turn.batch());
        self.choose_durability(turn);
    }

    fn is_passivatable(&self) -> bool {
        self.line.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.rules.memory_bytes() + self.line.memory_bytes()
    }
}

impl QueueActor {
    /// Accepts messages, and hands them on to those who wait; answers the first arrival number.
    pub(super) async fn push(
        &mut self,
        messages: &[Incoming],
        turn: &mut Turn<'_, Self>,
    ) -> Result<Arrival, QueueError> {
        self.create(turn);
        let now_ms = clock::unix_ms(turn.now());
        let verb = |rules: &mut Rules, batch: &mut Batch| rules.push(messages, now_ms, batch);
        let accepted = self.decide(turn, verb).await;
        if accepted.is_ok() {
            self.serve(turn).await;
        }
        self.settle(turn);
        accepted
    }

    /// Takes messages.
    pub(super) async fn pop(&mut self, depth: usize, turn: &mut Turn<'_, Self>) -> Taken {
        let taken = self.decide(turn, |rules, batch| rules.pop(depth, batch)).await;
        turn.batch().frees_space();
        self.settle(turn);
        taken
    }

    /// Puts a pop that found nothing into the line.
    pub(super) fn wait(
        &mut self,
        depth: usize,
        turn: &Turn<'_, Self>,
    ) -> Result<Waiting, QueueError> {
        let (promise, taken) = turn.defer();
        let place = self.line.join(depth, promise).ok_or_else(|| {
            let overloaded = NotExecuted::Overloaded { actor: turn.id(), waiting_max: WAITING_MAX };
            QueueError::Ask(AskError::NotExecuted(overloaded))
        })?;
        Ok(Waiting { place, taken })
    }

    /// Tells everyone who waits that pops are paused.
    pub(super) fn turn_away(&mut self, turn: &mut Turn<'_, Self>) {
        while let Some((_, promise)) = self.line.next() {
            turn.fulfil(promise, Err(QueueError::Paused { verb: "pop" }));
        }
    }

    /// Lets the rules decide, as often as they have to see more of the store first.
    pub(super) async fn decide<T>(
        &mut self,
        turn: &mut Turn<'_, Self>,
        mut verb: impl FnMut(&mut Rules, &mut Batch) -> Result<T, Stop>,
    ) -> Result<T, QueueError> {
        loop {
            match verb(&mut self.rules, turn.batch()) {
                Ok(value) => return Ok(value),
                Err(Stop::Refuse(error)) => return Err(error),
                Err(Stop::Load(need)) => self.load_more(need, turn).await?,
            }
        }
    }

    /// Gives the queue its number before its first write.
    pub(super) fn create(&mut self, turn: &mut Turn<'_, Self>) {
        if self.rules.queue.is_some() {
            return;
        }
        let (id, now_ms) = (turn.id(), clock::unix_ms(turn.now()));
        let epoch = turn.meta.seat.kind.runtime.fence(id.kind, &id.key).epoch;
        let number = QueueNo(epoch.number(CREATED.fetch_add(1, Ordering::Relaxed)));
        self.rules.create(&id.key, number, now_ms, turn.batch());
    }

    /// Ends a turn that changed messages.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_, Self>) {
        self.rules.settle(turn.batch());
        self.choose_durability(turn);
    }

    /// Hands what is ready to those who wait, in their order.
    async fn serve(&mut self, turn: &mut Turn<'_, Self>) {
        while self.rules.meta.ready_count > 0 {
            let Some((depth, promise)) = self.line.next() else { return };
            let taken = self.decide(turn, |rules, batch| rules.pop(depth, batch)).await;
            turn.fulfil(promise, taken);
        }
    }

    fn choose_durability(&self, turn: &mut Turn<'_, Self>) {
        if let Some(level) = self.rules.settings.durability {
            turn.durability(Durability::from(level));
        }
    }

    async fn load_more(&mut self, need: Need, turn: &mut Turn<'_, Self>) -> Result<(), LoadError> {
        let store = turn.store();
        let found = match &need {
            Need::Lanes(priorities) => {
                let queue = self.rules.number();
                let read = |&priority: &Priority| {
                    let key = key::lane(queue, priority);
                    store.get(&key).map(|lane| lane.map(|lane| (key, lane))).transpose()
                };
                priorities.iter().filter_map(read).collect::<Result<_, _>>()?
            }
            Need::Head(range, limit) => store.scan(range.clone(), *limit).await?,
            Need::Tail(range, limit) => store.scan_back(range.clone(), *limit).await?,
        };
        self.rules.supply(need, found)
    }
}
