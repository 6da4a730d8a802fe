//! Permits of a gate: where a queue has one, every lease holds a permit there.
//!
//! A permit is taken before the lease is given, and released by the commit with which the lease
//! ends. It lasts a little longer than the lease, so that one whose lease was never committed
//! blocks the gate no longer than that. Those who wait for messages do not stand at the gate: their
//! queue does, with one place in its line whoever they are, and hands them what it is given.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use lanekeeper_storage::record::{MessageRecord, MessageStateRecord, PermitRecord};
use tokio::sync::oneshot;

use crate::{
    actor::virtual_actor::{Handler, Request},
    gate::{
        self,
        api::{
            error::{BlockedBy, GateError},
            policy::TIMEOUT_MAX,
        },
    },
    queue::{
        actor::QueueActor,
        api::{config::LEASE_TTL, error::QueueError, lease_token::LeaseOptions},
        state::order::position::Position,
        verb::pop::Availability,
    },
    runtime::turn::Turn,
    time::clock,
};

/// How much longer than its lease a permit lasts.
const GRACE_MS: u64 = 1_000;
/// How long a queue waits until it stands in line again, if the gate does not say and no gate is
/// opened again meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Permits asked for by this process; with the epoch of the store's owner it makes the names of
/// their owners unique.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// What a queue has at its gate beside what its leases hold.
#[derive(Default)]
pub(crate) struct GatePermits {
    /// The place in the line.
    permit_request: Option<PermitRequest>,
    /// A permit that no lease holds yet.
    pub(crate) spare: Option<PermitRecord>,
}

/// A place in a gate's line, or the wait for one; dropping it leaves the line.
struct PermitRequest {
    permit: PermitRecord,
    _left: oneshot::Sender<()>,
}

/// Permits for leases to come; `None` if they need none.
pub(crate) type HeldPermits = Option<Vec<PermitRecord>>;

/// The queue's turn at the gate has come, or will not.
struct PermitGranted {
    permit: PermitRecord,
    outcome: Result<(), GateError>,
}

impl Request for PermitGranted {
    type Reply = ();
}

impl Handler<PermitGranted> for QueueActor {
    async fn handle(
        &mut self,
        PermitGranted { permit, outcome }: PermitGranted,
        turn: &mut Turn<'_, Self>,
    ) {
        // It may have left that line, and stand in another.
        self.at_gate.permit_request.take_if(|permit_request| permit_request.permit == permit);
        match outcome {
            Ok(()) => {
                self.at_gate.spare = Some(permit);
                self.serve(turn).await;
                let unused = self.at_gate.spare.take();
                self.rules.freed.extend(unused);
            }
            // The end of the turn stands in line again, if that is still wanted.
            Err(error) => {
                tracing::debug!(queue = %turn.id(), %error, "the gate let nobody in");
            }
        }
    }
}

impl QueueActor {
    /// Permits for as many leases as can be given on these terms now; the rest is up to the rules.
    ///
    /// # Errors
    /// [`QueueError::NoPermit`] if there is none at all.
    pub(crate) async fn take_permits(
        &mut self,
        options: &LeaseOptions,
        turn: &mut Turn<'_, Self>,
    ) -> Result<HeldPermits, QueueError> {
        let Some(gate) = self.rules.settings.gate.clone() else { return Ok(None) };
        let now_ms = clock::unix_ms(turn.now());
        if self.decide(turn, |rules, _| rules.may_give(now_ms)).await? != Availability::Now {
            return Ok(Some(Vec::new()));
        }
        let ready = usize::try_from(self.rules.meta.ready_count).unwrap_or(usize::MAX);
        let mut permits: Vec<_> =
            self.at_gate.spare.take_if(|spare| spare.gate == *gate).into_iter().collect();
        while permits.len() < options.depth.min(ready) {
            permits.push(self.new_permit(&gate, turn));
        }
        let ttl_ms = permit_ttl_ms(self.rules.lease_ttl_ms(options.ttl_ms));
        let owners = permits.iter().map(|permit| permit.owner.as_str().into()).collect();
        let stored = turn.gate(&gate).hold_several(owners, ttl_ms).await;
        match stored {
            Ok((0, Some(error))) => Err(refused(&gate, error)),
            Ok((count, _)) => {
                permits.truncate(count);
                Ok(Some(permits))
            }
            Err(error) => {
                // It may have given them all the same.
                self.rules.freed.extend(permits);
                Err(refused(&gate, error))
            }
        }
    }

    /// Stands in the gate's line for those who wait for leases, unless the queue does already.
    pub(crate) fn stand_in_line(&mut self, options: &LeaseOptions, turn: &mut Turn<'_, Self>) {
        let Some(gate) = self.rules.settings.gate.clone() else { return };
        if self.stands_in_line() {
            return;
        }
        let (permit_request, mut left) = oneshot::channel();
        let permit = self.new_permit(&gate, turn);
        self.at_gate.permit_request =
            Some(PermitRequest { permit: permit.clone(), _left: permit_request });
        let ttl_ms = permit_ttl_ms(self.rules.lease_ttl_ms(options.ttl_ms));
        let ttl = Duration::from_millis(ttl_ms.into());
        // Nobody but the queue knows how long it waits.
        let acquire = turn.gate(&gate).acquire(&permit.owner).ttl(ttl).timeout(TIMEOUT_MAX);
        let (me, runtime) = (turn.me(), Arc::clone(&turn.meta.guard.kind.runtime));
        let executor = runtime.executor.clone();
        executor.spawn(async move {
            let board: Arc<gate::policy_cache::PolicyCache> = runtime.shared.get();
            let acquired = async {
                let mut reopening = pin!(board.reopened());
                reopening.as_mut().enable();
                let outcome = acquire.await.map(drop);
                if let Err(error) = &outcome {
                    // It refused even a place in its line.
                    let retry_after = error.retry_after().unwrap_or(RETRY_AFTER);
                    tokio::select! {
                        () = runtime.clock.sleep(retry_after) => {}
                        () = reopening => {}
                    }
                }
                outcome
            };
            tokio::select! {
                outcome = acquired => {
                    if let Err(error) = me.tell(PermitGranted { permit, outcome }) {
                        tracing::debug!(%error, "a permit that nobody uses ends by itself");
                    }
                }
                _ = &mut left => {}
            }
        });
    }

    /// Whether a place in the line of the queue's own gate is all that leases can wait for. A place
    /// at a gate that is not the queue's any more is left.
    pub(crate) fn stands_in_line(&mut self) -> bool {
        let gate = self.rules.settings.gate.as_deref();
        self.at_gate
            .permit_request
            .take_if(|permit_request| Some(&*permit_request.permit.gate) != gate);
        self.at_gate.permit_request.is_some()
    }

    /// Leaves the gate's line: nobody waits any more.
    pub(crate) fn leave_line(&mut self) {
        self.at_gate.permit_request = None;
        self.rules.pop_bucket.nobody_waits();
    }

    /// Lets the permits of these leases last as long as the leases will.
    pub(crate) async fn extend_permits(
        &mut self,
        leased: &[(Position, MessageRecord)],
        ttl_ms: u64,
        turn: &mut Turn<'_, Self>,
    ) -> Result<(), QueueError> {
        let permits = leased.iter().filter_map(|(_, message)| match &message.state {
            MessageStateRecord::Leased(lease) => lease.permit.as_ref(),
            _ => None,
        });
        let mut gates: Vec<(&str, Vec<Box<str>>)> = Vec::new();
        for PermitRecord { gate, owner } in permits {
            match gates.iter_mut().find(|(name, _)| name == gate) {
                Some((_, owners)) => owners.push(owner.as_str().into()),
                None => gates.push((gate, vec![owner.as_str().into()])),
            }
        }
        for (gate, owners) in gates {
            let stored = turn.gate(gate).hold_several(owners, permit_ttl_ms(ttl_ms)).await;
            stored.map_err(|error| refused(gate, error))?;
        }
        Ok(())
    }

    /// Releases, with this turn's commit, the permits of leases that ended in it.
    pub(crate) fn release_permits(&mut self, turn: &mut Turn<'_, Self>) {
        for PermitRecord { gate, owner } in std::mem::take(&mut self.rules.freed) {
            if let Err(error) = turn.release_permit(&gate, &owner) {
                tracing::error!(queue = %turn.id(), %gate, %error, "a permit ends by itself");
            }
        }
    }

    fn new_permit(&self, gate: &str, turn: &Turn<'_, Self>) -> PermitRecord {
        let id = turn.id();
        let epoch = turn.meta.guard.kind.runtime.fence(id.kind, &id.key).epoch;
        let number = epoch.number(ASKED.fetch_add(1, Ordering::Relaxed));
        let queue = self.rules.queue.map_or(0, |queue| queue.0);
        PermitRecord { gate: gate.to_owned(), owner: format!("lease:{queue:x}:{number:x}") }
    }
}

/// How long the permit of a lease lasts.
fn permit_ttl_ms(lease_ttl_ms: u64) -> u32 {
    let ttl_ms = lease_ttl_ms.saturating_add(GRACE_MS);
    u32::try_from(ttl_ms).unwrap_or(u32::MAX).min(LEASE_TTL.1.as_millis() as u32)
}

fn refused(gate: &str, error: GateError) -> QueueError {
    match (error.blocked_by(), error) {
        (Some(BlockedBy::Drain), GateError::Ask(error)) => error.into(),
        (Some(blocked_by), error) => {
            let retry_after = error.retry_after();
            QueueError::NoPermit { gate: gate.to_owned(), blocked_by, retry_after }
        }
        (None, GateError::Load(error)) => error.into(),
        (None, GateError::Ask(error)) => error.into(),
        (None, error) => unreachable!("a queue asks a gate for nothing else: {error}"),
    }
}
