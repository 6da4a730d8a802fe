//! What is said of gates.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{
    server::http::json::{Number, number},
    wire::rate::PerSecond,
};

/// What an owner has at a gate: a permit, or a place in the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// `granted` or `queued`.
    pub state: String,
    /// The owner.
    pub owner: String,
    /// How long it has waited so far, or had when it got its permit.
    pub waited_ms: u64,
    /// How many are served up to it, itself included, while it waits: 1 is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// When its turn is likely to come, by the pace at which permits end, while it waits and that
    /// is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    /// What holds it up while it waits: `pause` or `concurrency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// When its permit ends by itself, in Unix milliseconds, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// The answer to a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Released {
    /// Whether the owner held a permit.
    pub released: bool,
    /// Who got a permit for it, in order.
    pub granted: Vec<String>,
}

/// The answer to an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Extended {
    /// When the permit ends now, in Unix milliseconds.
    pub expires_at: u64,
}

/// The answer to a pause or a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatePaused {
    /// Whether the gate lets nobody in now.
    pub paused: bool,
}

/// The rules of admission of a gate. A field that a `PUT` leaves out takes its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatePolicy {
    /// Permits at a time; `null`: no bound.
    #[serde(deserialize_with = "number_or_null")]
    #[schema(minimum = 1, maximum = 1000000)]
    pub max_concurrent: Option<u32>,
    /// Owners that may wait.
    #[serde(deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 1000000)]
    pub queue_length_max: u32,
    /// How long an owner waits that does not say otherwise.
    #[serde(deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 2592000000u64)]
    pub timeout_ms: u64,
    /// What happens to a newcomer who finds the line full.
    pub on_full: OnFullLine,
    /// How fast owners are accepted; `null`: no bound.
    pub rate: Option<GateRate>,
    /// How many owners are accepted in a rolling window; `null`: no bound.
    pub quota: Option<GateQuota>,
    /// Permits at a time for each value of a name, such as `{"tenant":1}`: at most 8 names.
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

/// What happens when as many wait as may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFullLine {
    /// The newcomer is refused as `queue_full`.
    #[default]
    Reject,
    /// The one that has waited longest gives way, as `queue_full`.
    CancelOldest,
    /// The one that came last gives way, as `queue_full`.
    CancelNewest,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRate {
    /// Owners accepted per second, with up to six decimals: 0.1 is one in ten seconds.
    #[schema(value_type = f64, minimum = 0.000001, maximum = 1000000.0)]
    pub per_second: PerSecond,
    /// Owners accepted at once after a rest.
    #[serde(deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 1000000)]
    pub burst: u32,
}

/// A rolling window.
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

/// The policy that applies to a gate, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppliedPolicy {
    /// The policy.
    #[serde(flatten)]
    pub policy: GatePolicy,
    /// Whose it is: `own`, `parent`, `default` or `unlimited`.
    pub source: String,
    /// The parent whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_gate: Option<String>,
}

/// Waits over the last 5 to 10 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateWaits {
    /// How many were let in.
    pub count: u64,
    /// Half of them waited no longer.
    pub p50: u64,
    /// 95 of 100 waited no longer.
    pub p95: u64,
    /// 99 of 100 waited no longer.
    pub p99: u64,
}

/// Owners that have waited up to an age, and longer than the age before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgeCount {
    /// The age; `null`: any.
    pub up_to_ms: Option<u64>,
    /// How many.
    pub count: u64,
}

/// A gate in numbers. One never used answers zeros.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GateStats {
    /// Owners that wait, of all groups together.
    pub queue_length: u64,
    /// Permits that are held, of all groups together.
    pub active_count: u64,
    /// Permits at a time; `null`: no bound.
    pub max_concurrent: Option<u32>,
    /// Since when the one that has waited longest does, in Unix milliseconds; `null`: nobody waits.
    pub oldest_enqueued_at: Option<u64>,
    /// Owners accepted since creation, at once or into the line.
    pub total_enqueued: u64,
    /// Permits granted since creation.
    pub total_granted: u64,
    /// Permits released since creation.
    pub total_completed: u64,
    /// Permits that ended by their ttl, or with their worker, since creation.
    pub total_expired: u64,
    /// Owners that waited too long since creation.
    pub total_timed_out: u64,
    /// Owners that left the line since creation.
    pub total_cancelled: u64,
    /// Owners that gave way to newcomers since creation.
    pub total_evicted: u64,
    /// Owners refused since creation.
    pub total_rejected: u64,
    /// When the gate changed last, in Unix milliseconds; `null`: never.
    pub last_updated: Option<u64>,
    /// How long those who were let in lately had waited.
    pub wait_ms: GateWaits,
    /// How long those who wait have waited.
    pub ages: Vec<AgeCount>,
    /// Permits that end per second while somebody waits, lately; `null`: not known.
    pub releases_per_second: Option<f64>,
    /// When a newcomer that has to wait is likely to be let in; `null`: not known.
    pub eta_ms: Option<u64>,
    /// Whose policy applies: `own`, `parent`, `default` or `unlimited`.
    pub policy: String,
    /// The parent whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_gate: Option<String>,
    /// Whether the gate lets nobody in.
    pub paused: bool,
}

/// The stats of an action's gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActionStats {
    /// They.
    pub data: GateStats,
}
