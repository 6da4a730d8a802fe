//! The codes of problem documents: what a program branches on.

use std::time::Duration;

/// Makes the codes: each with its word on the wire and the status that goes with it.
macro_rules! codes {
    ($($name:ident = $word:literal, $status:literal;)+) => {
        /// What went wrong, in one word that a program can branch on. Every code has one status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $($name,)+
        }

        impl Code {
            fn table(self) -> (&'static str, u16) {
                match self {
                    $(Self::$name => ($word, $status),)+
                }
            }
        }
    };
}

codes! {
    InvalidId = "invalid_id", 400;
    InvalidItem = "invalid_item", 400;
    InvalidItems = "invalid_items", 400;
    InvalidPriority = "invalid_priority", 400;
    InvalidDepth = "invalid_depth", 400;
    InvalidWait = "invalid_wait", 400;
    InvalidOwner = "invalid_owner", 400;
    InvalidGroup = "invalid_group", 400;
    InvalidTimeout = "invalid_timeout", 400;
    InvalidTtl = "invalid_ttl", 400;
    InvalidPolicy = "invalid_policy", 400;
    InvalidDelay = "invalid_delay", 400;
    InvalidKey = "invalid_key", 400;
    InvalidLeases = "invalid_leases", 400;
    InvalidSink = "invalid_sink", 400;
    InvalidRequest = "invalid_request", 400;
    Unauthorized = "unauthorized", 401;
    ForbiddenHost = "forbidden_host", 403;
    ForbiddenOrigin = "forbidden_origin", 403;
    ForbiddenAddress = "forbidden_address", 403;
    NotFound = "not_found", 404;
    MessageNotFound = "message_not_found", 404;
    SubscriberNotFound = "subscriber_not_found", 404;
    TicketNotFound = "ticket_not_found", 404;
    PermitNotFound = "permit_not_found", 404;
    WorkerNotFound = "worker_not_found", 404;
    SinkNotFound = "sink_not_found", 404;
    LeaseNotFound = "lease_not_found", 404;
    MethodNotAllowed = "method_not_allowed", 405;
    RequestTimeout = "request_timeout", 408;
    TimedOut = "timed_out", 408;
    Granted = "granted", 409;
    Cancelled = "cancelled", 409;
    NotEmpty = "not_empty", 409;
    Leased = "leased", 409;
    LeaseExpired = "lease_expired", 410;
    TooLarge = "too_large", 413;
    UnsupportedEncoding = "unsupported_encoding", 415;
    Locked = "locked", 423;
    UpgradeRequired = "upgrade_required", 426;
    QueueFull = "queue_full", 429;
    FleetFull = "fleet_full", 429;
    RateLimited = "rate_limited", 429;
    NoPermit = "no_permit", 429;
    TooManySubscribers = "too_many_subscribers", 429;
    TooManySinks = "too_many_sinks", 429;
    QuotaExceeded = "quota_exceeded", 429;
    HeadersTooLarge = "headers_too_large", 431;
    HandlerPanicked = "handler_panicked", 500;
    ActivationFailed = "activation_failed", 500;
    CallCycle = "call_cycle", 500;
    OutcomeUnknown = "outcome_unknown", 500;
    NotSaved = "not_saved", 500;
    StoreFailed = "store_failed", 500;
    StorePoisoned = "store_poisoned", 500;
    StoreUnavailable = "store_unavailable", 503;
    Overloaded = "overloaded", 503;
    TooManyConnections = "too_many_connections", 503;
    Paused = "paused", 503;
    DeadlinePassed = "deadline_passed", 503;
    Fenced = "fenced", 503;
    Recovering = "recovering", 503;
    ShuttingDown = "shutting_down", 503;
    DiskFull = "disk_full", 507;
}

impl Code {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        self.table().0
    }

    /// The status it is answered with, unless the problem says otherwise.
    pub(crate) fn status(self) -> u16 {
        self.table().1
    }

    /// How long a client should wait before it asks again, where asking again may help.
    pub(crate) fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Overloaded => Some(Duration::from_millis(100)),
            Self::TooManySubscribers
            | Self::TooManyConnections
            | Self::TooManySinks
            | Self::FleetFull => Some(Duration::from_secs(5)),
            Self::QueueFull
            | Self::RateLimited
            | Self::NoPermit
            | Self::QuotaExceeded
            | Self::Paused
            | Self::DeadlinePassed
            | Self::StoreUnavailable
            | Self::Fenced => Some(Duration::from_secs(1)),
            Self::Recovering | Self::ShuttingDown => Some(Duration::from_secs(2)),
            Self::DiskFull => Some(Duration::from_secs(10)),
            _ => None,
        }
    }
}
