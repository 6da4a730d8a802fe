//! Messages under work in a data directory that the command opened itself.

use std::time::Duration;

use lanekeeper::{
    queue::{LeaseError, LeaseToken, NackOptions, Redrive, SettledLeases},
    wire::{self, FailedLease},
};

use crate::cli::{
    backend::embedded::Embedded,
    command::lease::backend::{LeaseBackend, LeaseOf, RedriveOf},
    exit::CommandFailure,
};

impl LeaseBackend for Embedded {
    fn lease(&self, id: &str, wanted: &LeaseOf<'_>) -> Result<wire::Leased, CommandFailure> {
        let mut lease = self.node().queue(id).lease(wanted.depth).wait(wanted.wait);
        if let Some(ttl) = wanted.ttl {
            lease = lease.ttl(ttl);
        }
        if let Some(worker) = wanted.worker {
            lease = lease.worker(worker);
        }
        if let Some(life) = wanted.life {
            lease = lease.life(life);
        }
        let leases = self.wait(async { lease.await })?;
        let messages: Vec<_> = leases.iter().map(wire::LeasedMessage::from).collect();
        // They outlive this process: whoever reads what is printed settles them.
        leases.into_iter().for_each(|lease| drop(lease.detach()));
        Ok(wire::Leased { count: messages.len(), messages })
    }

    fn ack(&self, id: &str, leases: &[String]) -> Result<wire::Acked, CommandFailure> {
        let (tokens, mut failed) = read(leases);
        let mut settled = SettledLeases::default();
        if !tokens.is_empty() {
            settled = self.wait(self.node().queue(id).ack(&tokens))?;
        }
        failed.extend(settled.failed.into_iter().map(FailedLease::from));
        Ok(wire::Acked { acked: settled.count, failed })
    }

    fn nack(
        &self,
        id: &str,
        leases: &[String],
        options: NackOptions,
    ) -> Result<wire::Nacked, CommandFailure> {
        let (tokens, mut failed) = read(leases);
        let mut settled = SettledLeases::default();
        if !tokens.is_empty() {
            settled = self.wait(self.node().queue(id).nack(&tokens, options))?;
        }
        failed.extend(settled.failed.into_iter().map(FailedLease::from));
        Ok(wire::Nacked { nacked: settled.count, failed })
    }

    fn extend_leases(
        &self,
        id: &str,
        leases: &[String],
        ttl: Option<Duration>,
    ) -> Result<wire::ExtendedLeases, CommandFailure> {
        let (tokens, mut failed) = read(leases);
        if tokens.is_empty() {
            return Ok(wire::ExtendedLeases { extended: Vec::new(), failed });
        }
        let done = self.wait(self.node().queue(id).extend(&tokens, ttl))?;
        let extended = wire::ExtendedLease::all(&done);
        failed.extend(done.failed.into_iter().map(FailedLease::from));
        Ok(wire::ExtendedLeases { extended, failed })
    }

    fn dead_letter(
        &self,
        id: &str,
        leases: &[String],
        reason: &str,
    ) -> Result<wire::MovedToDeadLetters, CommandFailure> {
        let (tokens, mut failed) = read(leases);
        let queue = self.node().queue(id);
        let mut settled = SettledLeases::default();
        if !tokens.is_empty() {
            settled = self.wait(queue.dead_letter(&tokens, reason))?;
        }
        failed.extend(settled.failed.into_iter().map(FailedLease::from));
        let queue = queue.dead_letter_id().map_err(CommandFailure::failed)?;
        Ok(wire::MovedToDeadLetters { moved: settled.count, queue, failed })
    }

    fn redrive(&self, id: &str, which: RedriveOf<'_>) -> Result<wire::Redriven, CommandFailure> {
        let which = match which {
            RedriveOf::All => Redrive::All,
            RedriveOf::First(depth) => Redrive::First(depth),
            RedriveOf::Ids(ids) => {
                // Ids are opaque, so a text that is none is one that is not there.
                let ids: Vec<_> = ids.iter().filter_map(|id| id.parse().ok()).collect();
                if ids.is_empty() {
                    return Ok(wire::Redriven { moved: 0 });
                }
                Redrive::Ids(ids)
            }
        };
        let moved = self.wait(self.node().queue(id).redrive(which))?;
        Ok(wire::Redriven { moved })
    }
}

/// The tokens among leases, and what is none.
fn read(leases: &[String]) -> (Vec<LeaseToken>, Vec<FailedLease>) {
    let (mut tokens, mut failed) = (Vec::new(), Vec::new());
    for lease in leases {
        match lease.parse() {
            Ok(token) => tokens.push(token),
            Err(_) => failed.push(FailedLease::new(lease, LeaseError::NotFound)),
        }
    }
    (tokens, failed)
}
