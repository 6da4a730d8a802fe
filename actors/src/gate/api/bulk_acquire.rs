//! Permits for an actor of the node: several at a time, and without waiting.

use lanekeeper_storage::key::Priority;

use crate::{
    actor::virtual_actor::{Handler, Request},
    gate::{
        actor::GateActor,
        api::{error::GateError, group::Group, handle::Gate},
        verb::acquire::{Admission, Wanted},
    },
    runtime::turn::Turn,
};

/// Let each of these owners hold a permit that ends so many milliseconds from now, in this order,
/// as far as there are any; none of them waits.
pub(crate) struct HoldSeveral {
    owners: Vec<Box<str>>,
    ttl_ms: u32,
}

/// How many of the owners hold one now, and why the next one does not.
pub(crate) type Held = (usize, Option<GateError>);

impl Request for HoldSeveral {
    type Reply = Result<Held, GateError>;
}

impl Handler<HoldSeveral> for GateActor {
    async fn handle(
        &mut self,
        HoldSeveral { owners, ttl_ms }: HoldSeveral,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Held, GateError> {
        let (held, _) = self.run(turn, |rules, change| {
            for (count, owner) in owners.into_iter().enumerate() {
                if rules.extend(&owner, ttl_ms.into(), change).is_ok() {
                    continue;
                }
                let wanted = Wanted {
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
            self.board.tally.refuse(blocked_by);
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
    ) -> Result<Held, GateError> {
        let asked = owners.len();
        let (count, error) = self.ask(HoldSeveral { owners, ttl_ms }).await??;
        Ok((count.min(asked), error))
    }
}
