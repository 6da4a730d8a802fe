//! A server whose clock a test moves by hand, and what is asked of it about messages under work.

use std::{
    ops::Deref,
    time::{Duration, Instant},
};

use lanekeeper::Clock;
use serde_json::{Value, json};

use crate::support::http::{Reply, TestServer, options};

/// A server on a manual clock, without duties.
pub(crate) struct Leasing {
    pub(crate) server: LeaseServer,
    pub(crate) clock: Clock,
}

impl Leasing {
    pub(crate) fn start() -> Self {
        let clock = Clock::manual();
        let own = clock.clone();
        let server = TestServer::with(options(), |builder| builder.clock(own).without_duties());
        Self { server: LeaseServer(server), clock }
    }
}

pub(crate) struct LeaseServer(TestServer);

impl Deref for LeaseServer {
    type Target = TestServer;

    fn deref(&self) -> &TestServer {
        &self.0
    }
}

impl LeaseServer {
    /// A server on the system's clock that does its duties by itself.
    pub(crate) fn start() -> Self {
        Self(TestServer::start())
    }

    /// Pushes numbered messages, each at its priority; answers their ids.
    pub(crate) fn push(&self, queue: &str, priorities: &[u32]) -> Vec<String> {
        let message = |(n, priority)| json!({"item": {"n": n}, "priority": priority});
        let items: Vec<Value> = priorities.iter().enumerate().map(message).collect();
        let body = json!({ "items": items }).to_string();
        let pushed = self.post(&format!("/queue/{queue}/push"), body).ok();
        serde_json::from_value(pushed["ids"].clone()).unwrap()
    }

    pub(crate) fn lease(&self, queue: &str, body: &Value) -> Reply {
        self.post(&format!("/queue/{queue}/lease"), body.to_string())
    }

    /// Leases one message; answers its token.
    #[track_caller]
    pub(crate) fn token(&self, queue: &str) -> String {
        tokens(&self.lease(queue, &json!({})).ok()).remove(0)
    }

    /// Settles leases of the queue `q`.
    pub(crate) fn settle(&self, verb: &str, body: &Value) -> Reply {
        self.post(&format!("/queue/q/{verb}"), body.to_string())
    }

    /// Does what is due.
    pub(crate) fn settle_duties(&self) {
        self.runtime.block_on(self.node.settle_duties()).unwrap();
    }

    /// Requests under way, the one that asks among them.
    pub(crate) fn in_flight(&self) -> u64 {
        let metrics = self.get("/metrics").body;
        let name = "lanekeeper_http_requests_in_flight ";
        let figure = metrics.lines().find_map(|line| line.strip_prefix(name));
        figure.unwrap().parse().unwrap()
    }

    /// Asks until it is so; fails after a while.
    pub(crate) fn until(&self, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(60), "it did not come to pass");
            std::thread::yield_now();
        }
    }
}

/// The tokens of what was leased.
pub(crate) fn tokens(leased: &Value) -> Vec<String> {
    let messages = leased["messages"].as_array().unwrap().iter();
    messages.map(|message| message["lease"].as_str().unwrap().to_owned()).collect()
}
