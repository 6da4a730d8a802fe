//! Acquiring with options: what is set before it is awaited, and awaiting it.

use std::{
    future::IntoFuture,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use lanekeeper_storage::key::Priority;

use crate::{
    actor::{
        actor_ref::ActorRef,
        error::{AskError, NotExecuted},
    },
    gate::{
        actor::GateActor,
        api::{
            error::GateError,
            group::Group,
            handle::{Gate, checked_owner, checked_ttl},
            permit::Permit,
            policy::TIMEOUT_MAX,
            stats::Ticket,
        },
        state::turn_context::Decision,
        verb::{
            acquire::AcquireRequest,
            handler::{AcquireOne, Acquired, CancelWait},
        },
    },
    runtime::mailbox::BoxFuture,
    time::clock::Clock,
};

/// How long an acquire that was given up waits until it says so again, if the gate is overloaded.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// An acquire that was not sent yet; await it for the permit.
///
/// Dropping its future gives up the position, and the permit if it is granted at that moment,
/// unless another call waits for the same owner or it was taken as a [ticket](Acquire::ticket). A
/// node that shuts down keeps the position for an acquire after the restart.
#[must_use = "nothing is acquired before it is awaited"]
#[derive(Clone, Debug)]
pub struct Acquire {
    gate: Gate,
    owner: String,
    priority: u32,
    group: Vec<(String, String)>,
    worker: Option<String>,
    timeout: Option<Duration>,
    ttl: Option<Duration>,
}

impl Acquire {
    pub(crate) fn new(gate: Gate, owner: &str) -> Self {
        Self {
            gate,
            owner: owner.to_owned(),
            priority: Priority::default().get(),
            group: Vec::new(),
            worker: None,
            timeout: None,
            ttl: None,
        }
    }

    /// Sets the priority: 0 (most urgent) to 2,147,483,647; 1 by default.
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }

    /// Counts the permit also against a value, such as `("tenant", "acme")`, where the policy
    /// limits the name. At most 8 names, each an id, with values of 1 to 128 characters.
    pub fn group(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.group.push((name.into(), value.into()));
        self
    }

    /// Ties the permit to a worker: it is released when the worker goes offline.
    pub fn worker(mut self, worker: &str) -> Self {
        self.worker = Some(worker.to_owned());
        self
    }

    /// The longest wait: up to 30 days, the policy's timeout by default. With zero it is granted at
    /// once or refused as [`GateError::TimedOut`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The time after which the permit ends (1 s to 12 h) unless it is [extended](Gate::extend), so
    /// that a vanished owner does not block others. Without it a permit lasts until it is released.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Takes a position in the wait queue without waiting for the permit; await the result.
    pub fn ticket(self) -> TakeTicket {
        TakeTicket(self)
    }

    fn wanted(&self, attempt: u32) -> Result<AcquireRequest, GateError> {
        let number = self.priority;
        let priority = Priority::new(number).ok_or(GateError::InvalidPriority { number })?;
        if let Some(timeout) = self.timeout.filter(|&timeout| timeout > TIMEOUT_MAX) {
            return Err(GateError::InvalidTimeout { timeout, timeout_max: TIMEOUT_MAX });
        }
        let worker = self.worker.as_deref().map(checked_owner).transpose()?;
        Ok(AcquireRequest {
            owner: checked_owner(&self.owner)?,
            priority: priority.get(),
            group: Group::new(self.group.clone())?,
            worker,
            timeout_ms: self.timeout.map(crate::gate::millis),
            ttl_ms: self.ttl.map_or(Ok(0), checked_ttl)?,
            attempt,
        })
    }
}

impl IntoFuture for Acquire {
    type Output = Result<Permit, GateError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let actor = self.gate.actor()?;
            let wanted = self.wanted(next_attempt())?;
            let clock = self.gate.clock().clone();
            let mut guard = AcquireGuard { actor: actor.clone(), clock, wanted, is_held: true };
            let waited = guard.wait().await;
            guard.is_held = waited.as_ref().is_err_and(has_unknown_outcome);
            let waited = Duration::from_millis(waited?.into());
            Ok(Permit::new(self.gate.clone(), &self.owner, waited))
        })
    }
}

fn has_unknown_outcome(error: &GateError) -> bool {
    matches!(error, GateError::Ask(AskError::Unknown(_)))
}

fn next_attempt() -> u32 {
    static ATTEMPTS: AtomicU32 = AtomicU32::new(1);
    loop {
        let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
        if attempt != 0 {
            return attempt;
        }
    }
}

/// What an acquire holds while it is awaited: dropping it gives that up.
struct AcquireGuard {
    actor: ActorRef<GateActor>,
    clock: Clock,
    wanted: AcquireRequest,
    is_held: bool,
}

impl AcquireGuard {
    /// Waits for the permit; answers for how many milliseconds the owner has waited.
    async fn wait(&self) -> Result<u32, GateError> {
        loop {
            let request = AcquireOne { wanted: self.wanted.clone(), is_waited_for: true };
            let later = match self.actor.ask(request).await?? {
                Acquired::Granted { waited_ms } => return Ok(waited_ms),
                Acquired::Later(later) => later,
                Acquired::Queued(_) => unreachable!("somebody waits"),
            };
            return match later.wait().await {
                Ok(Decision::Granted(waited_ms)) => Ok(waited_ms),
                Ok(Decision::TimedOut(waited_ms)) => {
                    Err(GateError::TimedOut { waited: Duration::from_millis(waited_ms.into()) })
                }
                Ok(Decision::Cancelled) => Err(GateError::Cancelled),
                Ok(Decision::GaveWay) => Err(GateError::GaveWay),
                // The activation is gone, the place is not: unless the node is gone too.
                Err(AskError::NotExecuted(NotExecuted::ShuttingDown)) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }
}

impl Drop for AcquireGuard {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        let AcquireRequest { owner, attempt, .. } = self.wanted.clone();
        if !is_overloaded(&self.actor.tell(CancelWait { owner: owner.clone(), attempt })) {
            return;
        }
        let (actor, clock) = (self.actor.clone(), self.clock.clone());
        let executor = self.actor.kind.runtime.executor.clone();
        executor.spawn(async move {
            while is_overloaded(&actor.tell(CancelWait { owner: owner.clone(), attempt })) {
                clock.sleep(RETRY_AFTER).await;
            }
        });
    }
}

fn is_overloaded(told: &Result<(), NotExecuted>) -> bool {
    matches!(told, Err(NotExecuted::Overloaded { .. }))
}

/// A ticket that was not taken yet; await it for the permit or the position.
///
/// The position is kept when the future is dropped after its first poll, and when the process ends.
/// Use [`Gate::ticket`] to see it, acquire again to wait, or [`Gate::cancel`] to give it up.
#[must_use = "nothing is taken before it is awaited"]
#[derive(Clone, Debug)]
pub struct TakeTicket(Acquire);

impl IntoFuture for TakeTicket {
    type Output = Result<Ticket, GateError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self(acquire) = self;
        Box::pin(async move {
            let request = AcquireOne { wanted: acquire.wanted(0)?, is_waited_for: false };
            match acquire.gate.actor()?.ask(request).await?? {
                Acquired::Granted { .. } => acquire.gate.ticket(&acquire.owner).await,
                Acquired::Queued(ticket) => Ok(ticket),
                Acquired::Later(_) => unreachable!("nobody waits"),
            }
        })
    }
}
