//! What an asker is told when there is no reply.

use std::fmt;

use lanekeeper_storage::{CommitError, LoadError};

use crate::actor::id::{ActorId, InvalidId};

/// The reason why a request has no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// The request certainly was not executed: it can be sent again.
    #[error("not executed: {0}")]
    NotExecuted(#[from] NotExecuted),
    /// The request was executed, but the store refused its writes: the actor is as it was before.
    #[error("refused: {0}")]
    Refused(CommitError),
    /// The request was executed, but its state could not be written: the actor is as it was before.
    #[error("the actor's state was not saved: {0}")]
    NotSaved(String),
    /// The handler panicked: the store has no changes of the request.
    #[error("the handler panicked; nothing of the request was kept")]
    Panicked,
    /// The request may or may not have taken effect.
    #[error("the outcome is unknown: {0}")]
    Unknown(Unknown),
}

/// The reason why a request was not executed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotExecuted {
    /// The actor's mailbox is full.
    #[error("{actor} is overloaded: {waiting_max} requests are waiting, and no more may")]
    Overloaded {
        /// The actor.
        actor: ActorId,
        /// The largest number of requests waiting for it.
        waiting_max: usize,
    },
    /// The node is shutting down and accepts no more requests.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The deadline passed before the turn began.
    #[error("the deadline passed before the turn began")]
    DeadlinePassed,
    /// The actor is waiting for this request itself, directly or through others.
    #[error("call cycle: {}", Chain(.chain))]
    CallCycle {
        /// The actors in the order of the calls, the one called last at the end.
        chain: Vec<ActorId>,
    },
    /// The key of the actor breaks the rules of ids.
    #[error("actor key: {0}")]
    InvalidId(InvalidId),
    /// The kind is not a valid id, or another type of this node has it.
    #[error("kind {kind:?} cannot be used by {by}: it is not a valid id, or another type has it")]
    KindTaken {
        /// The kind.
        kind: &'static str,
        /// The type that cannot use it.
        by: &'static str,
    },
    /// The state could not be loaded, or `on_activate` refused.
    #[error("the actor could not be activated: {0}")]
    ActivationFailed(#[from] ActivateError),
}

/// The reason why an outcome is unknown.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unknown {
    /// The deadline passed while the turn was running; it continues.
    #[error("the deadline passed after the turn began")]
    DeadlinePassed,
    /// The commit of the turn failed, but may be on the disk.
    #[error("{0}")]
    Commit(CommitError),
    /// The turn was cancelled, because its executor or the node ended.
    #[error("the turn was cancelled")]
    CutOff,
}

/// The reason why an actor could not be activated.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ActivateError {
    /// The store failed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The state was written by a version of the actor that has no upgrade to this one.
    #[error("state version {found} cannot be read by version {expected}: {reason}")]
    Version {
        /// The version that wrote the state.
        found: u32,
        /// The version of the actor's type now.
        expected: u32,
        /// The error of the upgrade.
        reason: String,
    },
    /// `on_activate` refused.
    #[error("{0}")]
    Refused(String),
    /// `on_activate` or the loading panicked.
    #[error("activation panicked")]
    Panicked,
}

impl AskError {
    /// Whether the request certainly changed nothing.
    pub fn is_without_effect(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

struct Chain<'a>(&'a [ActorId]);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, actor) in self.0.iter().enumerate() {
            let arrow = if place == 0 { "" } else { " → " };
            write!(f, "{arrow}{actor}")?;
        }
        Ok(())
    }
}
