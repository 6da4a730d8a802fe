//! The settings of queues of a data directory that the command opened itself.

use lanekeeper::{
    queue::{MessageId, Paused},
    wire,
};
use serde_json::{Map, Value};

use crate::cli::{
    backend::embedded::Embedded,
    command::setting::backend::{DeletedKind, SettingBackend},
    exit::CommandFailure,
};

impl SettingBackend for Embedded {
    fn config(&self, id: &str) -> Result<Value, CommandFailure> {
        value(&wire::Config::from(self.wait(self.node().queue(id).config())?))
    }

    fn set_config(&self, id: &str, config: &Value) -> Result<Value, CommandFailure> {
        let config: wire::Config = serde_json::from_value(config.clone())
            .map_err(|error| CommandFailure::failed(format!("SETTING: {error}")))?;
        let configured = self.wait(self.node().queue(id).configure(config.into()))?;
        value(&wire::Config::from(configured))
    }

    fn change_config(&self, id: &str, patch: &Value) -> Result<Value, CommandFailure> {
        // Nobody else has the directory open: nothing comes between.
        let mut config = self.config(id)?;
        if let (Value::Object(config), Value::Object(patch)) = (&mut config, patch) {
            merge(config, patch);
        }
        self.set_config(id, &config)
    }

    fn pause_queue(
        &self,
        id: &str,
        verbs: Paused,
        is_paused: bool,
    ) -> Result<wire::PauseState, CommandFailure> {
        let queue = self.node().queue(id);
        let now = match is_paused {
            true => self.wait(queue.pause(verbs))?,
            false => self.wait(queue.resume(verbs))?,
        };
        Ok(wire::PauseState { paused: now.into() })
    }

    fn cancel(&self, id: &str, message: &str) -> Result<wire::Cancelled, CommandFailure> {
        let message: MessageId = message.parse().map_err(CommandFailure::failed)?;
        self.wait(self.node().queue(id).cancel(message))?;
        Ok(wire::Cancelled { cancelled: true })
    }

    fn delete(
        &self,
        kind: DeletedKind,
        id: &str,
        is_forced: bool,
    ) -> Result<wire::Deleted, CommandFailure> {
        let node = self.node();
        let deleted = match (kind, is_forced) {
            (DeletedKind::Queue, true) => self.wait(node.queue(id).delete_with_messages())?,
            (DeletedKind::Queue, false) => self.wait(node.queue(id).delete())?,
            (DeletedKind::Gate, true) => self.wait(node.gate(id).delete_with_owners())?,
            (DeletedKind::Gate, false) => self.wait(node.gate(id).delete())?,
            (DeletedKind::Stream, _) => self.wait(node.stream(id).delete())?,
            (DeletedKind::Worker, _) => self.wait(node.worker(id).delete()).map(|()| true)?,
        };
        Ok(wire::Deleted { deleted })
    }
}

fn value(config: &wire::Config) -> Result<Value, CommandFailure> {
    serde_json::to_value(config).map_err(CommandFailure::failed)
}

/// As RFC 7396 has it.
fn merge(into: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (into.get_mut(name), value) {
            (_, Value::Null) => drop(into.remove(name)),
            (Some(Value::Object(inner)), Value::Object(patch)) => merge(inner, patch),
            (_, value) => drop(into.insert(name.clone(), value.clone())),
        }
    }
}
