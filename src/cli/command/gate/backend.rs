//! The verbs of gates that commands need, wherever the gates are.

use std::time::Duration;

use lanekeeper::wire;

use crate::cli::exit::CommandFailure;

/// What an owner asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) owner: String,
    pub(crate) priority: u32,
    pub(crate) group: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) worker: Option<String>,
    pub(crate) is_waiting: bool,
}

/// The verbs of gates.
pub(crate) trait GateBackend {
    /// Asks for a permit or a place in the line.
    fn acquire(&self, id: &str, wanted: &Wanted) -> Result<wire::Ticket, CommandFailure>;

    /// Ends a permit.
    fn release(&self, id: &str, owner: &str) -> Result<wire::Released, CommandFailure>;

    /// Takes an owner out of the line.
    fn cancel_place(&self, id: &str, owner: &str) -> Result<wire::Cancelled, CommandFailure>;

    /// Lets a permit end so much later than now.
    fn extend(
        &self,
        id: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<wire::Extended, CommandFailure>;

    /// Lets nobody in from now on, or again.
    fn pause_gate(&self, id: &str, is_paused: bool) -> Result<wire::GatePaused, CommandFailure>;

    /// Shows what an owner has.
    fn ticket(&self, id: &str, owner: &str) -> Result<wire::Ticket, CommandFailure>;

    /// Shows a gate in numbers.
    fn gate_stats(&self, id: &str) -> Result<wire::GateStats, CommandFailure>;

    /// Shows the policy that applies.
    fn policy(&self, id: &str) -> Result<wire::AppliedPolicy, CommandFailure>;

    /// Gives a gate a policy of its own, or takes it away.
    fn set_policy(
        &self,
        id: &str,
        policy: Option<&wire::GatePolicy>,
    ) -> Result<wire::AppliedPolicy, CommandFailure>;
}
