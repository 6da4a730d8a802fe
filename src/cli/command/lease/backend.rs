//! The verbs of messages under work that commands need, wherever the queues are.

use std::time::Duration;

use lanekeeper::{queue::NackOptions, wire};

use crate::cli::exit::CommandFailure;

/// What is to be leased.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseOf<'a> {
    pub(crate) depth: usize,
    pub(crate) ttl: Option<Duration>,
    pub(crate) wait: Duration,
    pub(crate) worker: Option<&'a str>,
    pub(crate) life: Option<u64>,
}

/// Which dead letters come back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RedriveOf<'a> {
    All,
    First(usize),
    Ids(&'a [String]),
}

/// The verbs of messages under work. Of several leases those that failed are named; if all did,
/// that may be a failure.
pub(crate) trait LeaseBackend {
    /// Leases messages.
    fn lease(&self, id: &str, wanted: &LeaseOf<'_>) -> Result<wire::Leased, CommandFailure>;

    /// The work is done.
    fn ack(&self, id: &str, leases: &[String]) -> Result<wire::Acked, CommandFailure>;

    /// Gives messages back.
    fn nack(
        &self,
        id: &str,
        leases: &[String],
        options: NackOptions,
    ) -> Result<wire::Nacked, CommandFailure>;

    /// Lets leases end so long from now.
    fn extend_leases(
        &self,
        id: &str,
        leases: &[String],
        ttl: Option<Duration>,
    ) -> Result<wire::ExtendedLeases, CommandFailure>;

    /// Gives the work up.
    fn dead_letter(
        &self,
        id: &str,
        leases: &[String],
        reason: &str,
    ) -> Result<wire::MovedToDeadLetters, CommandFailure>;

    /// Brings dead letters back.
    fn redrive(&self, id: &str, which: RedriveOf<'_>) -> Result<wire::Redriven, CommandFailure>;
}
