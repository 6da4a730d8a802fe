//! A server, over HTTP.

use std::{
    fmt::Write,
    io::{BufRead, BufReader},
    time::Duration,
};

use lanekeeper::{queue::Item, server::wire};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use ureq::{
    Agent, Body,
    http::{Request, Response},
};

use super::{
    Failure,
    backend::{Backend, ListOf, PageOf, PushOf, WorkersOf},
};

/// What is sent as it is in a path or a query.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':');

/// The largest answer that is read: 100 items of the largest size and more.
const ANSWER_BYTES_MAX: u64 = 8 << 30;

/// How long a connection may take, and an answer beyond the wait asked for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one server.
pub(crate) struct Http {
    agent: Agent,
    server: String,
    authorization: Option<String>,
}

impl Http {
    /// A client of the server at an address such as `http://127.0.0.1:8000`.
    pub(crate) fn new(server: &str, token: Option<&str>) -> Result<Self, Failure> {
        if !server.starts_with("http://") {
            let message = format!(
                "--server must be an address such as http://127.0.0.1:8000, not {server:?}"
            );
            return Err(Failure::usage(message));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build()
            .new_agent();
        let authorization = token.map(|secret| format!("Bearer {secret}"));
        Ok(Self { agent, server: server.trim_end_matches('/').to_owned(), authorization })
    }

    /// Asks and reads the answer.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        wait: Duration,
    ) -> Result<T, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.server));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.header("content-type", "application/json").body(body);
        let request = request.map_err(Failure::usage)?;
        let config = self.agent.configure_request(request);
        let request = config.timeout_recv_response(Some(wait + ANSWER_TIMEOUT)).build();
        let unreached = |error| Failure::passing(format!("{}: {error}", self.server));
        let mut response = self.agent.run(request).map_err(unreached)?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let body = body.read_to_vec().map_err(unreached)?;
        if !response.status().is_success() {
            return Err(refusal(&response, &body));
        }
        serde_json::from_slice(&body)
            .map_err(|error| Failure::failed(format!("the answer is not understood: {error}")))
    }
}

impl Http {
    /// Publishes to a stream.
    pub(super) fn publish(&self, topic: &str, body: Vec<u8>) -> Result<wire::Published, Failure> {
        let topic = utf8_percent_encode(topic, ENCODED);
        self.ask("POST", &format!("/stream/{topic}/publish"), body, Duration::ZERO)
    }

    /// Subscribes to a stream: the lines of its events, as they come.
    pub(super) fn subscribe(
        &self,
        topic: &str,
        queue_max: Option<usize>,
    ) -> Result<impl BufRead + use<>, Failure> {
        let topic = utf8_percent_encode(topic, ENCODED);
        let query = queue_max.map(|count| format!("?queue_max={count}")).unwrap_or_default();
        let request = Request::builder().uri(format!("{}/stream/{topic}{query}", self.server));
        let mut request = request.header("accept", "text/event-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(()).map_err(Failure::usage)?;
        let config = self.agent.configure_request(request);
        let request = config.timeout_recv_response(Some(ANSWER_TIMEOUT)).build();
        let unreached = |error| Failure::failed(format!("{}: {error}", self.server));
        let mut response = self.agent.run(request).map_err(unreached)?;
        if !response.status().is_success() {
            let body = response.body_mut().read_to_vec().map_err(unreached)?;
            return Err(refusal(&response, &body));
        }
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(BufReader::new(body))
    }
}

/// What a server said when it refused.
fn refusal(response: &Response<Body>, body: &[u8]) -> Failure {
    let status = response.status();
    let message = match serde_json::from_slice::<wire::Problem>(body) {
        Ok(problem) => format!("{} ({})", problem.detail, problem.code),
        Err(_) => format!("the server answered {status}"),
    };
    let is_passing = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
    Failure { is_passing, ..Failure::failed(message) }
}

impl Backend for Http {
    fn push(&self, id: &str, items: &[Item], terms: &PushOf<'_>) -> Result<wire::Pushed, Failure> {
        let terms = terms_of(terms);
        let bytes: usize = items.iter().map(|item| item.size_bytes() + terms.len() + 12).sum();
        let mut body = Vec::with_capacity(bytes + 16);
        body.extend_from_slice(b"{\"items\":[");
        for (place, item) in items.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            body.extend_from_slice(format!("{comma}{{{terms},\"item\":").as_bytes());
            body.extend_from_slice(item.as_bytes());
            body.push(b'}');
        }
        body.extend_from_slice(b"]}");
        self.ask("POST", &path(id, "push"), body, Duration::ZERO)
    }

    fn pop(&self, id: &str, depth: usize, wait: Duration) -> Result<wire::Popped, Failure> {
        let path = format!("{}?depth={depth}&wait_ms={}", path(id, "pop"), wait.as_millis());
        self.ask("POST", &path, Vec::new(), wait)
    }

    fn peek(&self, id: &str, page: &PageOf<'_>) -> Result<wire::Page, Failure> {
        let mut path = format!("{}?depth={}", path(id, "peek"), page.depth);
        if let Some(priority) = page.priority {
            add(&mut path, "priority", &priority.to_string());
        }
        if let Some(after) = page.after {
            add(&mut path, "after", after);
        }
        self.ask("GET", &path, Vec::new(), Duration::ZERO)
    }

    fn purge(&self, id: &str, priority: Option<u32>) -> Result<wire::Purged, Failure> {
        let body = priority.map(|priority| format!("{{\"priority\":{priority}}}"));
        let body = body.unwrap_or_default().into_bytes();
        self.ask("POST", &path(id, "purge"), body, Duration::ZERO)
    }

    fn stats(&self, id: &str) -> Result<wire::Stats, Failure> {
        self.ask("GET", &path(id, "stats"), Vec::new(), Duration::ZERO)
    }

    fn queues(&self, page: &ListOf<'_>) -> Result<wire::QueueList, Failure> {
        let mut path = format!("/queues?limit={}", page.limit);
        if let Some(prefix) = page.prefix {
            add(&mut path, "prefix", prefix);
        }
        if let Some(after) = page.after {
            add(&mut path, "after", after);
        }
        self.ask("GET", &path, Vec::new(), Duration::ZERO)
    }

    fn heartbeat(&self, id: &str, meta: Option<&Item>) -> Result<wire::Beat, Failure> {
        let body = meta.map(|meta| format!("{{\"meta\":{meta}}}"));
        let path = worker_path(id, "/heartbeat");
        self.ask("POST", &path, body.unwrap_or_default().into_bytes(), Duration::ZERO)
    }

    fn deregister(&self, id: &str) -> Result<(), Failure> {
        let path = worker_path(id, "/deregister");
        let done: Result<wire::Deregistered, _> =
            self.ask("POST", &path, Vec::new(), Duration::ZERO);
        done.map(drop)
    }

    fn workers(&self, page: &WorkersOf<'_>) -> Result<wire::WorkerList, Failure> {
        let mut path = format!("/workers?limit={}", page.limit);
        if let Some(status) = page.status {
            add(&mut path, "status", status.as_str());
        }
        if let Some(after) = page.after {
            add(&mut path, "after", after);
        }
        self.ask("GET", &path, Vec::new(), Duration::ZERO)
    }

    fn close(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The members that say it.
fn terms_of(terms: &PushOf<'_>) -> String {
    let mut text = format!("\"priority\":{}", terms.priority);
    let mut add = |name: &str, value: &dyn std::fmt::Display| {
        write!(text, ",\"{name}\":{value}").expect("a string takes every character");
    };
    if !terms.delay.is_zero() {
        add("delay_ms", &terms.delay.as_millis());
    }
    if let Some(ttl) = terms.ttl {
        add("ttl_ms", &ttl.as_millis());
    }
    if let Some(key) = terms.key {
        add("key", &serde_json::Value::from(key));
    }
    text
}

fn path(id: &str, verb: &str) -> String {
    format!("/queue/{}/{verb}", encoded(id))
}

/// A part of a path.
pub(super) fn encoded(part: &str) -> impl std::fmt::Display {
    utf8_percent_encode(part, ENCODED)
}

fn worker_path(id: &str, verb: &str) -> String {
    format!("/worker/{}{verb}", utf8_percent_encode(id, ENCODED))
}

fn add(path: &mut String, name: &str, value: &str) {
    let value = utf8_percent_encode(value, ENCODED);
    write!(path, "&{name}={value}").expect("a string takes every character");
}
