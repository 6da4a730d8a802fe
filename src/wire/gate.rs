//! What is said of gates.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{
    server::http::json::{Number, number},
    wire::rate::PerSecond,
};

/// An owner at a gate, with a permit or a position in the wait queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// `granted` or `queued`.
    pub state: String,
    /// The owner.
    pub owner: String,
    /// The time it has waited so far, or had waited when it got its permit.
    pub waited_ms: u64,
    /// Its position in the wait queue while it waits: 1 is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// The estimated time until it is granted, from the rate at which permits end; absent if it
    /// does not wait or the rate is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    /// The reason why it waits: `pause` or `concurrency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// The end of its permit by its ttl, in Unix milliseconds; absent without a ttl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// The answer to a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Released {
    /// Whether the owner held a permit.
    pub released: bool,
    /// The owners that were granted a permit instead, in order.
    pub granted: Vec<String>,
}

/// The answer to an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Extended {
    /// The new end of the permit, in Unix milliseconds.
    pub expires_at: u64,
}

/// The answer to a pause or a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatePaused {
    /// Whether the gate is paused: it grants no permits.
    pub paused: bool,
}

/// The policy of a gate. A field left out of a `PUT` gets its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatePolicy {
    /// The largest number of permits at once; `null`: unlimited.
    #[serde(deserialize_with = "number_or_null")]
    #[schema(minimum = 1, maximum = 1000000)]
    pub max_concurrent: Option<u32>,
    /// The largest number of waiting owners.
    #[serde(deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 1000000)]
    pub queue_length_max: u32,
    /// The longest wait of an owner that does not set one.
    #[serde(deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 2592000000u64)]
    pub timeout_ms: u64,
    /// The action when a newcomer finds the wait queue full.
    pub on_full: OnFullLine,
    /// The rate at which owners are accepted; `null`: unlimited.
    pub rate: Option<GateRate>,
    /// The largest number of owners accepted in a sliding window; `null`: unlimited.
    pub quota: Option<GateQuota>,
    /// Permits at once for each value of a name, such as `{"tenant":1}`: at most 8 names.
    #[serde(deserialize_with = "numbers")]
    pub group: BTreeMap<String, u32>,
}

fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = Option::<Number<u32>>::deserialize(deserializer)?;
    Ok(number.map(|Number(number)| number))
}

fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, u32>, D::Error> {
    let numbers = BTreeMap::<String, Number<u32>>::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|(name, Number(number))| (name, number)).collect())
}

impl Default for GatePolicy {
    fn default() -> Self {
        lanekeeper_actors::gate::GatePolicy::default().into()
    }
}

/// The action when the wait queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFullLine {
    /// The newcomer is refused as `queue_full`.
    #[default]
    Reject,
    /// The owner that has waited longest is refused as `queue_full` instead.
    CancelOldest,
    /// The owner that came last is refused as `queue_full` instead.
    CancelNewest,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRate {
    /// Owners accepted per second, with up to six decimals: 0.1 is one in ten seconds.
    #[schema(value_type = f64, minimum = 0.000001, maximum = 1000000.0)]
    pub per_second: PerSecond,
    /// The largest number of owners accepted at once.
    #[serde(deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 1000000)]
    pub burst: u32,
}

/// A limit in a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GateQuota {
    /// Owners accepted within the window.
    #[serde(deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 1000000000)]
    pub limit: u64,
    /// The window.
    pub per: QuotaPeriod,
}

/// The window of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuotaPeriod {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

/// The policy that applies to a gate, and its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppliedPolicy {
    /// The policy.
    #[serde(flatten)]
    pub policy: GatePolicy,
    /// The source of the policy: `own`, `parent`, `default` or `unlimited`.
    pub source: String,
    /// The parent gate that the policy comes from; absent for other sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_gate: Option<String>,
}

/// Waits over the last 5 to 10 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateWaits {
    /// The number of owners granted a permit.
    pub count: u64,
    /// The median of the waits.
    pub p50: u64,
    /// The 95th percentile of the waits.
    pub p95: u64,
    /// The 99th percentile of the waits.
    pub p99: u64,
}

/// The waiting owners in a range of ages: longer than the previous one, up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgeCount {
    /// The upper end of the range; `null`: none.
    pub up_to_ms: Option<u64>,
    /// The number of owners.
    pub count: u64,
}

/// The counts and totals of a gate; zeros if it was never used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GateStats {
    /// Waiting owners, of all groups together.
    pub queue_length: u64,
    /// Permits held, of all groups together.
    pub active_count: u64,
    /// The largest number of permits at once; `null`: unlimited.
    pub max_concurrent: Option<u32>,
    /// The start of the longest present wait, in Unix milliseconds; `null`: no owner waits.
    pub oldest_enqueued_at: Option<u64>,
    /// Owners accepted since creation, granted at once or queued.
    pub total_enqueued: u64,
    /// Permits granted since creation.
    pub total_granted: u64,
    /// Permits released since creation.
    pub total_completed: u64,
    /// Permits that ended by their ttl, or with their worker, since creation.
    pub total_expired: u64,
    /// Owners whose wait timed out since creation.
    pub total_timed_out: u64,
    /// Owners that stopped waiting since creation.
    pub total_cancelled: u64,
    /// Owners removed from a full wait queue for newcomers since creation.
    pub total_evicted: u64,
    /// Owners refused since creation.
    pub total_rejected: u64,
    /// The time of the last change, in Unix milliseconds; `null`: never.
    pub last_updated: Option<u64>,
    /// The waits of recently granted owners.
    pub wait_ms: GateWaits,
    /// The waiting owners by the time they have waited.
    pub ages: Vec<AgeCount>,
    /// The recent rate of ending permits per second while owners wait; `null`: not known.
    pub releases_per_second: Option<f64>,
    /// The estimated wait of a newcomer; `null`: not known.
    pub eta_ms: Option<u64>,
    /// The source of the policy that applies: `own`, `parent`, `default` or `unlimited`.
    pub policy: String,
    /// The parent gate that the policy comes from; absent for other sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_gate: Option<String>,
    /// Whether the gate is paused: it grants no permits.
    pub paused: bool,
}

/// The stats of an action's gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActionStats {
    /// The stats.
    pub data: GateStats,
}
