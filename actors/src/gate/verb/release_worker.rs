//! The end of a worker: every place that is tied to it ends, whether it waits or holds a permit.

use lanekeeper_storage::LoadError;
use std::{collections::BTreeMap, sync::Arc};

use lanekeeper_storage::{ScanLimit, key};

use crate::{
    actor::virtual_actor::{Handler, Request},
    gate::{
        actor::GateActor,
        state::{
            entry::EntryState,
            gate_state::GateState,
            turn_context::{Decision, TurnContext},
        },
    },
    runtime::{shared_state::Runtime, turn::Turn},
    time::clock::unix_ms,
    worker::api::worker_info::Departure,
};

/// Places ended at a time.
const PAGE: usize = 1_000;

/// End the places of these owners, as far as they are tied to the worker and not younger.
pub(crate) struct ReleaseWorker {
    worker: Arc<str>,
    until_ms: u64,
    owners: Vec<String>,
}

impl Request for ReleaseWorker {
    type Reply = Result<(), LoadError>;
}

impl Handler<ReleaseWorker> for GateActor {
    async fn handle(
        &mut self,
        ReleaseWorker { worker, until_ms, owners }: ReleaseWorker,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        self.run(turn, |rules, change| rules.end_of(&worker, until_ms, &owners, change)).map(drop)
    }
}

impl GateState {
    /// Ends what a worker that has gone had, first come, first served; what it got since stays.
    pub(crate) fn end_of(
        &mut self,
        worker: &str,
        until_ms: u64,
        owners: &[String],
        change: &mut TurnContext<'_>,
    ) {
        let mut gone: Vec<_> = owners.iter().filter_map(|owner| self.find(owner)).collect();
        gone.retain(|&index| self.is_of_life(index, worker, until_ms));
        gone.sort_unstable_by_key(|&index| self.wait_queue().entries[index].arrival);
        for index in gone {
            if self.wait_queue().entries[index].is_held() {
                self.count().expired += 1;
                self.end_permit(index, change);
            } else {
                self.count().cancelled += 1;
                self.send_away(index, Decision::Cancelled, change);
            }
        }
    }

    /// Whether a worker took a place by then.
    fn is_of_life(&mut self, index: u32, worker: &str, until_ms: u64) -> bool {
        let wait_queue = self.wait_queue();
        let entry = &wait_queue.entries[index];
        let waited_ms = match entry.state {
            EntryState::Held { waited_ms } => u64::from(waited_ms),
            EntryState::Waiting { .. } => 0,
        };
        let taken_ms = entry.since_ms.saturating_sub(waited_ms);
        wait_queue.worker_of(index) == Some(worker) && taken_ms <= until_ms
    }
}

/// Follows the liveness of workers: what a worker that has gone had at gates, ends.
pub(crate) async fn follow(runtime: Arc<Runtime>, departure: Departure) -> Result<(), String> {
    let until_ms = unix_ms(departure.at);
    let mut rest = key::worker_places(&departure.worker);
    loop {
        let page = runtime.store.scan(rest.clone(), ScanLimit::count(PAGE)).await;
        let page = page.map_err(|error| error.to_string())?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        rest = rest.after(last);
        let mut gates: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (entry, _) in &page {
            let (_, gate, owner) = key::worker_place_of(entry)
                .ok_or_else(|| format!("{entry:?} is no place of a worker"))?;
            gates.entry(gate).or_default().push(owner.to_owned());
        }
        for (gate, owners) in gates {
            let worker = Arc::clone(&departure.worker);
            let actor = runtime.actor::<GateActor>(gate);
            let ended = actor.ask(ReleaseWorker { worker, until_ms, owners }).await;
            let ended = ended.map_err(|error| format!("gate {gate:?}: {error}"))?;
            ended.map_err(|error| format!("gate {gate:?}: {error}"))?;
        }
    }
}
