//! The gates of a data directory that the command opened itself.

use std::time::Duration;

use lanekeeper::{
    gate::{Acquire, GateError},
    wire,
};

use crate::cli::{
    backend::embedded::Embedded,
    command::gate::backend::{GateBackend, Wanted},
    exit::CommandFailure,
};

impl GateBackend for Embedded {
    fn acquire(&self, id: &str, wanted: &Wanted) -> Result<wire::Ticket, CommandFailure> {
        let gate = self.node().gate(id);
        let acquire = options(gate.acquire(&wanted.owner).priority(wanted.priority), wanted);
        if wanted.is_waiting {
            self.wait(async { acquire.await })?;
            return self.ticket(id, &wanted.owner);
        }
        self.wait(async { acquire.ticket().await }).map(wire::Ticket::from)
    }

    fn release(&self, id: &str, owner: &str) -> Result<wire::Released, CommandFailure> {
        self.wait(self.node().gate(id).release(owner)).map(wire::Released::from)
    }

    fn cancel_place(&self, id: &str, owner: &str) -> Result<wire::Cancelled, CommandFailure> {
        self.wait(self.node().gate(id).cancel(owner))?;
        Ok(wire::Cancelled { cancelled: true })
    }

    fn extend(
        &self,
        id: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<wire::Extended, CommandFailure> {
        // Told from other failures, as a server does it.
        let extended = self.wait(async {
            match self.node().gate(id).extend(owner, ttl).await {
                Err(GateError::PermitNotFound) => Ok(Err(GateError::PermitNotFound)),
                done => done.map(Ok),
            }
        })?;
        let lost = |error| CommandFailure::failed(error).coded("permit_not_found".to_owned());
        extended.map(wire::Extended::from).map_err(lost)
    }

    fn pause_gate(&self, id: &str, is_paused: bool) -> Result<wire::GatePaused, CommandFailure> {
        let gate = self.node().gate(id);
        match is_paused {
            true => self.wait(gate.pause())?,
            false => self.wait(gate.resume())?,
        };
        Ok(wire::GatePaused { paused: is_paused })
    }

    fn ticket(&self, id: &str, owner: &str) -> Result<wire::Ticket, CommandFailure> {
        self.wait(self.node().gate(id).ticket(owner)).map(wire::Ticket::from)
    }

    fn gate_stats(&self, id: &str) -> Result<wire::GateStats, CommandFailure> {
        self.wait(self.node().gate(id).stats()).map(wire::GateStats::from)
    }

    fn policy(&self, id: &str) -> Result<wire::AppliedPolicy, CommandFailure> {
        self.wait(self.node().gate(id).policy()).map(wire::AppliedPolicy::from)
    }

    fn set_policy(
        &self,
        id: &str,
        policy: Option<&wire::GatePolicy>,
    ) -> Result<wire::AppliedPolicy, CommandFailure> {
        let policy = policy.cloned().map(lanekeeper::gate::GatePolicy::from);
        self.wait(self.node().gate(id).set_policy(policy)).map(wire::AppliedPolicy::from)
    }
}

fn options(mut acquire: Acquire, wanted: &Wanted) -> Acquire {
    for (name, value) in &wanted.group {
        acquire = acquire.group(name, value);
    }
    if let Some(timeout) = wanted.timeout {
        acquire = acquire.timeout(timeout);
    }
    if let Some(ttl) = wanted.ttl {
        acquire = acquire.ttl(ttl);
    }
    if let Some(worker) = &wanted.worker {
        acquire = acquire.worker(worker);
    }
    acquire
}
