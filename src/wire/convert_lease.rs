//! From what leasing gives to what the wire carries.

use lanekeeper_actors::queue::{ExtendedLeases, Lease, LeaseError, LeaseToken};

use crate::wire::{
    convert::unix_millis,
    lease::{ExtendedLease, FailedLease, LeasedMessage},
    queue::Message,
};

impl From<&Lease> for LeasedMessage {
    fn from(lease: &Lease) -> Self {
        Self {
            message: Message::from(&**lease),
            lease: lease.token().to_string(),
            lease_expires_at: unix_millis(lease.expires_at()),
        }
    }
}

impl FailedLease {
    /// A lease that failed so.
    pub fn new(lease: impl Into<String>, error: LeaseError) -> Self {
        let code = match error {
            LeaseError::NotFound => "lease_not_found",
            LeaseError::Expired => "lease_expired",
        };
        Self { lease: lease.into(), code: code.to_owned() }
    }
}

impl From<(LeaseToken, LeaseError)> for FailedLease {
    fn from((token, error): (LeaseToken, LeaseError)) -> Self {
        Self::new(token.to_string(), error)
    }
}

impl ExtendedLease {
    /// The extended leases.
    pub fn all(extended: &ExtendedLeases) -> Vec<Self> {
        let lease_expires_at = unix_millis(extended.expires_at);
        let one = |token: &LeaseToken| Self { lease: token.to_string(), lease_expires_at };
        extended.extended.iter().map(one).collect()
    }
}
