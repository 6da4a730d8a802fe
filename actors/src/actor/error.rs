//! What an asker is told when there is no reply.

use std::fmt;

use lanekeeper_storage::{CommitError, LoadError};

use crate::actor::id::{ActorId, InvalidId};

/// Why a request has no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// The request was not executed, for certain: asking again cannot do it twice.
    #[error("not executed: {0}")]
    NotExecuted(#[from] NotExecuted),
    /// The request was executed, but the store refused its writes: nothing of it remains, the actor
    /// is as it was before.
    #[error("refused: {0}")]
    Refused(CommitError),
    /// The request was executed, but the actor's state could not be written: nothing of it remains.
    #[error("the actor's state was not saved: {0}")]
    NotSaved(String),
    /// The handler panicked: nothing of the request remains in the store.
    #[error("the handler panicked; nothing of the request was kept")]
    Panicked,
    /// Whether the request took effect is not known.
    #[error("the outcome is unknown: {0}")]
    Unknown(Unknown),
}

/// Why a request was not executed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotExecuted {
    /// The actor's mailbox is full.
    #[error("{actor} is overloaded: {waiting_max} requests are waiting, and no more may")]
    Overloaded {
        /// The actor asked.
        actor: ActorId,
        /// How many requests may wait for it.
        waiting_max: usize,
    },
    /// The node shuts down and admits no more.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The deadline passed before the turn began.
    #[error("the deadline passed before the turn began")]
    DeadlinePassed,
    /// The actor asked is itself waiting, directly or through others, for this request.
    #[error("call cycle: {}", Chain(.chain))]
    CallCycle {
        /// Who asked whom, the actor asked last at the end.
        chain: Vec<ActorId>,
    },
    /// The key of the actor breaks the rules of ids.
    #[error("actor key: {0}")]
    InvalidId(InvalidId),
    /// The actor's kind is no id, or another type of this node has it.
    #[error("kind {kind:?} cannot be used by {by}: it is not a valid id, or another type has it")]
    KindTaken {
        /// The kind.
        kind: &'static str,
        /// The type that cannot have it.
        by: &'static str,
    },
    /// The actor's state could not be loaded or its `on_activate` refused.
    #[error("the actor could not be activated: {0}")]
    ActivationFailed(#[from] ActivateError),
}

/// Why an outcome is unknown.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unknown {
    /// The deadline passed while the turn ran; it runs on.
    #[error("the deadline passed after the turn began")]
    DeadlinePassed,
    /// The commit of the turn failed in a way that may have left it on disk.
    #[error("{0}")]
    Commit(CommitError),
    /// The turn was cut off: the executor that ran it, or the node, ended.
    #[error("the turn was cancelled")]
    CutOff,
}

/// Why an actor could not be activated.
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
        /// What the upgrade said.
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
    /// Whether it is certain that the request changed nothing.
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
