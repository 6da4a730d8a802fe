//! The verbs of settings that commands need, wherever the queues are.

use lanekeeper::{queue::Paused, wire};
use serde_json::Value;

use crate::cli::exit::CommandFailure;

/// What can be deleted as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeletedKind {
    Queue,
    Gate,
    Stream,
    Worker,
}

impl DeletedKind {
    /// Its word, which begins its paths too.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Gate => "gate",
            Self::Stream => "stream",
            Self::Worker => "worker",
        }
    }
}

/// The verbs of settings, which are passed on as they are: a server may know others than this
/// command.
pub(crate) trait SettingBackend {
    /// Shows the settings of a queue.
    fn config(&self, id: &str) -> Result<Value, CommandFailure>;

    /// Replaces them.
    fn set_config(&self, id: &str, config: &Value) -> Result<Value, CommandFailure>;

    /// Changes those that are named; null stands for the default.
    fn change_config(&self, id: &str, patch: &Value) -> Result<Value, CommandFailure>;

    /// Refuses verbs from now on, or takes them again.
    fn pause_queue(
        &self,
        id: &str,
        verbs: Paused,
        is_paused: bool,
    ) -> Result<wire::PauseState, CommandFailure>;

    /// Removes a message.
    fn cancel(&self, id: &str, message: &str) -> Result<wire::Cancelled, CommandFailure>;

    /// Deletes something as a whole: if it is in use, only if it is forced.
    fn delete(
        &self,
        kind: DeletedKind,
        id: &str,
        is_forced: bool,
    ) -> Result<wire::Deleted, CommandFailure>;
}
