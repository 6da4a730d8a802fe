//! Messages under work at a server.

use std::time::Duration;

use lanekeeper::{queue::NackOptions, wire};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::{
    backend::http::{Http, encoded},
    command::lease::backend::{LeaseBackend, LeaseOf, RedriveOf},
    exit::CommandFailure,
};

impl LeaseBackend for Http {
    fn lease(&self, id: &str, wanted: &LeaseOf<'_>) -> Result<wire::Leased, CommandFailure> {
        let mut body = json!({"depth": wanted.depth, "wait_ms": millis(wanted.wait)});
        if let Some(ttl) = wanted.ttl {
            body["ttl_ms"] = millis(ttl);
        }
        if let Some(worker) = wanted.worker {
            body["worker"] = json!(worker);
        }
        if let Some(life) = wanted.life {
            body["life"] = json!(life);
        }
        send(self, (id, "lease"), &body, wanted.wait)
    }

    fn ack(&self, id: &str, leases: &[String]) -> Result<wire::Acked, CommandFailure> {
        settle(self, (id, "ack"), &json!({ "leases": leases }), leases)
    }

    fn nack(
        &self,
        id: &str,
        leases: &[String],
        options: NackOptions,
    ) -> Result<wire::Nacked, CommandFailure> {
        let NackOptions { delay, reason, is_counted } = options;
        let mut body = json!({"leases": leases, "delay_ms": millis(delay), "count": is_counted});
        if let Some(reason) = reason {
            body["reason"] = json!(reason);
        }
        settle(self, (id, "nack"), &body, leases)
    }

    fn extend_leases(
        &self,
        id: &str,
        leases: &[String],
        ttl: Option<Duration>,
    ) -> Result<wire::ExtendedLeases, CommandFailure> {
        let mut body = json!({ "leases": leases });
        if let Some(ttl) = ttl {
            body["ttl_ms"] = millis(ttl);
        }
        settle(self, (id, "extend"), &body, leases)
    }

    fn dead_letter(
        &self,
        id: &str,
        leases: &[String],
        reason: &str,
    ) -> Result<wire::MovedToDeadLetters, CommandFailure> {
        let body = json!({"leases": leases, "reason": reason});
        settle(self, (id, "dead-letter"), &body, leases)
    }

    fn redrive(&self, id: &str, which: RedriveOf<'_>) -> Result<wire::Redriven, CommandFailure> {
        let body = match which {
            RedriveOf::All => json!({}),
            RedriveOf::First(depth) => json!({ "depth": depth }),
            RedriveOf::Ids(ids) => json!({ "ids": ids }),
        };
        send(self, (id, "redrive"), &body, Duration::ZERO)
    }
}

fn send<T: DeserializeOwned>(
    server: &Http,
    (id, verb): (&str, &str),
    body: &Value,
    wait: Duration,
) -> Result<T, CommandFailure> {
    let path = format!("/queue/{}/{verb}", encoded(id));
    server.ask("POST", &path, body.to_string().as_bytes(), wait)
}

/// Sends what is to be done with leases; if all of them failed, that names them.
fn settle<T: DeserializeOwned>(
    server: &Http,
    call: (&str, &str),
    body: &Value,
    leases: &[String],
) -> Result<T, CommandFailure> {
    send(server, call, body, Duration::ZERO).map_err(|mut failure| {
        let codes = ["(lease_not_found)", "(lease_expired)"];
        if codes.iter().any(|code| failure.message.ends_with(code)) {
            failure.message = format!("{}: {}", leases.join(", "), failure.message);
        }
        failure
    })
}

fn millis(time: Duration) -> Value {
    json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
