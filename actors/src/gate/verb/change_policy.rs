//! Changing a part of a gate's policy in one turn, whatever the rest is by then.

use crate::{
    actor::virtual_actor::{Handler, Request},
    gate::{
        actor::GateActor,
        api::{
            error::GateError,
            handle::Gate,
            policy::{AppliedPolicy, GatePolicy},
        },
        verb::handler::PropagatePolicy,
    },
    runtime::turn::Turn,
};

/// Make the gate's own policy of the one that applies.
struct ChangePolicy<E>(PolicyChange<E>);

/// What makes it.
type PolicyChange<E> = Box<dyn FnOnce(AppliedPolicy) -> Result<GatePolicy, E> + Send>;

impl<E: From<GateError> + Send + 'static> Request for ChangePolicy<E> {
    type Reply = Result<AppliedPolicy, E>;
}

impl<E: From<GateError> + Send + 'static> Handler<ChangePolicy<E>> for GateActor {
    async fn handle(
        &mut self,
        ChangePolicy(change): ChangePolicy<E>,
        turn: &mut Turn<'_, Self>,
    ) -> Result<AppliedPolicy, E> {
        self.run(turn, |_, _| ()).map_err(GateError::from)?;
        let policy = change(AppliedPolicy::clone(&self.rules.applied))?;
        policy.check()?;
        self.set_policy(Some(&policy), turn)?;
        Ok(AppliedPolicy::clone(&self.rules.applied))
    }
}

impl Gate {
    /// Gives the gate the policy of its own that `change` makes of the one that applies, whosever
    /// that is, with no other change in between; answers what applies now. If `change` fails,
    /// nothing changes. It runs inside the gate's turn: it should not block. It takes effect as
    /// [`Gate::set_policy`] says.
    ///
    /// # Errors
    /// What `change` answers, and as [`Gate::set_policy`].
    pub async fn change_policy<E: From<GateError> + Send + 'static>(
        &self,
        change: impl FnOnce(AppliedPolicy) -> Result<GatePolicy, E> + Send + 'static,
    ) -> Result<AppliedPolicy, E> {
        let applied = self.ask(ChangePolicy(Box::new(change))).await??;
        self.ask(PropagatePolicy).await?.map_err(GateError::from)?;
        Ok(applied)
    }
}
