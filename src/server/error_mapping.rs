//! Which code, and so which status, every refusal gets: the one place that knows.

use std::time::Duration;

use lanekeeper_actors::{
    ActivateError, AskError, CommitError, LoadError, MemoryFull, NotExecuted, Unknown,
    gate::{BlockedBy, GateError},
    queue::{LeaseError, QueueError},
    stream::StreamError,
    worker::LivenessError,
};

use crate::{
    server::http::{code::Code, problem::Problem},
    webhook::address::target::InvalidTarget,
    wire::convert::{millis, unix_millis},
};

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        let detail = error.to_string();
        match error {
            QueueError::Load(error) => Self::new(code_of_load(&error), detail),
            QueueError::Ask(error) => error.into(),
            QueueError::TooLarge { bytes, bytes_max } => {
                Self::new(Code::TooLarge, detail).limit(bytes_max as u64).current(bytes as u64)
            }
            QueueError::Full { current, capacity } => {
                Self::new(Code::QueueFull, detail).limit(capacity).current(current)
            }
            QueueError::InUse { messages, .. } => {
                Self::new(Code::NotEmpty, detail).current(messages)
            }
            QueueError::NoMemory(full) => full.into(),
            QueueError::NotEmpty(count) => Self::new(Code::NotEmpty, detail).current(count),
            QueueError::Locked { until } => {
                Self::new(Code::Locked, detail).lease_expires_at(unix_millis(until))
            }
            QueueError::RateLimited { retry_after, .. } => {
                Self::new(Code::RateLimited, detail).retry_in(Some(retry_after))
            }
            QueueError::NoPermit { blocked_by, retry_after, .. } => {
                let problem =
                    Self::new(Code::NoPermit, detail).blocked_by(Some(blocked_by.as_str()));
                match retry_after {
                    Some(_) => problem.retry_in(retry_after),
                    None => problem,
                }
            }
            error => {
                let problem = Self::new(code_of_queue(&error), detail);
                match bound(&error) {
                    Some(limit) => problem.limit(limit),
                    None => problem,
                }
            }
        }
    }
}

impl From<MemoryFull> for Problem {
    fn from(full: MemoryFull) -> Self {
        Self::new(Code::Overloaded, full.to_string())
            .limit(full.bytes_max)
            .current(full.used)
            .retry_in(Some(Duration::from_secs(1)))
    }
}

impl From<StreamError> for Problem {
    fn from(error: StreamError) -> Self {
        let detail = error.to_string();
        match error {
            StreamError::InvalidId(_) => Self::new(Code::InvalidId, detail),
            StreamError::InvalidData(_)
            | StreamError::InvalidClass(_)
            | StreamError::InvalidConfig { .. } => Self::new(Code::InvalidRequest, detail),
            StreamError::TooLarge { bytes, bytes_max } => {
                Self::new(Code::TooLarge, detail).limit(bytes_max as u64).current(bytes as u64)
            }
            StreamError::InvalidQueueMax { most, .. } => {
                Self::new(Code::InvalidRequest, detail).limit(most as u64)
            }
            StreamError::TooManySubscribers { subscribers_max } => {
                let most = subscribers_max as u64;
                Self::new(Code::TooManySubscribers, detail).limit(most).current(most)
            }
            StreamError::SubscriberNotFound(_) => Self::new(Code::SubscriberNotFound, detail),
            StreamError::Load(error) => Self::new(code_of_load(&error), detail),
            StreamError::Ask(error) => error.into(),
        }
    }
}

impl From<GateError> for Problem {
    fn from(error: GateError) -> Self {
        let (detail, retry_after) = (error.to_string(), error.retry_after());
        let blocked_by = error.blocked_by().map(BlockedBy::as_str);
        let problem = match error {
            GateError::InvalidId(_) => Self::new(Code::InvalidId, detail),
            GateError::InvalidOwner(_) => Self::new(Code::InvalidOwner, detail),
            GateError::InvalidPriority { .. } => Self::new(Code::InvalidPriority, detail),
            GateError::InvalidGroup { .. } => Self::new(Code::InvalidGroup, detail),
            GateError::InvalidTimeout { timeout_max, .. } => {
                Self::new(Code::InvalidTimeout, detail).limit(millis(timeout_max))
            }
            GateError::InvalidTtl { .. } => Self::new(Code::InvalidTtl, detail),
            GateError::InvalidPolicy { .. } => Self::new(Code::InvalidPolicy, detail),
            GateError::InvalidLimit { limit_max, .. } => {
                Self::new(Code::InvalidRequest, detail).limit(limit_max as u64)
            }
            GateError::Paused => Self::new(Code::Paused, detail),
            GateError::Full { current, limit, .. } => {
                Self::new(Code::QueueFull, detail).limit(limit.into()).current(current.into())
            }
            GateError::GaveWay => Self::new(Code::QueueFull, detail),
            GateError::QuotaExceeded { limit, .. } => {
                Self::new(Code::QuotaExceeded, detail).limit(limit)
            }
            GateError::RateLimited { rate, .. } => {
                let per_second = rate.millionths().div_ceil(1_000_000);
                Self::new(Code::RateLimited, detail).limit(per_second)
            }
            GateError::TimedOut { waited } => {
                Self::new(Code::TimedOut, detail).waited(millis(waited))
            }
            GateError::Cancelled => Self::new(Code::Cancelled, detail),
            GateError::InUse { .. } => Self::new(Code::NotEmpty, detail),
            GateError::Granted => Self::new(Code::Granted, detail),
            GateError::TicketNotFound => Self::new(Code::TicketNotFound, detail),
            GateError::PermitNotFound => Self::new(Code::PermitNotFound, detail),
            GateError::Load(error) => Self::new(code_of_load(&error), detail),
            GateError::Ask(error) => error.into(),
        };
        problem.retry_in(retry_after).blocked_by(blocked_by)
    }
}

impl From<LivenessError> for Problem {
    fn from(error: LivenessError) -> Self {
        let detail = error.to_string();
        match error {
            LivenessError::InvalidId(_) => Self::new(Code::InvalidId, detail),
            LivenessError::InvalidMeta(_) => Self::new(Code::InvalidRequest, detail),
            LivenessError::MetaTooLarge { bytes, bytes_max } => {
                Self::new(Code::TooLarge, detail).limit(bytes_max as u64).current(bytes as u64)
            }
            LivenessError::MetasTooLarge { bytes, bytes_max } => {
                Self::new(Code::FleetFull, detail).limit(bytes_max as u64).current(bytes as u64)
            }
            LivenessError::FleetFull { workers_max } => {
                Self::new(Code::FleetFull, detail).limit(workers_max as u64)
            }
            LivenessError::TooManyUntold { departures_max } => {
                Self::new(Code::Overloaded, detail).limit(departures_max as u64)
            }
            LivenessError::NotFound => Self::new(Code::WorkerNotFound, detail),
            LivenessError::InvalidLimit { limit_max, .. } => {
                Self::new(Code::InvalidRequest, detail).limit(limit_max as u64)
            }
            LivenessError::Load(error) => Self::new(code_of_load(&error), detail),
            LivenessError::Ask(error) => error.into(),
        }
    }
}

/// The name on the wire of the field that is out of bounds, where the detail has another.
pub(crate) fn field_of(error: &QueueError) -> Option<&'static str> {
    match error {
        QueueError::InvalidLeaseTtl(_) | QueueError::InvalidMessageTtl(_) => Some("ttl_ms"),
        QueueError::InvalidDelay(_) => Some("delay_ms"),
        QueueError::InvalidWait { .. } => Some("wait_ms"),
        QueueError::InvalidKey { .. } => Some("key"),
        _ => None,
    }
}

impl From<InvalidTarget> for Problem {
    fn from(error: InvalidTarget) -> Self {
        let code = match error {
            InvalidTarget::Malformed(_)
            | InvalidTarget::TooManyHeaders(_)
            | InvalidTarget::Header { .. } => Code::InvalidSink,
            InvalidTarget::Forbidden(_) => Code::ForbiddenAddress,
        };
        Self::new(code, error.to_string())
    }
}

/// The code of what says all in its detail, and perhaps in a bound.
fn code_of_queue(error: &QueueError) -> Code {
    match error {
        QueueError::InvalidId(_)
        | QueueError::InvalidWorker(_)
        | QueueError::NoDeadLetterId { .. } => Code::InvalidId,
        QueueError::InvalidItem(_) => Code::InvalidItem,
        QueueError::InvalidPriority { .. } => Code::InvalidPriority,
        QueueError::InvalidItems { .. } => Code::InvalidItems,
        QueueError::InvalidDepth { .. } => Code::InvalidDepth,
        QueueError::InvalidWait { .. } => Code::InvalidWait,
        QueueError::InvalidLeaseTtl(_) | QueueError::InvalidMessageTtl(_) => Code::InvalidTtl,
        QueueError::InvalidDelay(_) => Code::InvalidDelay,
        QueueError::InvalidKey { .. } => Code::InvalidKey,
        QueueError::InvalidLeases { .. } => Code::InvalidLeases,
        QueueError::InvalidSink { .. } => Code::InvalidSink,
        QueueError::Lease(LeaseError::NotFound) => Code::LeaseNotFound,
        QueueError::Lease(LeaseError::Expired) => Code::LeaseExpired,
        QueueError::Leased => Code::Leased,
        QueueError::Paused { .. } => Code::Paused,
        QueueError::MessageNotFound => Code::MessageNotFound,
        _ => Code::InvalidRequest,
    }
}

/// The bound that was met, where one number says it.
fn bound(error: &QueueError) -> Option<u64> {
    match error {
        QueueError::InvalidItems { count_max: bound, .. }
        | QueueError::InvalidLeases { count_max: bound, .. }
        | QueueError::InvalidDepth { depth_max: bound, .. }
        | QueueError::InvalidLimit { limit_max: bound, .. } => Some(*bound as u64),
        QueueError::InvalidWait { wait_max, .. } => Some(wait_max.as_millis() as u64),
        _ => None,
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        let detail = error.to_string();
        match error {
            AskError::NotExecuted(reason) => not_executed(&reason, detail),
            AskError::Refused(error) => {
                Self::new(code_of_commit(&error), detail + remedy_of_commit(&error))
            }
            AskError::NotSaved(_) => Self::new(Code::NotSaved, detail),
            AskError::Panicked => Self::new(Code::HandlerPanicked, detail),
            AskError::Unknown(Unknown::DeadlinePassed | Unknown::Commit(_) | Unknown::CutOff) => {
                Self::new(Code::OutcomeUnknown, detail)
            }
        }
    }
}

fn not_executed(reason: &NotExecuted, detail: String) -> Problem {
    let code = match reason {
        NotExecuted::Overloaded { waiting_max, .. } => {
            return Problem::new(Code::Overloaded, detail).limit(*waiting_max as u64);
        }
        NotExecuted::ShuttingDown => Code::ShuttingDown,
        NotExecuted::DeadlinePassed => Code::DeadlinePassed,
        NotExecuted::CallCycle { .. } => Code::CallCycle,
        NotExecuted::InvalidId(_) => Code::InvalidId,
        NotExecuted::ActivationFailed(ActivateError::Load(error)) => code_of_load(error),
        NotExecuted::ActivationFailed(_) | NotExecuted::KindTaken { .. } => Code::ActivationFailed,
    };
    Problem::new(code, detail)
}

fn code_of_load(error: &LoadError) -> Code {
    match error {
        LoadError::Io(_) | LoadError::Corrupt(_) => Code::StoreFailed,
        LoadError::NoSpace(_) => Code::DiskFull,
        LoadError::Closed => Code::ShuttingDown,
    }
}

fn code_of_commit(error: &CommitError) -> Code {
    match error {
        CommitError::DiskFull => Code::DiskFull,
        CommitError::Unavailable { .. } => Code::StoreUnavailable,
        CommitError::Held { .. } => Code::OutcomeUnknown,
        CommitError::Overloaded { .. } => Code::Overloaded,
        CommitError::TooLarge { .. } => Code::TooLarge,
        CommitError::Fenced => Code::Fenced,
        CommitError::Poisoned(_) => Code::StorePoisoned,
        CommitError::Closed => Code::ShuttingDown,
    }
}

/// What ends the refusals, where somebody has to do it.
pub(crate) fn remedy_of_commit(error: &CommitError) -> &'static str {
    match error {
        CommitError::Poisoned(_) => "; restart the server: acknowledged writes are kept",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use lanekeeper_actors::InvalidId;

    use super::*;

    fn code(error: impl Into<QueueError>) -> Code {
        Problem::from(error.into()).code()
    }

    #[test]
    fn a_refusal_of_the_store_keeps_its_meaning() {
        let refused = |error| code(AskError::Refused(error));
        assert_eq!(refused(CommitError::DiskFull), Code::DiskFull);
        assert_eq!(refused(CommitError::Closed), Code::ShuttingDown);
        let unavailable = CommitError::Unavailable { reason: "EMFILE".into() };
        assert_eq!(refused(unavailable), Code::StoreUnavailable);
        assert_eq!(refused(CommitError::Poisoned("fsync".into())), Code::StorePoisoned);
    }

    #[test]
    fn an_unknown_outcome_is_never_told_as_a_refusal() {
        let unknown = Unknown::Commit(CommitError::Poisoned("fsync".into()));
        assert_eq!(code(AskError::Unknown(unknown)), Code::OutcomeUnknown);
        assert_eq!(code(AskError::Unknown(Unknown::CutOff)), Code::OutcomeUnknown);
    }

    #[test]
    fn a_breach_of_a_rule_names_the_rule() {
        let problem = Problem::from(QueueError::InvalidId(InvalidId::Length(129)));
        assert_eq!(problem.code(), Code::InvalidId);
        assert!(problem.detail().contains("1 to 128"), "{}", problem.detail());
    }
}
