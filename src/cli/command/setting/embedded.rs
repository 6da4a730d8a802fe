//! The settings of queues of a data directory that the command opened itself.

use lanekeeper::{
    queue::{MessageId, Paused},
    server::wire,
};
use serde_json::{Map, Value};

use crate::cli::{
    backend::embedded::Embedded,
    command::setting::backend::{Kind, SettingBackend},
    exit::Failure,
};

impl SettingBackend for Embedded {
    fn config(&self, id: &str) -> Result<Value, Failure> {
        value(&wire::Config::from(self.wait(self.node().queue(id).config())?))
    }

    fn set_config(&self, id: &str, config: &Value) -> Result<Value, Failure> {
        let config: wire::Config = serde_json::from_value(config.clone())
            .map_err(|error| Failure::failed(format!("SETTING: {error}")))?;
        let configured = self.wait(self.node().queue(id).configure(config.into()))?;
        value(&wire::Config::from(configured))
    }

    fn change_config(&self, id: &str, patch: &Value) -> Result<Value, Failure> {
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
    ) -> Result<wire::PauseState, Failure> {
        let queue = self.node().queue(id);
        let now = match is_paused {
            true => self.wait(queue.pause(verbs))?,
            false => self.wait(queue.resume(verbs))?,
        };
        Ok(wire::PauseState { paused: now.into() })
    }

    fn cancel(&self, id: &str, message: &str) -> Result<wire::Cancelled, Failure> {
        let message: MessageId = message.parse().map_err(Failure::failed)?;
        self.wait(self.node().queue(id).cancel(message))?;
        Ok(wire::Cancelled { cancelled: true })
    }

    fn delete(&self, kind: Kind, id: &str, is_forced: bool) -> Result<wire::Deleted, Failure> {
        let node = self.node();
        let deleted = match (kind, is_forced) {
            (Kind::Queue, true) => self.wait(node.queue(id).delete_with_messages())?,
            (Kind::Queue, false) => self.wait(node.queue(id).delete())?,
            (Kind::Gate, true) => self.wait(node.gate(id).delete_with_owners())?,
            (Kind::Gate, false) => self.wait(node.gate(id).delete())?,
            (Kind::Stream, _) => self.wait(node.stream(id).delete())?,
            (Kind::Worker, _) => self.wait(node.worker(id).delete()).map(|()| true)?,
        };
        Ok(wire::Deleted { deleted })
    }
}

fn value(config: &wire::Config) -> Result<Value, Failure> {
    serde_json::to_value(config).map_err(Failure::failed)
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
