//! A gate as the store knows it.

use std::sync::Arc;

use bytes::Bytes;
use lanekeeper_storage::{
    Key, LoadError,
    key::{self},
    record::{GateMeta, GatePolicyRecord, GateUsage, GateWaits, PlaceRecord, PlaceState},
};

use crate::gate::{
    api::{
        group::Group,
        policy::{AppliedPolicy, DefaultPolicy, GatePolicy, PolicySource, parents},
    },
    state::{
        entry::NEVER,
        extras::{Rare, RareTotals},
        gate_state::Rules,
        rate_limit::Usage,
        release_rate::Pace,
        wait_histogram::Waits,
        wait_queue::{Arriving, Crowd},
    },
};

/// Reads one value of the store.
pub(crate) trait Get: Fn(&Key) -> Result<Option<Bytes>, LoadError> {}

impl<F: Fn(&Key) -> Result<Option<Bytes>, LoadError>> Get for F {}

/// The policy that applies to a gate: its own, its nearest parent's, the default, or none.
pub(crate) fn policy_of(
    gate: &str,
    default: Option<&DefaultPolicy>,
    get: impl Get,
) -> Result<AppliedPolicy, LoadError> {
    let own = [(gate, PolicySource::Own)].into_iter();
    let parents = parents(gate).map(|parent| (parent, PolicySource::Parent(parent.to_owned())));
    for (id, source) in own.chain(parents) {
        if let Some(record) = get(&key::gate_policy(id))? {
            let policy = GatePolicyRecord::decode(&record)?.into();
            return Ok(AppliedPolicy { policy, source });
        }
    }
    Ok(match default {
        Some(own) => AppliedPolicy { policy: own.0.clone(), source: PolicySource::Default },
        None => {
            let policy = GatePolicy::default();
            AppliedPolicy { policy, source: PolicySource::Unlimited }
        }
    })
}

impl Rules {
    /// A gate as its own records have it; whoever is at it is still to be [let in](Self::people).
    pub(crate) fn load(
        gate: &str,
        applied: Arc<AppliedPolicy>,
        get: impl Get,
    ) -> Result<(Self, u64), LoadError> {
        let mut rules = Self::unused(applied);
        let Some(meta) = get(&key::gate_meta(gate))? else { return Ok((rules, 0)) };
        let meta = GateMeta::decode(&meta)?;
        // Both count the owners accepted.
        rules.enqueued_total = meta.enqueued_total.max(meta.arrival_next);
        rules.granted_total = meta.granted_total;
        rules.completed_total = meta.completed_total;
        rules.updated_at_ms = meta.updated_at_ms;
        rules.is_paused = meta.is_paused;
        let interval_us = u32::try_from(meta.end_interval_us).unwrap_or(u32::MAX);
        let mut rare = Rare {
            totals: RareTotals {
                timed_out: meta.timed_out_total,
                cancelled: meta.cancelled_total,
                evicted: meta.evicted_total,
                expired: meta.expired_total,
                rejected: meta.rejected_total,
            },
            pace: Pace { ended_at_ms: meta.ended_at_ms, interval_us },
            ..Rare::default()
        };
        if let Some(usage) = get(&key::gate_usage(gate))? {
            rare.usage = Some(Usage::from(GateUsage::decode(&usage)?));
        }
        if let Some(waits) = get(&key::gate_waits(gate))? {
            (rules.waits, rare.waits) = Waits::restored(GateWaits::decode(&waits)?);
        }
        rules.rare = (rare != Rare::default()).then(|| Box::new(rare));
        Ok((rules, meta.waiting_count + meta.held_count))
    }

    /// Lets in who is at the gate, as the store has it.
    pub(crate) fn people(&mut self, gate: &str, found: Vec<(Key, Bytes)>) -> Result<(), LoadError> {
        let damaged = |reason: &str| LoadError::Corrupt(format!("gate {gate:?}: {reason}").into());
        let mut records = Vec::with_capacity(found.len());
        for (key, value) in found {
            let owner = key::owner_of(&key).ok_or_else(|| damaged("a key is no place's"))?;
            records.push((Box::<str>::from(owner), PlaceRecord::decode(&value)?));
        }
        records.sort_unstable_by_key(|(_, record)| record.arrival);
        let limits = Arc::clone(&self.applied);
        let crowd = self.crowd.get_or_insert_default();
        for (owner, record) in records {
            enter(crowd, owner, record, &limits);
        }
        Ok(())
    }
}

fn enter(crowd: &mut Crowd, owner: Box<str>, record: PlaceRecord, applied: &AppliedPolicy) {
    let PlaceRecord { arrival, priority, group, worker, state } = record;
    let line = crowd.line_of(&Group::restored(group), &applied.policy.group);
    let arriving =
        |since_ms, due_ms| Arriving { owner, arrival, priority, since_ms, due_ms, attempt: 0 };
    let index = match state {
        PlaceState::Waiting { since_ms, due_ms, ttl_ms } => {
            crowd.join(arriving(since_ms, due_ms), line, ttl_ms)
        }
        PlaceState::Held { since_ms, due_ms, waited_ms } => {
            let waited_ms = u32::try_from(waited_ms).unwrap_or(u32::MAX);
            crowd.admit(arriving(since_ms, due_ms.unwrap_or(NEVER)), line, waited_ms)
        }
    };
    if let Some(worker) = worker {
        crowd.tie(index, worker.into());
    }
}
