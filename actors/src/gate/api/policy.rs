//! What a gate is told about itself.

use std::time::Duration;

use lanekeeper_storage::record::GatePolicyRecord;

use crate::{actor::id::check_id, gate::api::error::GateError, node::builder::NodeBuilder};

pub use lanekeeper_storage::record::{OnFullLine as OnFull, Rate};

/// Permits, and owners that wait, at most.
const COUNT_MAX: u32 = 1_000_000;
/// The longest wait that can be asked for.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Owners accepted in the window of a quota at most.
const QUOTA_MAX: u64 = 1_000_000_000;
/// Names a policy or an owner may be grouped by.
pub(crate) const GROUP_NAMES_MAX: usize = 8;

/// The limits of a gate; they survive a restart.
///
/// One policy applies to a gate as a whole: its own, otherwise that of the nearest parent with one
/// (`a.b` and then `a`, for the gate `a.b.c`), otherwise the node's default, otherwise unlimited.
/// Each gate counts for itself, even if it shares the policy of a parent with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatePolicy {
    /// The largest number of permits at once, 1 to 1,000,000; unlimited if `None`.
    pub max_concurrent: Option<u32>,
    /// The largest number of waiting owners, 1 to 1,000,000; 10,000 by default.
    pub queue_length_max: u32,
    /// The longest wait of an owner that does not set one: 1 ms to 30 days, an hour by default.
    pub timeout: Duration,
    /// The action when a newcomer finds the wait queue full.
    pub on_full: OnFull,
    /// The rate of accepted owners, up to 1,000,000 per second and 1,000,000 at once. Every
    /// accepted owner takes a token, whether it is granted at once or waits.
    pub rate: Option<Rate>,
    /// The largest number of owners accepted in a sliding window.
    pub quota: Option<Quota>,
    /// Permits at once for each value of a name, such as 1 for each `tenant`: at most 8 names.
    /// An owner that does not give the name is not counted against it.
    pub group: Vec<GroupLimit>,
}

impl Default for GatePolicy {
    fn default() -> Self {
        Self {
            max_concurrent: None,
            queue_length_max: 10_000,
            timeout: Duration::from_secs(3_600),
            on_full: OnFull::Reject,
            rate: None,
            quota: None,
            group: Vec::new(),
        }
    }
}

impl GatePolicy {
    /// A policy with this number of permits at once.
    pub fn concurrent(max_concurrent: u32) -> Self {
        Self { max_concurrent: Some(max_concurrent), ..Self::default() }
    }
}

/// A quota: owners accepted in a sliding window, granted at once or waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The number of owners: 1 to 1,000,000,000.
    pub limit: u64,
    /// The window.
    pub per: Period,
}

/// The window of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

impl Period {
    /// Its length.
    pub fn seconds(self) -> u32 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    fn of_seconds(seconds: u32) -> Option<Self> {
        [Self::Minute, Self::Hour, Self::Day].into_iter().find(|per| per.seconds() == seconds)
    }
}

/// Permits at once for each value of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLimit {
    /// The name, by the rules of ids.
    pub name: String,
    /// The number of permits: 1 to 1,000,000.
    pub max_concurrent: u32,
}

/// The source of the policy that applies to a gate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PolicySource {
    /// The gate itself.
    Own,
    /// A parent, with its id.
    Parent(String),
    /// The default of the node.
    Default,
    /// None: there is no limit.
    Unlimited,
}

/// The policy that applies to a gate, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedPolicy {
    /// The policy.
    pub policy: GatePolicy,
    /// The source of the policy.
    pub source: PolicySource,
}

impl GatePolicy {
    /// Checks every bound.
    pub(crate) fn check(&self) -> Result<(), GateError> {
        let refuse = |field, reason| Err(GateError::InvalidPolicy { field, reason });
        let within = |count: u32| (1..=COUNT_MAX).contains(&count);
        let count = "must be from 1 to 1000000";
        if !self.max_concurrent.is_none_or(within) {
            return refuse("max_concurrent", count);
        }
        if !within(self.queue_length_max) {
            return refuse("queue_length_max", count);
        }
        if self.timeout < Duration::from_millis(1) || self.timeout > TIMEOUT_MAX {
            return refuse("timeout_ms", "must be from 1 to 2592000000");
        }
        let millionths_max = u64::from(COUNT_MAX) * 1_000_000;
        if !self.rate.is_none_or(|rate| (1..=millionths_max).contains(&rate.millionths())) {
            return refuse("rate.per_second", "must be from 0.000001 to 1000000");
        }
        if !self.rate.is_none_or(|rate| within(rate.burst)) {
            return refuse("rate.burst", count);
        }
        if !self.quota.is_none_or(|quota| (1..=QUOTA_MAX).contains(&quota.limit)) {
            return refuse("quota.limit", "must be from 1 to 1000000000");
        }
        if self.group.len() > GROUP_NAMES_MAX {
            return refuse("group", "has at most 8 names");
        }
        for (entry, GroupLimit { name, max_concurrent }) in self.group.iter().enumerate() {
            if check_id(name).is_err() {
                return refuse("group", "names are ids: 1 to 128 of A-Z a-z 0-9 . _ : -");
            }
            if self.group[..entry].iter().any(|earlier| earlier.name == *name) {
                return refuse("group", "names each value once");
            }
            if !within(*max_concurrent) {
                return refuse("group", "limits must be from 1 to 1000000");
            }
        }
        Ok(())
    }

    pub(crate) fn record(&self) -> GatePolicyRecord {
        GatePolicyRecord {
            max_concurrent: self.max_concurrent,
            queue_length_max: self.queue_length_max,
            timeout_ms: crate::gate::millis(self.timeout),
            on_full: self.on_full,
            rate: self.rate,
            quota: self.quota.map(|quota| (quota.limit, quota.per.seconds())),
            group: self.group.iter().map(|own| (own.name.clone(), own.max_concurrent)).collect(),
        }
    }
}

impl From<GatePolicyRecord> for GatePolicy {
    fn from(record: GatePolicyRecord) -> Self {
        let quota = |(limit, seconds)| Some(Quota { limit, per: Period::of_seconds(seconds)? });
        let limit = |(name, max_concurrent)| GroupLimit { name, max_concurrent };
        Self {
            max_concurrent: record.max_concurrent,
            queue_length_max: record.queue_length_max,
            timeout: Duration::from_millis(record.timeout_ms),
            on_full: record.on_full,
            rate: record.rate,
            quota: record.quota.and_then(quota),
            group: record.group.into_iter().map(limit).collect(),
        }
    }
}

/// The node's default, as the builder keeps it.
#[derive(Clone, Debug)]
pub(crate) struct DefaultPolicy(pub(crate) GatePolicy);

impl NodeBuilder {
    /// The policy of gates that have none of their own and no parent that has one; unlimited if it
    /// is not called.
    ///
    /// # Errors
    /// [`GateError::InvalidPolicy`].
    pub fn gate_policy(self, policy: GatePolicy) -> Result<Self, GateError> {
        policy.check()?;
        Ok(self.setting(DefaultPolicy(policy)))
    }
}

/// The parents of a gate, the nearest first.
pub(crate) fn parents(gate: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(gate.rsplit_once('.'), |(parent, _)| parent.rsplit_once('.'))
        .map(|(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parents_of_a_gate_are_its_prefixes_at_dots() {
        assert_eq!(parents("a.b.c").collect::<Vec<_>>(), ["a.b", "a"]);
        assert_eq!(parents("a-b").count(), 0);
    }

    #[test]
    fn a_policy_is_checked_field_by_field() {
        fn with(change: impl FnOnce(&mut GatePolicy)) -> &'static str {
            let mut policy = GatePolicy::concurrent(1);
            change(&mut policy);
            match policy.check() {
                Err(GateError::InvalidPolicy { field, .. }) => field,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(with(|policy| policy.max_concurrent = Some(0)), "max_concurrent");
        assert_eq!(with(|policy| policy.max_concurrent = Some(1_000_001)), "max_concurrent");
        assert_eq!(with(|policy| policy.queue_length_max = 0), "queue_length_max");
        assert_eq!(with(|policy| policy.timeout = Duration::ZERO), "timeout_ms");
        assert_eq!(with(|policy| policy.timeout = Duration::MAX), "timeout_ms");
        let rate = |per_second, burst| Some(Rate::per_second(per_second, burst));
        assert_eq!(with(move |policy| policy.rate = rate(0, 1)), "rate.per_second");
        assert_eq!(with(move |policy| policy.rate = rate(1, 0)), "rate.burst");
        let quota = |limit| Some(Quota { limit, per: Period::Day });
        assert_eq!(with(move |policy| policy.quota = quota(0)), "quota.limit");
        let group = |names: &[(&str, u32)]| {
            let limit = |&(name, max_concurrent): &(&str, u32)| GroupLimit {
                name: name.into(),
                max_concurrent,
            };
            names.iter().map(limit).collect::<Vec<_>>()
        };
        assert_eq!(with(move |policy| policy.group = group(&[("a", 0)])), "group");
        assert_eq!(with(move |policy| policy.group = group(&[("", 1)])), "group");
        assert_eq!(with(move |policy| policy.group = group(&[("a", 1), ("a", 2)])), "group");
        assert_eq!(with(move |policy| policy.group = group(&[("a", 1); 9])), "group");
        assert!(GatePolicy::default().check().is_ok());
    }

    #[test]
    fn a_policy_survives_its_record() {
        let policy = GatePolicy {
            max_concurrent: Some(5),
            rate: Some(Rate::per_second(3, 7)),
            quota: Some(Quota { limit: 9, per: Period::Hour }),
            on_full: OnFull::CancelOldest,
            group: vec![GroupLimit { name: "tenant".into(), max_concurrent: 1 }],
            ..GatePolicy::default()
        };
        assert_eq!(GatePolicy::from(policy.record()), policy);
    }
}
