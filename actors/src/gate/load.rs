//! A gate as the store knows it.

use std::sync::Arc;

use bytes::Bytes;
use lanekeeper_storage::{
    Key, LoadError,
    key::{self},
    record::{EntryRecord, GateMeta, GatePolicyRecord, GateUsage, GateWaits, StoredEntryState},
};

use crate::gate::{
    api::{
        group::Group,
        policy::{AppliedPolicy, DefaultPolicy, GatePolicy, PolicySource, parents},
    },
    state::{
        entry::NEVER,
        extras::{ExtraTotals, Extras},
        gate_state::GateState,
        rate_limit::RateUsage,
        release_rate::ReleaseRate,
        wait_histogram::WaitHistogram,
        wait_queue::{NewEntry, WaitQueue},
    },
};

/// Reads one value of the store.
pub(crate) trait ReadKey: Fn(&Key) -> Result<Option<Bytes>, LoadError> {}

impl<F: Fn(&Key) -> Result<Option<Bytes>, LoadError>> ReadKey for F {}

/// The policy that applies to a gate: its own, its nearest parent's, the default, or none.
pub(crate) fn policy_of(
    gate: &str,
    default: Option<&DefaultPolicy>,
    get: impl ReadKey,
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

impl GateState {
    /// A gate as its own records have it; whoever is at it is still to be [let in](Self::people).
    pub(crate) fn load(
        gate: &str,
        applied: Arc<AppliedPolicy>,
        get: impl ReadKey,
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
        let mut extras = Extras {
            totals: ExtraTotals {
                timed_out: meta.timed_out_total,
                cancelled: meta.cancelled_total,
                evicted: meta.evicted_total,
                expired: meta.expired_total,
                rejected: meta.rejected_total,
            },
            release_rate: ReleaseRate { ended_at_ms: meta.ended_at_ms, interval_us },
            ..Extras::default()
        };
        if let Some(rate_usage) = get(&key::gate_usage(gate))? {
            extras.rate_usage = Some(RateUsage::from(GateUsage::decode(&rate_usage)?));
        }
        if let Some(wait_histogram) = get(&key::gate_waits(gate))? {
            (rules.wait_histogram, extras.wait_histogram) =
                WaitHistogram::restored(GateWaits::decode(&wait_histogram)?);
        }
        rules.extras = (extras != Extras::default()).then(|| Box::new(extras));
        Ok((rules, meta.waiting_count + meta.held_count))
    }

    /// Lets in who is at the gate, as the store has it.
    pub(crate) fn people(&mut self, gate: &str, found: Vec<(Key, Bytes)>) -> Result<(), LoadError> {
        let damaged = |reason: &str| LoadError::Corrupt(format!("gate {gate:?}: {reason}").into());
        let mut records = Vec::with_capacity(found.len());
        for (key, value) in found {
            let owner = key::owner_of(&key).ok_or_else(|| damaged("a key is no place's"))?;
            records.push((Box::<str>::from(owner), EntryRecord::decode(&value)?));
        }
        records.sort_unstable_by_key(|(_, record)| record.arrival);
        let limits = Arc::clone(&self.applied);
        let wait_queue = self.wait_queue.get_or_insert_default();
        for (owner, record) in records {
            enter(wait_queue, owner, record, &limits);
        }
        Ok(())
    }
}

fn enter(
    wait_queue: &mut WaitQueue,
    owner: Box<str>,
    record: EntryRecord,
    applied: &AppliedPolicy,
) {
    let EntryRecord { arrival, priority, group, worker, state } = record;
    let group_queue = wait_queue.line_of(&Group::restored(group), &applied.policy.group);
    let new_entry =
        |since_ms, due_ms| NewEntry { owner, arrival, priority, since_ms, due_ms, attempt: 0 };
    let index = match state {
        StoredEntryState::Waiting { since_ms, due_ms, ttl_ms } => {
            wait_queue.join(new_entry(since_ms, due_ms), group_queue, ttl_ms)
        }
        StoredEntryState::Held { since_ms, due_ms, waited_ms } => {
            let waited_ms = u32::try_from(waited_ms).unwrap_or(u32::MAX);
            wait_queue.admit(new_entry(since_ms, due_ms.unwrap_or(NEVER)), group_queue, waited_ms)
        }
    };
    if let Some(worker) = worker {
        wait_queue.tie(index, worker.into());
    }
}
