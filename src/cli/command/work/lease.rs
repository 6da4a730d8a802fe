//! The verbs of leases, asked of a server.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::sleep};

use crate::cli::{
    args,
    backend::http::{Http, RetryLimit, encoded},
    command::work::remote::Leased,
    exit::CommandFailure,
};

/// How often a lease is tried to be settled while the server is not there.
const TRIES_MAX: u32 = 5;
/// The pause after the first try; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// One queue of a server.
pub(crate) struct Leases {
    http: Arc<Http>,
    id: String,
    ttl: Duration,
    worker: Option<String>,
    life: Option<u64>,
}

#[derive(Deserialize)]
struct LeaseAnswer {
    messages: Vec<Leased>,
}

/// What is read of the answer to a verb that settles.
#[derive(Deserialize)]
struct Settled {
    #[serde(default)]
    failed: Vec<serde::de::IgnoredAny>,
}

impl Leases {
    pub(crate) fn new(args: &args::work::Work) -> Result<Self, CommandFailure> {
        let (server, token) = (&args.target.server, args.target.token.as_deref());
        let http = Arc::new(Http::new(server, token, RetryLimit::REPEATED)?);
        let (ttl, worker, life) = (args.ttl.0, args.worker.clone(), args.life);
        Ok(Self { http, id: args.id.clone(), ttl, worker, life })
    }

    pub(crate) async fn lease(
        &self,
        depth: usize,
        wait: Duration,
    ) -> Result<Vec<Leased>, CommandFailure> {
        let (ttl_ms, wait_ms) = (self.ttl.as_millis() as u64, wait.as_millis() as u64);
        let mut body = json!({"depth": depth, "ttl_ms": ttl_ms, "wait_ms": wait_ms});
        if let Some(worker) = &self.worker {
            body["worker"] = json!(worker);
        }
        if let Some(life) = self.life {
            body["life"] = json!(life);
        }
        let answer: LeaseAnswer = self.ask("lease", body, wait).await?;
        Ok(answer.messages)
    }

    /// Whether the lease was good.
    pub(crate) async fn ack(&self, lease: &str) -> bool {
        self.settle("ack", json!({"leases": [lease]})).await
    }

    /// Whether the lease was good.
    pub(crate) async fn nack(&self, lease: &str, delay: Duration, reason: &str) -> bool {
        let delay_ms = delay.as_millis() as u64;
        let body = json!({"leases": [lease], "delay_ms": delay_ms, "reason": reason});
        self.settle("nack", body).await
    }

    /// Whether the lease was good.
    pub(crate) async fn release(&self, lease: &str) -> bool {
        self.settle("nack", json!({"leases": [lease], "count": false})).await
    }

    /// Whether the lease was good.
    pub(crate) async fn dead_letter(&self, lease: &str, reason: &str) -> bool {
        self.settle("dead-letter", json!({"leases": [lease], "reason": reason})).await
    }

    /// # Errors
    /// The lease is lost, unless the failure is passing.
    pub(crate) async fn extend(&self, lease: &str, ttl: Duration) -> Result<(), CommandFailure> {
        let body = json!({"leases": [lease], "ttl_ms": ttl.as_millis() as u64});
        self.ask::<Value>("extend", body, Duration::ZERO).await.map(drop)
    }

    async fn settle(&self, verb: &'static str, body: Value) -> bool {
        for tried in 0..TRIES_MAX {
            match self.ask::<Settled>(verb, body.clone(), Duration::ZERO).await {
                Ok(settled) => return settled.failed.is_empty(),
                Err(failure) if failure.is_passing() => sleep(PAUSE * (1 << tried)).await,
                Err(_) => return false,
            }
        }
        false
    }

    async fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        verb: &'static str,
        body: Value,
        wait: Duration,
    ) -> Result<T, CommandFailure> {
        let http = Arc::clone(&self.http);
        let path = format!("/queue/{}/{verb}", encoded(&self.id));
        let body = body.to_string().into_bytes();
        let asked = spawn_blocking(move || http.ask("POST", &path, &body, wait)).await;
        asked.map_err(CommandFailure::failed)?
    }
}
