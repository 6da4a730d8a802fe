//! A permit, as its owner holds it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use crate::gate::{
    api::{error::GateError, handle::Gate, stats::Released},
    verb::handler::ReleaseOne,
};

/// A permit of a gate. It belongs to its owner, not to this value: dropping it releases nothing,
/// and any process can [release](Gate::release) it by the name of the owner. [`Permit::guard`]
/// makes a value that releases it.
#[derive(Clone)]
pub struct Permit {
    gate: Gate,
    owner: Box<str>,
    waited: Duration,
}

impl Permit {
    pub(crate) fn new(gate: Gate, owner: &str, waited: Duration) -> Self {
        Self { gate, owner: owner.into(), waited }
    }

    /// The owner.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The time the owner had waited for it.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// As [`Gate::release`].
    ///
    /// # Errors
    /// As there.
    pub async fn release(self) -> Result<Released, GateError> {
        self.gate.release(&self.owner).await
    }

    /// As [`Gate::extend`].
    ///
    /// # Errors
    /// As there.
    pub async fn extend(&self, ttl: Duration) -> Result<SystemTime, GateError> {
        self.gate.extend(&self.owner, ttl).await
    }

    /// A value that releases the permit in the background when it is dropped. A node that shuts
    /// down meanwhile keeps the permit.
    #[must_use = "dropping it releases the permit"]
    pub fn guard(self) -> PermitGuard {
        PermitGuard(self)
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({:?} of {:?})", self.owner, self.gate.id())
    }
}

/// A permit that is released when this is dropped.
#[derive(Debug)]
pub struct PermitGuard(Permit);

impl PermitGuard {
    /// The permit.
    pub fn permit(&self) -> &Permit {
        &self.0
    }
}

impl Drop for PermitGuard {
    fn drop(&mut self) {
        if let Ok(actor) = self.0.gate.actor()
            && let Err(error) = actor.tell(ReleaseOne(self.0.owner.clone()))
        {
            tracing::warn!(permit = ?self.0, %error, "a permit was not released");
        }
    }
}
