//! The actor around the rules: brings what they ask for, commits what they write, answers.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use lanekeeper_storage::{
    Batch, Durability, Key, LoadError, Write,
    key::{self, Arrival, Priority, QueueNo},
    record::{QueueOutboxRecord, ReminderDue},
};

use crate::{
    actor::{
        deferred_reply::DeferredReply,
        error::ActivateError,
        virtual_actor::{Actor, LoadContext},
    },
    queue::{
        api::{
            error::QueueError,
            lease_token::{LeaseGrant, LeaseOptions, Nonce},
            message::Message,
            metrics::QueueMetrics,
        },
        state::{
            queue_state::{Blocked, MemoryBounds, MissingData, QueueState},
            undelivered::UndeliveredLeases,
            waiters::{WAITING_MAX, WaiterTicket, Waiters},
        },
        verb::{
            dead_letter::SUFFIX,
            expire::ExpiryUnderWay,
            gate_permits::{GatePermits, HeldPermits},
            push::PushRequest,
            serve_waiters::Waiter,
        },
    },
    runtime::{
        memory_budget::{MemoryBudget, MemoryUse},
        turn::Turn,
    },
    time::{clock, reminder::Reminder},
};

/// What a pop gets.
pub(crate) type TakenMessages = Result<Vec<Message>, QueueError>;

/// A queue in memory, and those who wait for it. Nobody waits while it has a message to give: every
/// turn ends with [`QueueActor::serve`], so that no verb has to think of those who wait.
pub(crate) struct QueueActor {
    pub(crate) rules: QueueState,
    pub(crate) waiters: Waiters<Waiter>,
    pub(crate) going_on: ExpiryUnderWay,
    pub(crate) at_gate: GatePermits,
    /// When the timer is due that serves those who wait, by the node's monotonic clock.
    pub(crate) serve_at: Option<Duration>,
    pub(crate) metrics: Arc<QueueMetrics>,
}

/// What one who waits holds.
pub(crate) struct WaitingReply<T> {
    pub(crate) position: WaiterTicket,
    pub(crate) given: DeferredReply<T>,
}

/// Queues made by this process; with the epoch of the store's owner it makes their numbers unique.
static CREATED: AtomicU32 = AtomicU32::new(0);

/// The name of the reminder of what is due.
pub(crate) const WAKE: &str = "due";

impl Actor for QueueActor {
    const KIND: &'static str = "queue";

    async fn load(from: &LoadContext<'_>) -> Result<Self, ActivateError> {
        let get = |key: &_| from.store().get(key);
        let mut rules = QueueState::load(&from.id().key, MemoryBounds::QUEUE, get)?;
        check_wake(&mut rules, from)?;
        // What was in memory when the process before this one ended left no number behind: each
        // process has numbers of its own then, so that no id or lease is ever of two messages.
        if rules.durability(from.runtime().options.durability) == Durability::Memory {
            let first = from.runtime().epoch().long_number(0);
            rules.meta.arrival_next = rules.meta.arrival_next.max(first);
        }
        let (waiters, going_on) = (Waiters::new(WAITING_MAX), ExpiryUnderWay::new());
        let metrics = from.runtime().shared.get();
        let at_gate = GatePermits::default();
        Ok(Self { rules, waiters, going_on, at_gate, serve_at: None, metrics })
    }

    async fn on_passivate(&mut self, turn: &mut Turn<'_, Self>) {
        self.rules.settle_refusals(turn.batch());
        self.choose_durability(turn);
    }

    async fn on_reminder(&mut self, _: &Reminder, turn: &mut Turn<'_, Self>) {
        self.wake(turn).await;
    }

    async fn on_letter(
        &mut self,
        letter: Bytes,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        let mut letter = QueueOutboxRecord::decode(&letter)?;
        self.create(turn);
        self.check_key(&mut letter, turn)?;
        let now_ms = clock::unix_ms(turn.now());
        let received = self.decide(turn, |rules, batch| rules.receive(&letter, now_ms, batch));
        match received.await {
            Err(QueueError::Load(error)) => return Err(error),
            Err(error) => tracing::error!(queue = %turn.id(), %error, "a letter was refused"),
            Ok(()) => {}
        }
        Ok(())
    }

    async fn on_turn_end(&mut self, turn: &mut Turn<'_, Self>) {
        self.serve(turn).await;
        self.settle(turn);
    }

    fn is_passivatable(&self) -> bool {
        self.waiters.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.rules.memory_bytes() + self.waiters.memory_bytes()
    }
}

impl QueueActor {
    /// Accepts messages; answers the first arrival number.
    pub(crate) async fn push(
        &mut self,
        messages: &[PushRequest],
        turn: &mut Turn<'_, Self>,
    ) -> Result<Arrival, QueueError> {
        self.create(turn);
        let now_ms = clock::unix_ms(turn.now());
        let verb = |rules: &mut QueueState, batch: &mut Batch| rules.push(messages, now_ms, batch);
        self.decide(turn, verb).await
    }

    /// Takes messages for good.
    pub(crate) async fn pop(&mut self, depth: usize, turn: &mut Turn<'_, Self>) -> TakenMessages {
        let now_ms = clock::unix_ms(turn.now());
        let taken = self.decide(turn, |rules, batch| rules.pop(depth, now_ms, batch)).await;
        turn.batch().frees_space();
        taken
    }

    /// Leases messages.
    pub(crate) async fn lease(
        &mut self,
        options: &LeaseOptions,
        turn: &mut Turn<'_, Self>,
    ) -> Result<UndeliveredLeases, QueueError> {
        let permits = self.take_permits(options, turn).await?;
        self.lease_with(permits, options, turn).await
    }

    /// Leases messages with permits that were taken.
    pub(crate) async fn lease_with(
        &mut self,
        permits: HeldPermits,
        options: &LeaseOptions,
        turn: &mut Turn<'_, Self>,
    ) -> Result<UndeliveredLeases, QueueError> {
        let now_ms = clock::unix_ms(turn.now());
        let allowed = permits.as_ref().map_or(options.depth, Vec::len);
        let grant = LeaseGrant { nonces: nonces(allowed.min(options.depth)), permits };
        let verb =
            |rules: &mut QueueState, batch: &mut Batch| rules.lease(options, &grant, now_ms, batch);
        let leased = self.decide(turn, verb).await;
        let used = leased.as_ref().map_or(0, Vec::len);
        self.rules.freed.extend(grant.permits.into_iter().flatten().skip(used));
        Ok(UndeliveredLeases::new(leased?, turn.me()))
    }

    /// Lets the rules decide, as often as they have to see more of the store first.
    pub(crate) async fn decide<T>(
        &mut self,
        turn: &mut Turn<'_, Self>,
        mut verb: impl FnMut(&mut QueueState, &mut Batch) -> Result<T, Blocked>,
    ) -> Result<T, QueueError> {
        let before = self.rules.meta.totals;
        self.rules.give_bytes_max = give_bytes_max(turn.store().memory());
        let decided = loop {
            match verb(&mut self.rules, turn.batch()) {
                Ok(value) => break Ok(value),
                Err(Blocked::Refuse(QueueError::NoMemory(full))) => {
                    break Err(QueueError::NoMemory(
                        turn.store().memory().refuse(MemoryUse::Answer, full.wanted),
                    ));
                }
                Err(Blocked::Refuse(error)) => break Err(error),
                Err(Blocked::Load(missing)) => self.load_more(missing, turn).await?,
            }
        };
        self.metrics.add(&before, &self.rules.meta.totals);
        decided
    }

    /// Gives the queue its number before its first write.
    pub(crate) fn create(&mut self, turn: &mut Turn<'_, Self>) {
        if self.rules.queue.is_some() {
            return;
        }
        let (id, now_ms) = (turn.id(), clock::unix_ms(turn.now()));
        let epoch = turn.meta.guard.kind.runtime.fence(id.kind, &id.key).epoch;
        let number = QueueNo(epoch.number(CREATED.fetch_add(1, Ordering::Relaxed)));
        self.rules.create(&id.key, number, now_ms, turn.lasting());
    }

    /// Sends what died in this turn to the dead-letter queue.
    pub(crate) fn send_dead(&mut self, turn: &mut Turn<'_, Self>) {
        if self.rules.dead.is_empty() {
            return;
        }
        let (id, now_ms) = (turn.id(), clock::unix_ms(turn.now()));
        let receiver = format!("{}{SUFFIX}", id.key);
        for dead in std::mem::take(&mut self.rules.dead) {
            turn.send::<Self>(&receiver, dead.into_letter(&id.key, now_ms));
        }
    }

    /// Ends a turn: writes what it changed, and sends what follows from it.
    fn settle(&mut self, turn: &mut Turn<'_, Self>) {
        self.send_dead(turn);
        self.release_permits(turn);
        if let Some((before_ms, due_ms)) = self.rules.take_wake() {
            turn.replace_reminder(WAKE, before_ms, Some(due_ms));
        }
        self.rules.meta.written_at_ms = clock::unix_ms(turn.now());
        self.rules.settle(turn.batch());
        self.choose_durability(turn);
    }

    pub(crate) fn choose_durability(&self, turn: &mut Turn<'_, Self>) {
        if let Some(level) = self.rules.settings.durability {
            turn.durability(Durability::from(level));
        }
    }

    async fn load_more(
        &mut self,
        missing: MissingData,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        // What this turn has taken out is still in the store.
        let is_deleted = |write: &&Write| matches!(write, Write::Delete(_));
        let deleted = turn.batch().writes().iter().filter(is_deleted);
        let deleted: HashSet<Key> = deleted.map(|write| write.key().clone()).collect();
        let store = turn.store();
        let found = match &missing {
            MissingData::PriorityCounts(priorities) => {
                let queue = self.rules.number();
                let read = |&priority: &Priority| {
                    let key = key::priority_count(queue, priority);
                    store
                        .get(&key)
                        .map(|priority_count| {
                            priority_count.map(|priority_count| (key, priority_count))
                        })
                        .transpose()
                };
                priorities.iter().filter_map(read).collect::<Result<_, _>>()?
            }
            MissingData::AllLanes(range, limit) => store.scan(range.clone(), *limit).await?,
            MissingData::LaneHead(_, range, limit) | MissingData::Head(range, limit) => {
                let mut rest = range.clone();
                loop {
                    let mut found = store.scan(rest.clone(), *limit).await?;
                    let Some((last, _)) = found.last() else { break found };
                    rest = rest.after(last);
                    found.retain(|(key, _)| !deleted.contains(key));
                    if !found.is_empty() {
                        break found;
                    }
                }
            }
            MissingData::TailCache(range, limit) => {
                let mut rest = range.clone();
                loop {
                    let mut found = store.scan_back(rest.clone(), *limit).await?;
                    let Some((first, _)) = found.last() else { break found };
                    rest.end = first.clone();
                    found.retain(|(key, _)| !deleted.contains(key));
                    if !found.is_empty() {
                        break found;
                    }
                }
            }
        };
        self.rules.supply(missing, found)
    }
}

/// Compares when the queue thinks it is woken with the reminder that does it, which a queue that
/// was kept in memory may have lost: then the next turn has it woken at once.
fn check_wake(rules: &mut QueueState, from: &LoadContext<'_>) -> Result<(), LoadError> {
    let Some(wake_at_ms) = rules.meta.wake_at_ms else { return Ok(()) };
    let due = from.store().get(&key::reminder_due(from.id().kind, &from.id().key, WAKE))?;
    let due = due.map(|due| ReminderDue::decode(&due)).transpose()?;
    let due_ms = due.map(|due| due.due_ms);
    if due_ms != Some(wake_at_ms) {
        rules.meta.wake_at_ms = due_ms;
        rules.wake_by(clock::unix_ms(from.clock().now()));
    }
    Ok(())
}

/// Half of what is left: there are others who ask.
pub(crate) fn give_bytes_max(memory: &MemoryBudget) -> usize {
    usize::try_from(memory.available() / 2).unwrap_or(usize::MAX)
}

/// Secrets for so many leases, from the operating system.
fn nonces(count: usize) -> Vec<Nonce> {
    let mut nonces = vec![Nonce::default(); count];
    getrandom::fill(nonces.as_flattened_mut()).expect("an operating system has randomness");
    nonces
}
