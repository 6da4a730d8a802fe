//! From what the handles of gates give to what the wire carries, and back.

use std::time::{Duration, SystemTime};

use lanekeeper_actors::gate::{self, BlockedBy, PolicySource, TicketState};

use crate::wire::{
    convert::{millis, unix_millis},
    gate::{
        AgeCount, AppliedPolicy, Extended, GatePolicy, GateQuota, GateRate, GateStats, GateWaits,
        OnFullLine, QuotaPeriod, Released, Ticket,
    },
    rate::PerSecond,
};

impl Ticket {
    /// A permit.
    pub(crate) fn granted(owner: &str, waited: Duration) -> Self {
        Self {
            state: "granted".to_owned(),
            owner: owner.to_owned(),
            waited_ms: millis(waited),
            position: None,
            eta_ms: None,
            blocked_by: None,
            expires_at: None,
        }
    }
}

impl From<gate::Ticket> for Ticket {
    fn from(ticket: gate::Ticket) -> Self {
        let gate::Ticket { owner, state, waited, expires_at } = ticket;
        let (state, position, eta, blocked_by) = match state {
            TicketState::Granted => ("granted", None, None, None),
            TicketState::Queued { position, eta, blocked_by } => {
                ("queued", Some(position), eta, Some(blocked_by))
            }
        };
        Self {
            state: state.to_owned(),
            owner,
            waited_ms: millis(waited),
            position,
            eta_ms: eta.map(millis),
            blocked_by: blocked_by.map(BlockedBy::as_str).map(str::to_owned),
            expires_at: expires_at.map(unix_millis),
        }
    }
}

impl From<SystemTime> for Extended {
    fn from(expires_at: SystemTime) -> Self {
        Self { expires_at: unix_millis(expires_at) }
    }
}

impl From<gate::Released> for Released {
    fn from(released: gate::Released) -> Self {
        Self { released: released.released, granted: released.granted }
    }
}

impl From<gate::GatePolicy> for GatePolicy {
    fn from(policy: gate::GatePolicy) -> Self {
        let rate = |rate: gate::Rate| GateRate {
            per_second: PerSecond(rate.millionths()),
            burst: rate.burst,
        };
        let limit = |own: gate::GroupLimit| (own.name, own.max_concurrent);
        Self {
            max_concurrent: policy.max_concurrent,
            queue_length_max: policy.queue_length_max,
            timeout_ms: millis(policy.timeout),
            on_full: match policy.on_full {
                gate::OnFull::Reject => OnFullLine::Reject,
                gate::OnFull::CancelOldest => OnFullLine::CancelOldest,
                gate::OnFull::CancelNewest => OnFullLine::CancelNewest,
            },
            rate: policy.rate.map(rate),
            quota: policy.quota.map(|quota| GateQuota {
                limit: quota.limit,
                per: match quota.per {
                    gate::Period::Minute => QuotaPeriod::Minute,
                    gate::Period::Hour => QuotaPeriod::Hour,
                    gate::Period::Day => QuotaPeriod::Day,
                },
            }),
            group: policy.group.into_iter().map(limit).collect(),
        }
    }
}

impl From<GatePolicy> for gate::GatePolicy {
    fn from(policy: GatePolicy) -> Self {
        let rate = |GateRate { per_second: PerSecond(millionths), burst }| {
            gate::Rate::millionths_per_second(millionths, burst)
        };
        let limit = |(name, max_concurrent)| gate::GroupLimit { name, max_concurrent };
        Self {
            max_concurrent: policy.max_concurrent,
            queue_length_max: policy.queue_length_max,
            timeout: Duration::from_millis(policy.timeout_ms),
            on_full: match policy.on_full {
                OnFullLine::Reject => gate::OnFull::Reject,
                OnFullLine::CancelOldest => gate::OnFull::CancelOldest,
                OnFullLine::CancelNewest => gate::OnFull::CancelNewest,
            },
            rate: policy.rate.map(rate),
            quota: policy.quota.map(|quota| gate::Quota {
                limit: quota.limit,
                per: match quota.per {
                    QuotaPeriod::Minute => gate::Period::Minute,
                    QuotaPeriod::Hour => gate::Period::Hour,
                    QuotaPeriod::Day => gate::Period::Day,
                },
            }),
            group: policy.group.into_iter().map(limit).collect(),
        }
    }
}

impl From<gate::AppliedPolicy> for AppliedPolicy {
    fn from(applied: gate::AppliedPolicy) -> Self {
        let (source, source_gate) = words(applied.source);
        Self { policy: applied.policy.into(), source, source_gate }
    }
}

fn words(source: PolicySource) -> (String, Option<String>) {
    let (word, parent) = match source {
        PolicySource::Own => ("own", None),
        PolicySource::Parent(parent) => ("parent", Some(parent)),
        PolicySource::Default => ("default", None),
        PolicySource::Unlimited => ("unlimited", None),
    };
    (word.to_owned(), parent)
}

impl From<gate::GateStats> for GateStats {
    fn from(stats: gate::GateStats) -> Self {
        let (policy, policy_gate) = words(stats.policy);
        let age = |age: gate::AgeCount| {
            let up_to_ms = age.up_to.map(millis);
            AgeCount { up_to_ms, count: age.count }
        };
        Self {
            queue_length: stats.queue_length,
            active_count: stats.active_count,
            max_concurrent: stats.max_concurrent,
            oldest_enqueued_at: stats.oldest_enqueued_at.map(unix_millis),
            total_enqueued: stats.total_enqueued,
            total_granted: stats.total_granted,
            total_completed: stats.total_completed,
            total_expired: stats.total_expired,
            total_timed_out: stats.total_timed_out,
            total_cancelled: stats.total_cancelled,
            total_evicted: stats.total_evicted,
            total_rejected: stats.total_rejected,
            last_updated: stats.last_updated.map(unix_millis),
            wait_ms: GateWaits {
                count: stats.waits.count,
                p50: millis(stats.waits.p50),
                p95: millis(stats.waits.p95),
                p99: millis(stats.waits.p99),
            },
            ages: stats.ages.into_iter().map(age).collect(),
            releases_per_second: stats.releases_per_second,
            eta_ms: stats.eta.map(millis),
            policy,
            policy_gate,
            paused: stats.is_paused,
        }
    }
}
