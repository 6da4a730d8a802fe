//! The address of a gate.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use lanekeeper_storage::record::GateOutboxRecord;

use crate::{
    actor::{
        actor_ref::ActorRef,
        id::{InvalidId, check_id},
        virtual_actor::{Actor, Handler, Request},
    },
    gate::{
        actor::GateActor,
        api::{
            acquire_options::Acquire,
            error::GateError,
            policy::{AppliedPolicy, GatePolicy},
            stats::{GateStats, Released, Ticket},
        },
        verb::handler::{
            CancelOne, ExtendOne, Pause, PropagatePolicy, ReadPolicy, ReadStats, ReadTicket,
            ReleaseOne, SetPolicy,
        },
    },
    node::lifecycle::Node,
    runtime::{shared_state::Runtime, turn::Turn},
    time::clock::Clock,
};

/// The bounds of the ttl of a permit.
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(12 * 3600);

/// The address of a gate, a distributed semaphore. Cheap to make and to clone, without I/O, and
/// valid across passivation and restart. The gate always exists; one never used has zeros in its
/// stats.
///
/// Its [policy](GatePolicy) limits how many owners hold a permit at a time. The others wait in
/// strict order: a lower priority number first, then by arrival. A newcomer is granted at once only
/// if a permit is free and no owner waits for it.
///
/// With limits for groups, owners of the same group form one wait queue in that order. An owner
/// that is blocked only by the limit of its group keeps its position and does not block other
/// groups; owners of its own group never overtake it.
///
/// Permits and positions survive a restart. Every verb returns once its changes are as durable as
/// promised; dropping its future after the first poll gives up the answer, not the request, unless
/// documented otherwise. All verbs can fail with [`GateError::InvalidId`], [`GateError::Load`] and
/// [`GateError::Ask`].
#[derive(Clone)]
pub struct Gate(Arc<Address>);

struct Address {
    id: Arc<str>,
    actor: Result<ActorRef<GateActor>, InvalidId>,
    clock: Clock,
}

impl Gate {
    /// The id it was asked for with, valid or not.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Acquires a permit, waiting for it; await the result.
    ///
    /// It is idempotent by owner: an owner with a permit gets the same one, and a waiting owner
    /// keeps its position and its original options.
    ///
    /// # Errors
    /// [`GateError::InvalidOwner`], [`GateError::InvalidPriority`], [`GateError::InvalidGroup`],
    /// [`GateError::InvalidTimeout`], [`GateError::InvalidTtl`]; in this order
    /// [`GateError::Paused`], [`GateError::Full`], [`GateError::QuotaExceeded`],
    /// [`GateError::RateLimited`], [`GateError::TimedOut`]; [`GateError::Cancelled`] and
    /// [`GateError::GaveWay`] while it waits.
    pub fn acquire(&self, owner: &str) -> Acquire {
        Acquire::new(self.clone(), owner)
    }

    /// The permit of an owner, or its position in the wait queue.
    ///
    /// # Errors
    /// [`GateError::InvalidOwner`]; [`GateError::TicketNotFound`] if it has neither.
    pub async fn ticket(&self, owner: &str) -> Result<Ticket, GateError> {
        self.ask(ReadTicket(checked_owner(owner)?)).await?
    }

    /// Releases an owner's permit and returns the owners that are granted one instead. No effect if
    /// the owner holds none.
    ///
    /// # Errors
    /// [`GateError::InvalidOwner`].
    pub async fn release(&self, owner: &str) -> Result<Released, GateError> {
        self.ask(ReleaseOne(checked_owner(owner)?)).await?
    }

    /// Sets the end of an owner's permit to `ttl` from now (1 s to 12 h), even if it had none or a
    /// later one, and returns it.
    ///
    /// # Errors
    /// [`GateError::InvalidOwner`], [`GateError::InvalidTtl`]; [`GateError::PermitNotFound`] if it
    /// holds none (any more).
    pub async fn extend(&self, owner: &str, ttl: Duration) -> Result<SystemTime, GateError> {
        let ttl_ms = u64::from(checked_ttl(ttl)?);
        self.ask(ExtendOne { owner: checked_owner(owner)?, ttl_ms }).await?
    }

    /// Removes a waiting owner; its waiting calls get [`GateError::Cancelled`].
    ///
    /// # Errors
    /// [`GateError::InvalidOwner`]; [`GateError::Granted`] if it holds a permit, which stays;
    /// [`GateError::TicketNotFound`] if it has no place.
    pub async fn cancel(&self, owner: &str) -> Result<(), GateError> {
        self.ask(CancelOne(checked_owner(owner)?)).await?
    }

    /// The counts and totals of the gate: zeros if it was never used.
    ///
    /// # Errors
    /// The common ones.
    pub async fn stats(&self) -> Result<GateStats, GateError> {
        self.ask(ReadStats).await?
    }

    /// The policy that applies, and its source.
    ///
    /// # Errors
    /// The common ones.
    pub async fn policy(&self) -> Result<AppliedPolicy, GateError> {
        self.ask(ReadPolicy).await?
    }

    /// Sets the gate's own policy, or removes it with `None`, and returns the policy that applies
    /// now. It survives a restart.
    ///
    /// It takes effect here in the same turn: a higher limit lets in at once who waits for it
    /// (2,000 in this turn, and as many in each that follows of itself), a lower one revokes
    /// nothing.
    ///
    /// For gates below (`a.b`, if this is `a`) that have no nearer policy it takes effect with the
    /// next verb that begins after this one has answered, and those of them at which somebody waits
    /// are told before it answers; should it be interrupted, the node goes on telling them by
    /// itself, also after a restart.
    ///
    /// # Errors
    /// [`GateError::InvalidPolicy`].
    pub async fn set_policy(
        &self,
        policy: impl Into<Option<GatePolicy>>,
    ) -> Result<AppliedPolicy, GateError> {
        let policy = policy.into();
        policy.as_ref().map_or(Ok(()), GatePolicy::check)?;
        let applied = self.ask(SetPolicy(policy)).await??;
        self.ask(PropagatePolicy).await??;
        Ok(applied)
    }

    /// Pauses the gate: newcomers are refused, and waiting owners keep their positions and
    /// timeouts. A pause lasts until it is resumed, also over restarts. Returns whether it was not
    /// paused before.
    ///
    /// # Errors
    /// The common ones.
    pub async fn pause(&self) -> Result<bool, GateError> {
        self.ask(Pause(true)).await?
    }

    /// Resumes the gate. Returns whether it was paused before.
    ///
    /// # Errors
    /// The common ones.
    pub async fn resume(&self) -> Result<bool, GateError> {
        self.ask(Pause(false)).await?
    }

    /// Passivates the gate if it is in memory, idle and without waiting calls of this process, and
    /// returns true once it has left memory; false if it was not in memory. The gate still exists,
    /// with its permits and wait queue. Dropping the future does not stop this.
    pub async fn passivate(&self) -> bool {
        match &self.0.actor {
            Ok(actor) => actor.passivate().await,
            Err(_) => false,
        }
    }

    pub(crate) fn actor(&self) -> Result<&ActorRef<GateActor>, GateError> {
        self.0.actor.as_ref().map_err(|&error| error.into())
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) async fn ask<R: Request>(&self, request: R) -> Result<R::Reply, GateError>
    where
        GateActor: Handler<R>,
    {
        Ok(self.actor()?.ask(request).await?)
    }
}

pub(crate) fn checked_owner(owner: &str) -> Result<Box<str>, GateError> {
    check_id(owner).map(|()| owner.into()).map_err(GateError::InvalidOwner)
}

/// A ttl in milliseconds, if it is within the bounds.
pub(crate) fn checked_ttl(ttl: Duration) -> Result<u32, GateError> {
    let is_within = (TTL_MIN..=TTL_MAX).contains(&ttl);
    if is_within { Ok(ttl.as_millis() as u32) } else { Err(GateError::InvalidTtl { ttl }) }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({:?})", self.id())
    }
}

impl<A: Actor> Turn<'_, A> {
    /// The address of a gate, for this turn. The actor takes no other request while it waits there:
    /// with a [timeout](Acquire::timeout) of zero it waits not at all. Acquiring is idempotent by
    /// owner, so that a turn that is lost after it can be run again.
    pub fn gate(&self, id: &str) -> Gate {
        gate_of(&self.meta.guard.kind.runtime, id)
    }

    /// Ends an owner's permit with this turn's commit: exactly once, a moment later, also after a
    /// crash in between; not at all if the commit is refused. It does nothing if the owner holds
    /// none then.
    ///
    /// # Errors
    /// [`GateError::InvalidId`], [`GateError::InvalidOwner`].
    pub fn release_permit(&mut self, gate: &str, owner: &str) -> Result<(), GateError> {
        check_id(gate)?;
        let letter = GateOutboxRecord { owner: checked_owner(owner)?.into() };
        self.send::<GateActor>(gate, letter.encode());
        Ok(())
    }
}

fn gate_of(runtime: &Arc<Runtime>, id: &str) -> Gate {
    let actor = check_id(id).map(|()| runtime.actor(id));
    Gate(Arc::new(Address { id: id.into(), actor, clock: runtime.clock.clone() }))
}

impl Node {
    /// The address of a gate. An invalid id is reported by each of its verbs.
    pub fn gate(&self, id: &str) -> Gate {
        gate_of(self.runtime(), id)
    }
}
