//! The gates of a server.

use std::{collections::BTreeMap, time::Duration};

use lanekeeper::wire;
use serde_json::{Value, json};

use crate::cli::{
    backend::http::{Http, encoded},
    command::gate::backend::{GateBackend, Wanted},
    exit::CommandFailure,
};

/// How long an answer is waited for when the policy says how long the owner waits.
const WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

impl GateBackend for Http {
    fn acquire(&self, id: &str, wanted: &Wanted) -> Result<wire::Ticket, CommandFailure> {
        let group: BTreeMap<_, _> = wanted.group.iter().cloned().collect();
        let mut body = json!({
            "owner": wanted.owner, "priority": wanted.priority, "wait": wanted.is_waiting,
            "group": group,
        });
        let millis = |time: Duration| json!(time.as_millis() as u64);
        if let Some(timeout) = wanted.timeout {
            body["timeout_ms"] = millis(timeout);
        }
        if let Some(ttl) = wanted.ttl {
            body["ttl_ms"] = millis(ttl);
        }
        if let Some(worker) = &wanted.worker {
            body["worker"] = json!(worker);
        }
        let wait =
            if wanted.is_waiting { wanted.timeout.unwrap_or(WAIT_MAX) } else { Duration::ZERO };
        self.ask("POST", &path(id, "acquire"), body.to_string().as_bytes(), wait)
    }

    fn release(&self, id: &str, owner: &str) -> Result<wire::Released, CommandFailure> {
        self.ask("POST", &path(id, "release"), &of(owner), Duration::ZERO)
    }

    fn cancel_place(&self, id: &str, owner: &str) -> Result<wire::Cancelled, CommandFailure> {
        self.ask("POST", &path(id, "cancel"), &of(owner), Duration::ZERO)
    }

    fn extend(
        &self,
        id: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<wire::Extended, CommandFailure> {
        let body = json!({ "owner": owner, "ttl_ms": ttl.as_millis() as u64 });
        self.ask("POST", &path(id, "extend"), &bytes(&body), Duration::ZERO)
    }

    fn pause_gate(&self, id: &str, is_paused: bool) -> Result<wire::GatePaused, CommandFailure> {
        let verb = if is_paused { "pause" } else { "resume" };
        self.ask("POST", &path(id, verb), &[], Duration::ZERO)
    }

    fn ticket(&self, id: &str, owner: &str) -> Result<wire::Ticket, CommandFailure> {
        let path = format!("{}/{}", path(id, "ticket"), encoded(owner));
        self.ask("GET", &path, &[], Duration::ZERO)
    }

    fn gate_stats(&self, id: &str) -> Result<wire::GateStats, CommandFailure> {
        self.ask("GET", &path(id, "stats"), &[], Duration::ZERO)
    }

    fn policy(&self, id: &str) -> Result<wire::AppliedPolicy, CommandFailure> {
        self.ask("GET", &path(id, "policy"), &[], Duration::ZERO)
    }

    fn set_policy(
        &self,
        id: &str,
        policy: Option<&wire::GatePolicy>,
    ) -> Result<wire::AppliedPolicy, CommandFailure> {
        match policy {
            Some(policy) => {
                self.ask("PUT", &path(id, "policy"), &bytes(&json!(policy)), Duration::ZERO)
            }
            None => self.ask("DELETE", &path(id, "policy"), &[], Duration::ZERO),
        }
    }
}

fn path(id: &str, verb: &str) -> String {
    format!("/gate/{}/{verb}", encoded(id))
}

fn of(owner: &str) -> Vec<u8> {
    bytes(&json!({ "owner": owner }))
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}
