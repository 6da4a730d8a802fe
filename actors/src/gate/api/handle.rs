//! The address of a gate.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use lanekeeper_storage::record::GateLetter;

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
            CancelOne, ExtendOne, Pause, ReadPolicy, ReadStats, ReadTicket, ReleaseOne, SetPolicy,
            Spread,
        },
    },
    node::lifecycle::Node,
    runtime::{shared_state::Runtime, turn::Turn},
    time::clock::Clock,
};

/// The bounds of the ttl of a permit.
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(12 * 3600);

/// The address of a gate: no I/O to make, cheap to clone, valid across passivation and restart.
/// The gate always exists; what is never used answers zeros and admits what its policy does.
///
/// At most so many owners hold a permit at a time, as its [policy](GatePolicy) has it; the others
/// wait in strict order: a lower priority number first, first come, first served inside one
/// priority. A newcomer runs at once only when a permit is free and nobody waits for it.
///
/// With limits for groups, owners of the same group stand in one line in that order. Whoever is
/// held up by nothing but a group's limit stands aside and keeps its place: owners of other groups
/// go past it, those of its own group never do.
///
/// Permits and places in the line survive a restart, in order. Every verb answers once what it did
/// is as durable as promised; dropping a verb's future after its first poll gives up the answer,
/// not the request, unless the verb says otherwise. Common to all verbs are the errors
/// [`GateError::InvalidId`], [`GateError::Load`] and [`GateError::Ask`].
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

    /// Asks for a permit and waits for it: await what this returns.
    ///
    /// It is idempotent by owner: an owner that holds a permit gets the same again, one that waits
    /// goes on waiting at its place, on the terms it came with.
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

    /// What an owner has: a permit, or which place in the line.
    ///
    /// # Errors
    /// [`GateError::InvalidOwner`]; [`GateError::TicketNotFound`] if it has neither.
    pub async fn ticket(&self, owner: &str) -> Result<Ticket, GateError> {
        self.ask(ReadTicket(checked_owner(owner)?)).await?
    }

    /// Ends an owner's permit, whoever holds it now, and lets in who is next; says who that is. It
    /// does nothing if the owner holds none.
    ///
    /// # Errors
    /// [`GateError::InvalidOwner`].
    pub async fn release(&self, owner: &str) -> Result<Released, GateError> {
        self.ask(ReleaseOne(checked_owner(owner)?)).await?
    }

    /// Lets an owner's permit end `ttl` from now (1 s to 12 h), also if it had no end, or one that
    /// is later; says when.
    ///
    /// # Errors
    /// [`GateError::InvalidOwner`], [`GateError::InvalidTtl`]; [`GateError::PermitNotFound`] if it
    /// holds none (any more).
    pub async fn extend(&self, owner: &str, ttl: Duration) -> Result<SystemTime, GateError> {
        let ttl_ms = u64::from(checked_ttl(ttl)?);
        self.ask(ExtendOne { owner: checked_owner(owner)?, ttl_ms }).await?
    }

    /// Takes an owner out of the line; whoever waits for it is told [`GateError::Cancelled`].
    ///
    /// # Errors
    /// [`GateError::InvalidOwner`]; [`GateError::Granted`] if it holds a permit, which stays;
    /// [`GateError::TicketNotFound`] if it has no place.
    pub async fn cancel(&self, owner: &str) -> Result<(), GateError> {
        self.ask(CancelOne(checked_owner(owner)?)).await?
    }

    /// The gate in numbers: zeros if it was never used.
    ///
    /// # Errors
    /// The common ones.
    pub async fn stats(&self) -> Result<GateStats, GateError> {
        self.ask(ReadStats).await?
    }

    /// The policy that applies, and whose it is.
    ///
    /// # Errors
    /// The common ones.
    pub async fn policy(&self) -> Result<AppliedPolicy, GateError> {
        self.ask(ReadPolicy).await?
    }

    /// Gives the gate a policy of its own, or takes it away with `None`; answers what applies now.
    /// It survives a restart.
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
        self.ask(Spread).await??;
        Ok(applied)
    }

    /// Lets nobody in from now on: newcomers are refused, those in line keep their places and their
    /// timeouts. It lasts until it is resumed, restarts included. Answers whether that is new.
    ///
    /// # Errors
    /// The common ones.
    pub async fn pause(&self) -> Result<bool, GateError> {
        self.ask(Pause(true)).await?
    }

    /// Lets owners in again. Answers whether that is new.
    ///
    /// # Errors
    /// The common ones.
    pub async fn resume(&self) -> Result<bool, GateError> {
        self.ask(Pause(false)).await?
    }

    /// Puts the gate's activation away if it is idle and nobody in this process waits at it, and
    /// returns once it is gone: true if there was one. The gate goes on existing, with its permits
    /// and its line. Dropping the future does not stop it.
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
        gate_of(&self.meta.seat.kind.runtime, id)
    }

    /// Ends an owner's permit with this turn's commit: exactly once, a moment later, also after a
    /// crash in between; not at all if the commit is refused. It does nothing if the owner holds
    /// none then.
    ///
    /// # Errors
    /// [`GateError::InvalidId`], [`GateError::InvalidOwner`].
    pub fn release_permit(&mut self, gate: &str, owner: &str) -> Result<(), GateError> {
        check_id(gate)?;
        let letter = GateLetter { owner: checked_owner(owner)?.into() };
        self.send::<GateActor>(gate, letter.encode());
        Ok(())
    }
}

fn gate_of(runtime: &Arc<Runtime>, id: &str) -> Gate {
    let actor = check_id(id).map(|()| runtime.actor(id));
    Gate(Arc::new(Address { id: id.into(), actor, clock: runtime.clock.clone() }))
}

impl Node {
    /// The address of a gate. A text that is no id is reported by each of the gate's verbs.
    pub fn gate(&self, id: &str) -> Gate {
        gate_of(self.runtime(), id)
    }
}
