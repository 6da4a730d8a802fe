//! The end of a worker: every lease it holds ends, and the messages return to their places.

use lanekeeper_storage::LoadError;
use std::{collections::BTreeMap, sync::Arc};

use lanekeeper_storage::{
    Batch, ScanLimit,
    key::{self, MessageState},
    record::{MessageRecord, MessageStateRecord, WorkerLease},
};

use crate::{
    actor::virtual_actor::{Handler, Request},
    queue::{
        actor::QueueActor,
        api::error::QueueError,
        state::{expiry::DueBatch, order::position::Position, queue_state::QueueState},
    },
    runtime::{shared_state::Runtime, turn::Turn},
    time::clock::unix_ms,
    worker::api::worker_info::Departure,
};

/// Leases ended at a time.
const PAGE: usize = 1_000;

/// End the leases of these messages, as far as the worker holds them in the life that ended.
pub(crate) struct ReleaseWorkerLeases {
    departure: Departure,
    positions: Vec<Position>,
}

impl Request for ReleaseWorkerLeases {
    type Reply = Result<(), QueueError>;
}

impl Handler<ReleaseWorkerLeases> for QueueActor {
    async fn handle(
        &mut self,
        ReleaseWorkerLeases { departure, positions }: ReleaseWorkerLeases,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), QueueError> {
        let mut messages = Vec::with_capacity(positions.len());
        for position in positions {
            messages.extend(self.leased_to(&departure, position, turn)?);
        }
        if messages.is_empty() {
            return Ok(());
        }
        let now_ms = unix_ms(turn.now());
        // As leases whose time has come, and with them a delivery that counts.
        let due_batch = DueBatch { messages, ..DueBatch::default() };
        let verb =
            |rules: &mut QueueState, batch: &mut Batch| rules.expire_due(&due_batch, now_ms, batch);
        self.decide(turn, verb).await
    }
}

impl QueueActor {
    /// The message at a place, if it was leased to the worker by then.
    fn leased_to(
        &self,
        departure: &Departure,
        position: Position,
        turn: &Turn<'_, Self>,
    ) -> Result<Option<(Position, MessageRecord)>, LoadError> {
        let Some(queue) = self.rules.queue else { return Ok(None) };
        let Some(record) = turn.store().get(&position.key(queue, MessageState::Leased))? else {
            return Ok(None);
        };
        let message = MessageRecord::decode(&record)?;
        let is_of_life = match &message.state {
            MessageStateRecord::Leased(lease) => {
                lease.worker.as_deref() == Some(&departure.worker)
                    && departure.ends(lease.leased_at_ms, lease.life)
            }
            _ => false,
        };
        Ok(is_of_life.then_some((position, message)))
    }
}

/// Follows the liveness of workers: what a worker that has gone held leases of, returns.
pub(crate) async fn follow(runtime: Arc<Runtime>, departure: Departure) -> Result<(), String> {
    let mut rest = key::worker_leases(&departure.worker);
    loop {
        let page = runtime.store.scan(rest.clone(), ScanLimit::count(PAGE)).await;
        let page = page.map_err(|error| error.to_string())?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        rest = rest.after(last);
        let mut queues: BTreeMap<String, Vec<Position>> = BTreeMap::new();
        for (entry, value) in &page {
            let (_, priority, arrival) = key::worker_lease_of(entry)
                .ok_or_else(|| format!("{entry:?} is no lease of a worker"))?;
            let lease = WorkerLease::decode(value).map_err(|error| error.to_string())?;
            queues.entry(lease.queue_id).or_default().push(Position { priority, arrival });
        }
        for (queue, positions) in queues {
            let actor = runtime.actor::<QueueActor>(&queue);
            let ended =
                actor.ask(ReleaseWorkerLeases { departure: departure.clone(), positions }).await;
            let ended = ended.map_err(|error| format!("queue {queue:?}: {error}"))?;
            ended.map_err(|error| format!("queue {queue:?}: {error}"))?;
        }
    }
}
