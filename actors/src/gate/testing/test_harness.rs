//! The rules on a memory engine, for tests: what the actor does, without a runtime.

use std::{sync::Arc, time::Duration};

use lanekeeper_storage::{
    Batch, Durability, Engine, Fence, MemoryEngine, ScanLimit, ShardNo,
    key::{self},
    record::{EntryRecord, GateMeta},
};

use crate::gate::{
    api::{
        error::GateError,
        group::Group,
        policy::{AppliedPolicy, GatePolicy, PolicySource},
    },
    state::{
        gate_state::GateState,
        turn_context::{Decision, TurnContext},
    },
    verb::acquire::{AcquireRequest, Admission},
};

const GATE: &str = "trial";

pub(crate) struct TestHarness {
    pub(crate) rules: GateState,
    pub(crate) now_ms: u64,
    /// What became of those who waited, in the last turn.
    pub(crate) decided: Vec<Decision>,
    /// Who got a permit in the last turn without asking.
    pub(crate) granted: Vec<String>,
    /// Writes of the last turn.
    pub(crate) write_count: usize,
    engine: MemoryEngine,
}

/// An owner that asks for nothing special.
pub(crate) fn wanted(owner: &str) -> AcquireRequest {
    AcquireRequest {
        owner: owner.into(),
        priority: 1,
        group: Group::default(),
        worker: None,
        timeout_ms: None,
        ttl_ms: 0,
        attempt: 0,
    }
}

/// A group of one tenant.
pub(crate) fn tenant(value: &str) -> Group {
    Group::new(vec![("tenant".into(), value.into())]).expect("a group")
}

fn applied(policy: GatePolicy) -> Arc<AppliedPolicy> {
    Arc::new(AppliedPolicy { policy, source: PolicySource::Own })
}

impl TestHarness {
    pub(crate) fn new(policy: GatePolicy) -> Self {
        Self {
            rules: GateState::unused(applied(policy)),
            now_ms: 1_800_000_000_000,
            decided: Vec::new(),
            granted: Vec::new(),
            write_count: 0,
            engine: MemoryEngine::new(),
        }
    }

    /// A turn.
    pub(crate) fn turn<T>(
        &mut self,
        verb: impl FnOnce(&mut GateState, &mut TurnContext<'_>) -> T,
    ) -> T {
        let mut batch = Batch::new();
        let mut change = TurnContext::new(GATE, self.now_ms, &mut batch);
        self.rules.begin(&mut change);
        let value = verb(&mut self.rules, &mut change);
        self.rules.settle(&mut change);
        self.decided = change.decided.iter().map(|(_, decision)| *decision).collect();
        self.granted = std::mem::take(&mut change.granted);
        self.write_count = batch.writes().len();
        let epoch = self.engine.claim(ShardNo(0)).expect("it is open");
        let fence = Fence { shard: ShardNo(0), epoch };
        self.engine.commit(fence, batch, Durability::Memory).expect("it takes every commit");
        value
    }

    pub(crate) fn acquire(&mut self, owner: &str) -> Result<Admission, GateError> {
        self.ask(&wanted(owner))
    }

    pub(crate) fn ask(&mut self, wanted: &AcquireRequest) -> Result<Admission, GateError> {
        self.turn(|rules, change| rules.acquire(wanted, change))
    }

    pub(crate) fn release(&mut self, owner: &str) -> bool {
        self.turn(|rules, change| rules.release(owner, change))
    }

    pub(crate) fn cancel(&mut self, owner: &str) -> Result<(), GateError> {
        self.turn(|rules, change| rules.cancel(owner, change))
    }

    /// Moves the clock, and does what is due by then.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.now_ms += by.as_millis() as u64;
        self.turn(|_, _| ());
    }

    pub(crate) fn set_policy(&mut self, policy: GatePolicy) {
        self.turn(|rules, _| rules.apply(applied(policy)));
        self.turn(|_, _| ());
    }

    /// Loads the gate again.
    pub(crate) fn reactivate(&mut self) {
        let get = |key: &_| self.engine.get(key);
        let (mut rules, people) =
            GateState::load(GATE, Arc::clone(&self.rules.applied), get).expect("sound records");
        if people > 0 {
            rules.people(GATE, self.stored_places()).expect("sound records");
        }
        self.rules = rules;
    }

    fn stored_places(&self) -> Vec<(key::Key, bytes::Bytes)> {
        let all = ScanLimit::count(usize::MAX);
        self.engine.scan(&key::gate_places(GATE), all).expect("it is open")
    }

    /// Owner and record of everyone, as the store has it.
    pub(crate) fn stored(&self) -> Vec<(String, EntryRecord)> {
        let entry = |(key, value): (key::Key, bytes::Bytes)| {
            let owner = key::owner_of(&key).expect("a place").to_owned();
            (owner, EntryRecord::decode(&value).expect("a sound record"))
        };
        self.stored_places().into_iter().map(entry).collect()
    }

    pub(crate) fn stored_meta(&self) -> GateMeta {
        let meta = self.engine.get(&key::gate_meta(GATE)).expect("it is open");
        meta.map_or(GateMeta::default(), |meta| GateMeta::decode(&meta).expect("sound"))
    }
}
