//! The settings of queues of a server.

use std::time::Duration;

use lanekeeper::{queue::Paused, wire};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::{
    backend::http::{Http, encoded},
    command::setting::backend::{DeletedKind, SettingBackend},
    exit::CommandFailure,
};

impl Http {
    /// Asks about the sink of a queue.
    pub(crate) fn sink(
        &self,
        method: &str,
        id: &str,
        body: &Value,
    ) -> Result<Value, CommandFailure> {
        about(self, method, (id, "sink"), body)
    }
}

impl SettingBackend for Http {
    fn config(&self, id: &str) -> Result<Value, CommandFailure> {
        about(self, "GET", (id, "config"), &Value::Null)
    }

    fn set_config(&self, id: &str, config: &Value) -> Result<Value, CommandFailure> {
        about(self, "PUT", (id, "config"), config)
    }

    fn change_config(&self, id: &str, patch: &Value) -> Result<Value, CommandFailure> {
        about(self, "PATCH", (id, "config"), patch)
    }

    fn pause_queue(
        &self,
        id: &str,
        verbs: Paused,
        is_paused: bool,
    ) -> Result<wire::PauseState, CommandFailure> {
        let verb = if is_paused { "pause" } else { "resume" };
        about(self, "POST", (id, verb), &json!({ "push": verbs.push, "pop": verbs.pop }))
    }

    fn cancel(&self, id: &str, message: &str) -> Result<wire::Cancelled, CommandFailure> {
        about(self, "DELETE", (id, &format!("message/{}", encoded(message))), &Value::Null)
    }

    fn delete(
        &self,
        kind: DeletedKind,
        id: &str,
        is_forced: bool,
    ) -> Result<wire::Deleted, CommandFailure> {
        let query = match kind {
            DeletedKind::Queue | DeletedKind::Gate if is_forced => "?force=true",
            _ => "",
        };
        let path = format!("/{}/{}{query}", kind.as_str(), encoded(id));
        self.ask("DELETE", &path, &[], Duration::ZERO)
    }
}

/// Asks about a queue; nothing has no body.
fn about<T: DeserializeOwned>(
    http: &Http,
    method: &str,
    (id, what): (&str, &str),
    body: &Value,
) -> Result<T, CommandFailure> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let path = format!("/queue/{}/{what}", encoded(id));
    http.ask(method, &path, body.as_bytes(), Duration::ZERO)
}
