//! Permits for an actor of the node: several at a time, and without waiting.

use lanekeeper_storage::key::Priority;

use crate::{
    actor::virtual_actor::{Handler, Request},
    gate::{
        actor::GateActor,
        api::{error::GateError, group::Group, handle::Gate},
        verb::acquire::{AcquireRequest, Admission},
    },
    runtime::turn::Turn,
};

/// Let each of these owners hold a permit that ends so many milliseconds from now, in this order,
/// as far as there are any; none of them waits.
pub(crate) struct HoldPermits {
    owners: Vec<Box<str>>,
    ttl_ms: u32,
}

/// How many of the owners hold one now, and why the next one does not.
pub(crate) type HeldPermits = (usize, Option<GateError>);

impl Request for HoldPermits {
    type Reply = Result<HeldPermits, GateError>;
}

impl Handler<HoldPermits> for GateActor {
    async fn handle(
        &mut self,
        HoldPermits { owners, ttl_ms }: HoldPermits,
        turn: &mut Turn<'_, Self>,
    ) -> Result<HeldPermits, GateError> {
        let (held, _) = self.run(turn, |rules, change| {
            for (count, owner) in owners.into_iter().enumerate() {
                if rules.extend(&owner, ttl_ms.into(), change).is_ok() {
                    continue;
                }
                let wanted = AcquireRequest {
                    owner,
                    priority: Priority::default().get(),
                    group: Group::default(),
                    worker: None,
                    timeout_ms: Some(0),
                    ttl_ms,
                    attempt: 0,
                };
                match rules.acquire(&wanted, change) {
                    Ok(Admission::Granted { .. }) => {}
                    Ok(Admission::Waiting(_)) => return (count, None),
                    Err(error) => return (count, Some(error)),
                }
            }
            (usize::MAX, None)
        })?;
        if let Some(blocked_by) = held.1.as_ref().and_then(GateError::blocked_by) {
            self.policy_cache.metrics.refuse(blocked_by);
        }
        Ok(held)
    }
}

impl Gate {
    /// Lets each of these owners hold a permit that ends so many milliseconds from now: those that
    /// hold one keep it, the others get one, in this order, as far as there are any.
    pub(crate) async fn hold_several(
        &self,
        owners: Vec<Box<str>>,
        ttl_ms: u32,
    ) -> Result<HeldPermits, GateError> {
        let asked = owners.len();
        let (count, error) = self.ask(HoldPermits { owners, ttl_ms }).await??;
        Ok((count.min(asked), error))
    }
}
