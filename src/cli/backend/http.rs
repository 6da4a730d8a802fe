//! A server, over HTTP.

use std::{
    fmt::Write,
    io::{BufRead, BufReader},
    time::{Duration, Instant},
};

use lanekeeper::{queue::Item, wire};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use ureq::{
    Agent, Body, Error,
    http::{Request, Response, Uri, request::Builder},
};

use crate::cli::{
    backend::queues::{Backend, ListOf, PageOf, PushOf, WorkersOf},
    exit::CommandFailure,
    output, unreachable,
};

/// What is sent as it is in a path or a query.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':');

/// The largest answer that is read: 100 items of the largest size and more.
const ANSWER_BYTES_MAX: u64 = 8 << 30;

/// How long a connection may take, and an answer beyond the wait asked for.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server that still reads its data is waited for by commands that act once.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// A person is told when it takes longer than this.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// The first pause before it is asked again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How long a client waits for its server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryLimit {
    /// Until it has read its data after its start.
    recovery: Duration,
    /// For an answer, beyond the wait asked for.
    answer: Duration,
}

impl RetryLimit {
    /// Of a command that acts once.
    pub(crate) const ONCE: Self = Self { recovery: RECOVERY_TIMEOUT, answer: ANSWER_TIMEOUT };
    /// Of a command that asks again by itself.
    pub(crate) const REPEATED: Self = Self { recovery: Duration::ZERO, answer: ANSWER_TIMEOUT };

    /// The same for answers that are worth something so long.
    pub(crate) fn answer(self, answer: Duration) -> Self {
        Self { answer: answer.min(ANSWER_TIMEOUT), ..self }
    }
}

/// A client of one server.
pub(crate) struct Http {
    agent: Agent,
    server: String,
    authorization: Option<String>,
    patience: RetryLimit,
}

impl Http {
    /// A client of the server at an address such as `http://127.0.0.1:8000`.
    pub(crate) fn new(
        server: &str,
        token: Option<&str>,
        patience: RetryLimit,
    ) -> Result<Self, CommandFailure> {
        let uri = server.strip_prefix("http://").and_then(|_| server.parse::<Uri>().ok());
        if uri.is_none_or(|uri| uri.host().is_none_or(str::is_empty)) {
            return Err(CommandFailure::usage(unreachable::no_address(server)));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build()
            .new_agent();
        let token = token.filter(|secret| !secret.is_empty());
        let authorization = token.map(|secret| format!("Bearer {secret}"));
        let server = server.trim_end_matches('/').to_owned();
        Ok(Self { agent, server, authorization, patience })
    }

    /// Asks and reads the answer.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        wait: Duration,
    ) -> Result<T, CommandFailure> {
        let request = || self.request(method, path).header("content-type", "application/json");
        let mut response = self.recovered(|| {
            let request = request().body(body).map_err(CommandFailure::usage)?;
            let config = self.agent.configure_request(request);
            let request = config.timeout_recv_response(Some(wait + self.patience.answer)).build();
            self.answered(self.agent.run(request))
        })?;
        let body = self.read(&mut response)?;
        serde_json::from_slice(&body)
            .map_err(|error| unreachable::not_understood(&self.server, &response, &error))
    }

    fn request(&self, method: &str, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.server));
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    /// The answer, if it is not a refusal.
    fn answered(
        &self,
        answer: Result<Response<Body>, Error>,
    ) -> Result<Response<Body>, CommandFailure> {
        let mut response = answer.map_err(|error| unreachable::unanswered(&self.server, &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = self.read(&mut response)?;
        Err(unreachable::refusal(&self.server, &response, &body))
    }

    fn read(&self, response: &mut Response<Body>) -> Result<Vec<u8>, CommandFailure> {
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        body.read_to_vec().map_err(|error| unreachable::unanswered(&self.server, &error))
    }

    /// Asks, and again for as long as the server still reads its data: it has done nothing yet.
    fn recovered<T>(
        &self,
        ask: impl Fn() -> Result<T, CommandFailure>,
    ) -> Result<T, CommandFailure> {
        let (began, mut pause, mut is_told) = (Instant::now(), PAUSE, false);
        loop {
            let failure = match ask() {
                Err(failure) if failure.code == "recovering" => failure,
                done => return done,
            };
            let waited = began.elapsed();
            if waited >= self.patience.recovery {
                return Err(failure);
            }
            if waited >= QUIET_MAX && !std::mem::replace(&mut is_told, true) {
                let (server, most) = (&self.server, self.patience.recovery.as_secs());
                output::note(&format!(
                    "{server} is still reading its data; waiting for up to {most} s"
                ));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl Http {
    /// Publishes to a stream.
    pub(crate) fn publish(
        &self,
        topic: &str,
        body: &[u8],
    ) -> Result<wire::Published, CommandFailure> {
        let topic = utf8_percent_encode(topic, ENCODED);
        self.ask("POST", &format!("/stream/{topic}/publish"), body, Duration::ZERO)
    }

    /// Subscribes to a stream: the lines of its events, as they come.
    pub(crate) fn subscribe(
        &self,
        topic: &str,
        queue_max: Option<usize>,
    ) -> Result<impl BufRead + use<>, CommandFailure> {
        let topic = utf8_percent_encode(topic, ENCODED);
        let query = queue_max.map(|count| format!("?queue_max={count}")).unwrap_or_default();
        let path = format!("/stream/{topic}{query}");
        let response = self.recovered(|| {
            let request = self.request("GET", &path).header("accept", "text/event-stream");
            let request = request.body(()).map_err(CommandFailure::usage)?;
            let config = self.agent.configure_request(request);
            let request = config.timeout_recv_response(Some(self.patience.answer)).build();
            self.answered(self.agent.run(request))
        })?;
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(BufReader::new(body))
    }
}

impl Backend for Http {
    fn push(
        &self,
        id: &str,
        items: &[Item],
        terms: &PushOf<'_>,
    ) -> Result<wire::Pushed, CommandFailure> {
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
        self.ask("POST", &path(id, "push"), &body, Duration::ZERO)
    }

    fn pop(&self, id: &str, depth: usize, wait: Duration) -> Result<wire::Popped, CommandFailure> {
        let path = format!("{}?depth={depth}&wait_ms={}", path(id, "pop"), wait.as_millis());
        self.ask("POST", &path, &[], wait)
    }

    fn peek(&self, id: &str, page: &PageOf<'_>) -> Result<wire::Page, CommandFailure> {
        let mut path = format!("{}?depth={}", path(id, "peek"), page.depth);
        if let Some(priority) = page.priority {
            add(&mut path, "priority", &priority.to_string());
        }
        if let Some(after) = page.after {
            add(&mut path, "after", after);
        }
        self.ask("GET", &path, &[], Duration::ZERO)
    }

    fn purge(&self, id: &str, priority: Option<u32>) -> Result<wire::Purged, CommandFailure> {
        let body = priority.map(|priority| format!("{{\"priority\":{priority}}}"));
        let body = body.unwrap_or_default().into_bytes();
        self.ask("POST", &path(id, "purge"), &body, Duration::ZERO)
    }

    fn stats(&self, id: &str) -> Result<wire::Stats, CommandFailure> {
        self.ask("GET", &path(id, "stats"), &[], Duration::ZERO)
    }

    fn queues(&self, page: &ListOf<'_>) -> Result<wire::QueueList, CommandFailure> {
        self.ask("GET", &queues_path(page), &[], Duration::ZERO)
    }

    fn queue_depths(&self, page: &ListOf<'_>) -> Result<wire::QueueDepths, CommandFailure> {
        let path = format!("{}&detail=true", queues_path(page));
        self.ask("GET", &path, &[], Duration::ZERO)
    }

    fn heartbeat(
        &self,
        id: &str,
        meta: Option<&Item>,
        life: Option<u64>,
    ) -> Result<wire::Beat, CommandFailure> {
        let meta = meta.map(|meta| format!("\"meta\":{meta}"));
        let fields: Vec<_> = meta.into_iter().chain(life.map(life_field)).collect();
        let body = format!("{{{}}}", fields.join(","));
        self.ask("POST", &worker_path(id, "/heartbeat"), body.as_bytes(), Duration::ZERO)
    }

    fn deregister(&self, id: &str, life: Option<u64>) -> Result<(), CommandFailure> {
        let path = worker_path(id, "/deregister");
        let body = life.map(|life| format!("{{{}}}", life_field(life))).unwrap_or_default();
        let done: Result<wire::Deregistered, _> =
            self.ask("POST", &path, body.as_bytes(), Duration::ZERO);
        done.map(drop)
    }

    fn workers(&self, page: &WorkersOf<'_>) -> Result<wire::WorkerList, CommandFailure> {
        let mut path = format!("/workers?limit={}", page.limit);
        if let Some(status) = page.status {
            add(&mut path, "status", status.as_str());
        }
        if let Some(after) = page.after {
            add(&mut path, "after", after);
        }
        self.ask("GET", &path, &[], Duration::ZERO)
    }

    fn close(&self) -> Result<(), CommandFailure> {
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

fn queues_path(page: &ListOf<'_>) -> String {
    let mut path = format!("/queues?limit={}", page.limit);
    if let Some(prefix) = page.prefix {
        add(&mut path, "prefix", prefix);
    }
    if let Some(after) = page.after {
        add(&mut path, "after", after);
    }
    path
}

/// A part of a path.
pub(crate) fn encoded(part: &str) -> impl std::fmt::Display {
    utf8_percent_encode(part, ENCODED)
}

fn worker_path(id: &str, verb: &str) -> String {
    format!("/worker/{}{verb}", utf8_percent_encode(id, ENCODED))
}

fn life_field(life: u64) -> String {
    format!("\"life\":{life}")
}

fn add(path: &mut String, name: &str, value: &str) {
    let value = utf8_percent_encode(value, ENCODED);
    write!(path, "&{name}={value}").expect("a string takes every character");
}
