//! What a gate is asked, and how it answers.

use lanekeeper_storage::LoadError;

use crate::{
    actor::{
        deferred_reply::DeferredReply,
        virtual_actor::{Handler, Request},
    },
    gate::{
        actor::GateActor,
        api::{
            error::GateError,
            policy::{AppliedPolicy, GatePolicy},
            stats::{GateStats, Released, Ticket},
        },
        state::{entry::EntryState, turn_context::Decision},
        verb::acquire::{AcquireRequest, Admission},
    },
    runtime::turn::Turn,
    time::clock::{from_unix_ms, unix_ms},
};

/// Give an owner a permit, or a place in the line.
pub(crate) struct AcquireOne {
    pub(crate) wanted: AcquireRequest,
    /// Whether somebody waits for the permit.
    pub(crate) is_waited_for: bool,
}

/// What an acquire comes to.
pub(crate) enum Acquired {
    Granted { waited_ms: u32 },
    Later(DeferredReply<Decision>),
    Queued(Ticket),
}

/// End the permit of an owner.
pub(crate) struct ReleaseOne(pub(crate) Box<str>);

/// Take an owner out of the line.
pub(crate) struct CancelOne(pub(crate) Box<str>);

/// Let a permit end so many milliseconds from now.
pub(crate) struct ExtendOne {
    pub(crate) owner: Box<str>,
    pub(crate) ttl_ms: u64,
}

/// An acquire was dropped: give up what it got, if nobody else has use for it.
pub(crate) struct CancelWait {
    pub(crate) owner: Box<str>,
    pub(crate) attempt: u32,
}

/// Look whether a policy has changed, and let in who may go now.
pub(crate) struct ReevaluatePolicy;

/// Tell the gates below that the policy has changed.
pub(crate) struct PropagatePolicy;

/// What an owner has.
pub(crate) struct ReadTicket(pub(crate) Box<str>);

/// The gate in numbers.
pub(crate) struct ReadStats;

/// The policy that applies.
pub(crate) struct ReadPolicy;

/// Replace the gate's own policy, or take it away.
pub(crate) struct SetPolicy(pub(crate) Option<GatePolicy>);

/// Let nobody in from now on, or again.
pub(crate) struct Pause(pub(crate) bool);

impl Request for AcquireOne {
    type Reply = Result<Acquired, GateError>;
}

impl Handler<AcquireOne> for GateActor {
    async fn handle(
        &mut self,
        AcquireOne { wanted, is_waited_for }: AcquireOne,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Acquired, GateError> {
        let (admitted, _) = self.run(turn, |rules, change| rules.acquire(&wanted, change))?;
        if let Some(blocked_by) = admitted.as_ref().err().and_then(GateError::blocked_by) {
            self.policy_cache.metrics.refuse(blocked_by);
        }
        let index = match admitted? {
            Admission::Granted { waited_ms } => return Ok(Acquired::Granted { waited_ms }),
            Admission::Waiting(index) => index,
        };
        if let EntryState::Held { waited_ms } = self.rules.wait_queue().entries[index].state {
            return Ok(Acquired::Granted { waited_ms });
        }
        if is_waited_for {
            return Ok(Acquired::Later(self.listen(index, wanted.attempt, turn)));
        }
        let ticket = self.rules.newcomer(index, unix_ms(turn.now()));
        ticket.map(Acquired::Queued).ok_or(GateError::TicketNotFound)
    }
}

impl Request for ReleaseOne {
    type Reply = Result<Released, GateError>;
}

impl Handler<ReleaseOne> for GateActor {
    async fn handle(
        &mut self,
        ReleaseOne(owner): ReleaseOne,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Released, GateError> {
        let (released, granted) = self.run(turn, |rules, change| rules.release(&owner, change))?;
        Ok(Released { released, granted })
    }
}

impl Request for CancelOne {
    type Reply = Result<(), GateError>;
}

impl Handler<CancelOne> for GateActor {
    async fn handle(
        &mut self,
        CancelOne(owner): CancelOne,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), GateError> {
        self.run(turn, |rules, change| rules.cancel(&owner, change))?.0
    }
}

impl Request for ExtendOne {
    type Reply = Result<std::time::SystemTime, GateError>;
}

impl Handler<ExtendOne> for GateActor {
    async fn handle(
        &mut self,
        ExtendOne { owner, ttl_ms }: ExtendOne,
        turn: &mut Turn<'_, Self>,
    ) -> Result<std::time::SystemTime, GateError> {
        let extended = self.run(turn, |rules, change| rules.extend(&owner, ttl_ms, change))?.0;
        extended.map(from_unix_ms)
    }
}

impl Request for CancelWait {
    type Reply = ();
}

impl Handler<CancelWait> for GateActor {
    async fn handle(
        &mut self,
        CancelWait { owner, attempt }: CancelWait,
        turn: &mut Turn<'_, Self>,
    ) {
        if let Err(error) = self.cancel_wait(&owner, attempt, turn) {
            tracing::error!(gate = %turn.id(), %owner, %error, "a dropped acquire keeps its place");
        }
    }
}

impl Request for ReevaluatePolicy {
    type Reply = ();
}

impl Handler<ReevaluatePolicy> for GateActor {
    async fn handle(&mut self, _: ReevaluatePolicy, turn: &mut Turn<'_, Self>) {
        if let Err(error) = self.run(turn, |_, _| ()) {
            tracing::error!(gate = %turn.id(), %error, "a changed policy waits for the next turn");
        }
    }
}

impl Request for PropagatePolicy {
    type Reply = Result<(), LoadError>;
}

impl Handler<PropagatePolicy> for GateActor {
    async fn handle(
        &mut self,
        _: PropagatePolicy,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), LoadError> {
        self.propagate(turn).await
    }
}

impl Request for ReadTicket {
    type Reply = Result<Ticket, GateError>;
}

impl Handler<ReadTicket> for GateActor {
    async fn handle(
        &mut self,
        ReadTicket(owner): ReadTicket,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Ticket, GateError> {
        self.run(turn, |_, _| ())?;
        let ticket = self.rules.ticket(&owner, unix_ms(turn.now()));
        ticket.ok_or(GateError::TicketNotFound)
    }
}

impl Request for ReadStats {
    type Reply = Result<GateStats, GateError>;
}

impl Handler<ReadStats> for GateActor {
    async fn handle(
        &mut self,
        _: ReadStats,
        turn: &mut Turn<'_, Self>,
    ) -> Result<GateStats, GateError> {
        self.run(turn, |_, _| ())?;
        Ok(self.rules.stats(unix_ms(turn.now())))
    }
}

impl Request for ReadPolicy {
    type Reply = Result<AppliedPolicy, GateError>;
}

impl Handler<ReadPolicy> for GateActor {
    async fn handle(
        &mut self,
        _: ReadPolicy,
        turn: &mut Turn<'_, Self>,
    ) -> Result<AppliedPolicy, GateError> {
        self.run(turn, |_, _| ())?;
        Ok(AppliedPolicy::clone(&self.rules.applied))
    }
}

impl Request for SetPolicy {
    type Reply = Result<AppliedPolicy, GateError>;
}

impl Handler<SetPolicy> for GateActor {
    async fn handle(
        &mut self,
        SetPolicy(policy): SetPolicy,
        turn: &mut Turn<'_, Self>,
    ) -> Result<AppliedPolicy, GateError> {
        self.set_policy(policy.as_ref(), turn)?;
        Ok(AppliedPolicy::clone(&self.rules.applied))
    }
}

impl Request for Pause {
    type Reply = Result<bool, GateError>;
}

impl Handler<Pause> for GateActor {
    async fn handle(
        &mut self,
        Pause(is_paused): Pause,
        turn: &mut Turn<'_, Self>,
    ) -> Result<bool, GateError> {
        let was_paused = self.run(turn, |rules, _| rules.pause(is_paused))?.0;
        if !is_paused {
            self.policy_cache.note_resumed();
        }
        Ok(was_paused)
    }
}
