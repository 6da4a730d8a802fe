//! Values of gates.

use crate::codec::{Decode, Encode};
use crate::record::{
    rate::{Rate, RateV1},
    record,
};

/// What a gate knows of itself without looking at its places. Written with every change, hence
/// small, whatever the number of those who wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct GateMeta {
    /// The number the next arrival gets.
    pub arrival_next: u64,
    /// Owners that wait.
    pub waiting_count: u64,
    /// Owners that hold a permit.
    pub held_count: u64,
    /// Whether nobody is let in for now.
    pub is_paused: bool,
    /// Owners accepted since creation, at once or into the line.
    pub enqueued_total: u64,
    /// Permits granted since creation.
    pub granted_total: u64,
    /// Permits released since creation.
    pub completed_total: u64,
    /// Permits that ended by their ttl, or with their worker, since creation.
    pub expired_total: u64,
    /// Owners that waited too long since creation.
    pub timed_out_total: u64,
    /// Owners that left the line since creation.
    pub cancelled_total: u64,
    /// Owners that gave way to newcomers since creation.
    pub evicted_total: u64,
    /// Owners refused since creation, as far as a later change wrote it.
    pub rejected_total: u64,
    /// When the gate changed last.
    pub updated_at_ms: u64,
    /// The usual time between two permits that end while somebody waits; 0 if not known.
    pub end_interval_us: u64,
    /// When a permit ended last.
    pub ended_at_ms: u64,
}

record!(GateMeta, "gate metadata", 1);

/// One owner at a gate.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EntryRecord {
    /// Its number in the order of arrival.
    pub arrival: u64,
    /// Its urgency: 0 first.
    pub priority: u32,
    /// What it is counted against besides the gate: names and values.
    pub group: Vec<(String, String)>,
    /// The worker at whose end the permit ends too, if there is one.
    pub worker: Option<String>,
    /// Whether it waits or holds a permit.
    pub state: StoredEntryState,
}

record!(EntryRecord, "place at a gate", 1);

/// Whether an owner waits or holds a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum StoredEntryState {
    /// It waits.
    Waiting {
        /// Since when.
        since_ms: u64,
        /// When it has waited too long.
        due_ms: u64,
        /// How long its permit will last; 0 if until it is released.
        ttl_ms: u32,
    },
    /// It holds a permit.
    Held {
        /// Since when.
        since_ms: u64,
        /// When the permit ends by itself, if it does.
        due_ms: Option<u64>,
        /// How long it had waited.
        waited_ms: u64,
    },
}

/// What happens to a newcomer who finds the line full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum OnFullLine {
    /// It is refused.
    #[default]
    Reject,
    /// The one that has waited longest gives way.
    CancelOldest,
    /// The one that came last gives way.
    CancelNewest,
}

/// The policy that a gate was given.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GatePolicyRecord {
    /// Permits at a time; unbounded if `None`.
    pub max_concurrent: Option<u32>,
    /// Owners that may wait.
    pub queue_length_max: u32,
    /// How long one of them waits at most, if it does not say otherwise.
    pub timeout_ms: u64,
    /// What happens when the line is full.
    pub on_full: OnFullLine,
    /// How often owners are accepted.
    pub rate: Option<Rate>,
    /// Owners accepted in so many seconds, rolling.
    pub quota: Option<(u64, u32)>,
    /// Permits at a time for each value of a name.
    pub group: Vec<(String, u32)>,
}

record!(GatePolicyRecord, "gate policy", 2, from GatePolicyRecordV1);

#[derive(Encode, Decode)]
struct GatePolicyRecordV1 {
    max_concurrent: Option<u32>,
    queue_length_max: u32,
    timeout_ms: u64,
    on_full: OnFullLine,
    rate: Option<RateV1>,
    quota: Option<(u64, u32)>,
    group: Vec<(String, u32)>,
}

impl From<GatePolicyRecordV1> for GatePolicyRecord {
    fn from(old: GatePolicyRecordV1) -> Self {
        Self {
            max_concurrent: old.max_concurrent,
            queue_length_max: old.queue_length_max,
            timeout_ms: old.timeout_ms,
            on_full: old.on_full,
            rate: old.rate.map(Rate::from),
            quota: old.quota,
            group: old.group,
        }
    }
}

/// What a gate has used of its rate and its quota.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct GateUsage {
    /// When the token bucket is full again, in Unix nanoseconds.
    pub full_at_ns: u64,
    /// Seconds of the quota's window; 0 if nothing was counted.
    pub window_s: u32,
    /// Owners accepted in each part of the window that has any: the part's number since 1970, and
    /// how many.
    pub parts: Vec<(u64, u64)>,
}

record!(GateUsage, "gate usage", 1);

/// How long those who were let in lately had waited: two windows, the one under way and the one
/// before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct GateWaits {
    /// The number of the window under way since 1970.
    pub window: u64,
    /// Its buckets that hold any: number and count.
    pub current: Vec<(u16, u32)>,
    /// Those of the window before.
    pub previous: Vec<(u16, u32)>,
}

record!(GateWaits, "gate waits", 1);

/// What a gate is told by another actor's turn: this owner is done.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GateOutboxRecord {
    /// Whose permit ends.
    pub owner: String,
}

record!(GateOutboxRecord, "gate letter", 1);
