//! The turns in which things happen by themselves, one slice after the other.
//!
//! However much is due, others have their share: a slice is durable before the next one begins,
//! which waits half as long, and longer while the store does not keep up.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use lanekeeper_storage::{
    Engine, KeyRange, LoadError, ScanLimit,
    key::{self, Arrival, QueueNo},
    record::{DueEntry, MessageRecord},
};

use crate::{
    actor::{
        actor_ref::ActorRef,
        virtual_actor::{Handler, Request},
    },
    queue::{
        actor::{QueueActor, WAKE},
        api::error::QueueError,
        state::{
            expiry::{DueBatch, ExpiryRest},
            order::position::Position,
            queue_state::QueueState,
        },
    },
    runtime::{shared_state::Runtime, turn::Turn},
    time::clock,
};

/// What one turn does at most, so that other requests are served in between.
const SLICE: ScanLimit = ScanLimit { count_max: 48, bytes_max: 1 << 20 };

/// How long it takes until a store that does not keep up is looked at again.
const LAG_WAIT: Duration = Duration::from_millis(5);

/// How long it takes until what could not be read is tried again.
const RETRY_AFTER_MS: u64 = 1_000;

/// Go on with what is due; answers whether there is more.
struct ContinueExpiry;

/// Alive as long as somebody goes on with what is due.
pub(crate) type ExpiryUnderWay = Weak<()>;

impl Request for ContinueExpiry {
    type Reply = bool;
}

impl Handler<ContinueExpiry> for QueueActor {
    async fn handle(&mut self, _: ContinueExpiry, turn: &mut Turn<'_, Self>) -> bool {
        self.expire_due(turn).await
    }
}

impl QueueActor {
    /// Does what is due: a slice of it at once, and what is left bit by bit.
    pub(crate) async fn wake(&mut self, turn: &mut Turn<'_, Self>) {
        if self.expire_due(turn).await && self.going_on.strong_count() == 0 {
            let is_alive = Arc::new(());
            self.going_on = Arc::downgrade(&is_alive);
            let runtime = Arc::clone(&turn.meta.guard.kind.runtime);
            let delivery = runtime.in_flight.begin();
            let rest = continue_expiry(turn.me(), Arc::clone(&runtime));
            runtime.executor.spawn(async move {
                rest.await;
                drop((is_alive, delivery));
            });
        }
    }

    /// Does a slice of what is due, and answers whether there is more.
    async fn expire_due(&mut self, turn: &mut Turn<'_, Self>) -> bool {
        let now_ms = clock::unix_ms(turn.now());
        let woken_ms = self.rules.meta.wake_at_ms;
        if let Err(error) = self.do_slice(now_ms, turn).await {
            tracing::warn!(queue = %turn.id(), %error, "what is due is tried again");
            self.rules.wake_by(now_ms + RETRY_AFTER_MS);
        }
        let mut next_ms = self.rules.wake_wanted_ms.take();
        let is_more = next_ms.is_some_and(|next_ms| next_ms <= now_ms);
        if is_more {
            // Should nobody go on, the reminder sees to it.
            next_ms = Some(now_ms + RETRY_AFTER_MS);
        }
        self.rules.meta.wake_at_ms = next_ms;
        turn.replace_reminder(WAKE, woken_ms, next_ms);
        is_more
    }

    async fn do_slice(&mut self, now_ms: u64, turn: &mut Turn<'_, Self>) -> Result<(), QueueError> {
        let Some((queue, rest)) = self.rules.queue.zip(self.rules.expiry_rest()) else {
            return Ok(());
        };
        let due_batch =
            turn.store().read(move |engine| due_batch(engine, queue, rest, now_ms)).await?;
        for entry in &due_batch.stale {
            turn.lasting().delete(entry.clone());
        }
        let verb =
            |rules: &mut QueueState, batch: &mut _| rules.expire_due(&due_batch, now_ms, batch);
        self.decide(turn, verb).await
    }
}

/// Has a queue do what is due until nothing is.
async fn continue_expiry(queue: ActorRef<QueueActor>, runtime: Arc<Runtime>) {
    let mut began = runtime.clock.elapsed();
    // The answer comes when the slice is as durable as promised.
    while let Ok(true) = queue.ask(ContinueExpiry).await {
        let took = runtime.clock.elapsed().saturating_sub(began);
        if !took.is_zero() {
            runtime.clock.sleep(took / 2).await;
        }
        while runtime.store.engine().is_lagging() {
            runtime.clock.sleep(LAG_WAIT).await;
        }
        began = runtime.clock.elapsed();
    }
}

/// What is due in a queue by now, the first slice of it.
pub(crate) fn due_batch(
    engine: &dyn Engine,
    queue: QueueNo,
    mut rest: ExpiryRest,
    now_ms: u64,
) -> Result<DueBatch, LoadError> {
    let mut due_batch = DueBatch::default();
    find_messages(engine, queue, now_ms, &mut rest.messages, &mut due_batch)?;
    find_dedup_keys(engine, now_ms, &mut rest.dedup_keys, &mut due_batch)?;
    due_batch.rest = Some(rest);
    Ok(due_batch)
}

fn find_messages(
    engine: &dyn Engine,
    queue: QueueNo,
    now_ms: u64,
    rest: &mut KeyRange,
    due_batch: &mut DueBatch,
) -> Result<(), LoadError> {
    let mut bytes = 0;
    for (due, entry) in engine.scan(rest, ScanLimit::count(SLICE.count_max + 1))? {
        let Some((due_ms, arrival)) = key::due_of(&due) else { continue };
        if due_ms > now_ms || due_batch.messages.len() == SLICE.count_max || bytes > SLICE.bytes_max
        {
            due_batch.note_next(due_ms);
            rest.start = due;
            break;
        }
        rest.start = due.next();
        match message_due(engine, queue, arrival, &entry) {
            Ok((position, Some(message))) if message.due_ms() == Some(due_ms) => {
                bytes += message.payload.len();
                due_batch.messages.push((position, message));
            }
            Ok(_) => {
                tracing::warn!(entry = ?due, "what is due is not there: the entry is removed");
                due_batch.stale.push(due);
            }
            Err(LoadError::Corrupt(reason)) => {
                // Everything behind it must not wait for it.
                tracing::error!(entry = ?due, %reason, "what is due cannot be read");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The message that an entry says is due.
fn message_due(
    engine: &dyn Engine,
    queue: QueueNo,
    arrival: Arrival,
    entry: &Bytes,
) -> Result<(Position, Option<MessageRecord>), LoadError> {
    let entry = DueEntry::decode(entry)?;
    let position = Position { priority: entry.priority(), arrival };
    let record = engine.get(&position.key(queue, entry.state))?;
    Ok((position, record.map(|record| MessageRecord::decode(&record)).transpose()?))
}

fn find_dedup_keys(
    engine: &dyn Engine,
    now_ms: u64,
    rest: &mut KeyRange,
    due_batch: &mut DueBatch,
) -> Result<(), LoadError> {
    for (entry, _) in engine.scan(rest, ScanLimit::count(SLICE.count_max + 1))? {
        let Some((due_ms, dedup_key)) = key::dedup_due_of(&entry) else { continue };
        if due_ms > now_ms || due_batch.dedup_keys.len() == SLICE.count_max {
            due_batch.note_next(due_ms);
            rest.start = entry;
            break;
        }
        due_batch.dedup_keys.push((due_ms, dedup_key.to_owned()));
        rest.start = entry.next();
    }
    Ok(())
}
