//! Errors as problem documents (RFC 9457).

use std::{borrow::Cow, time::Duration};

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{
            ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION,
            UPGRADE, WWW_AUTHENTICATE,
        },
    },
};
use serde::Serialize;

use crate::server::http::code::Code;

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Problem(Box<Content>);

#[derive(Debug)]
struct Content {
    code: Code,
    status: StatusCode,
    detail: Cow<'static, str>,
    limit: Option<u64>,
    current: Option<u64>,
    retry_after: Option<Duration>,
    blocked_by: Option<&'static str>,
    waited_ms: Option<u64>,
    lease_expires_at: Option<u64>,
    allow: Option<HeaderValue>,
    is_last: bool,
}

impl Problem {
    /// A problem whose detail names the field and its bound.
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(code.status()).expect("the table holds statuses");
        let detail = detail.into();
        Self(Box::new(Content {
            code,
            status,
            detail,
            limit: None,
            current: None,
            retry_after: None,
            blocked_by: None,
            waited_ms: None,
            lease_expires_at: None,
            allow: None,
            is_last: false,
        }))
    }

    /// Says which field of the request it is about.
    pub(crate) fn at(mut self, path: impl std::fmt::Display) -> Self {
        self.0.detail = format!("{path}: {}", self.0.detail).into();
        self
    }

    /// States the bound that was met.
    pub(crate) fn limit(mut self, limit: u64) -> Self {
        self.0.limit = Some(limit);
        self
    }

    /// States how much there is of what is bounded.
    pub(crate) fn current(mut self, current: u64) -> Self {
        self.0.current = Some(current);
        self
    }

    /// States when asking again helps, where that is known better than by the code.
    pub(crate) fn retry_in(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// States what keeps an owner out of a gate.
    pub(crate) fn blocked_by(mut self, what: Option<&'static str>) -> Self {
        self.0.blocked_by = what;
        self
    }

    /// States how long somebody waited in vain.
    pub(crate) fn waited(mut self, waited_ms: u64) -> Self {
        self.0.waited_ms = Some(waited_ms);
        self
    }

    /// States when the leases end that are in the way (Unix milliseconds).
    pub(crate) fn lease_expires_at(mut self, instant: u64) -> Self {
        self.0.lease_expires_at = Some(instant);
        self
    }

    /// States the methods that the path knows.
    pub(crate) fn allow(mut self, methods: &str) -> Self {
        self.0.allow = HeaderValue::from_str(methods).ok();
        self
    }

    /// Answers 503 whatever the code's own status is: readiness knows no other refusal.
    pub(crate) fn unavailable(mut self) -> Self {
        self.0.status = StatusCode::SERVICE_UNAVAILABLE;
        self
    }

    /// The code of the problem, for programs.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// Whether nothing follows it on its connection: whoever has no token holds no connection, and
    /// one whose client has closed its side is of no more use.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self.0.code, Code::Unauthorized) || self.0.is_last
    }

    /// Ends the connection with this answer.
    pub(crate) fn last(mut self) -> Self {
        self.0.is_last = true;
        self
    }

    /// What a human reads.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The status it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Says what to wait: 429 and 503 always do.
    fn wait(&self) -> Option<Duration> {
        let is_unavailable = self.0.status == StatusCode::SERVICE_UNAVAILABLE;
        let usual = self.0.code.retry_after();
        self.0.retry_after.or(usual).or(is_unavailable.then_some(Duration::from_secs(1)))
    }

    /// The document.
    pub(crate) fn to_text(&self) -> String {
        let document = Document {
            kind: "about:blank",
            title: self.0.status.canonical_reason().unwrap_or("Error"),
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            code: self.0.code.as_str(),
            retry_after_ms: self.wait().map(|wait| wait.as_millis() as u64),
            limit: self.0.limit,
            current: self.0.current,
            blocked_by: self.0.blocked_by,
            waited_ms: self.0.waited_ms,
            lease_expires_at: self.0.lease_expires_at,
        };
        serde_json::to_string(&document).expect("a document of text and numbers")
    }

    /// The answer.
    pub(crate) fn into_response(self) -> HttpResponse {
        let (body, retry_after) = (self.to_text(), self.wait());
        let mut response = HttpResponse::build(self.0.status);
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if let Some(wait) = retry_after {
            response.insert_header((RETRY_AFTER, wait.as_millis().div_ceil(1000).to_string()));
        }
        if let Some(methods) = self.0.allow {
            response.insert_header((ALLOW, methods));
        }
        if self.0.code == Code::UpgradeRequired {
            response.insert_header((UPGRADE, "websocket"));
            response.insert_header((SEC_WEBSOCKET_VERSION, "13"));
        }
        if self.0.code == Code::UnsupportedEncoding {
            response.insert_header((ACCEPT_ENCODING, "identity"));
        }
        if self.0.code == Code::Unauthorized {
            response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"lanekeeper\""));
        }
        response.body(body)
    }
}

/// A problem document as it is written.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_expires_at: Option<u64>,
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    fn written(problem: Problem) -> (u16, Option<String>, Value) {
        let response = problem.into_response();
        let status = response.status().as_u16();
        let header = |name| {
            let value: &HeaderValue = response.headers().get(name)?;
            Some(value.to_str().expect("ASCII").to_owned())
        };
        let retry = header(RETRY_AFTER);
        assert_eq!(header(CONTENT_TYPE).as_deref(), Some("application/problem+json"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let body = runtime.block_on(to_bytes(response.into_body())).expect("a body");
        (status, retry, serde_json::from_slice(&body).expect("JSON"))
    }

    #[test]
    fn a_problem_has_the_members_of_the_rfc_and_a_code() {
        let (status, retry, body) = written(Problem::new(Code::InvalidDepth, "depth: 1 to 100"));
        assert_eq!((status, retry), (400, None));
        let expected = json!({
            "type": "about:blank", "title": "Bad Request", "status": 400,
            "detail": "depth: 1 to 100", "code": "invalid_depth",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_full_queue_states_its_bound_and_when_to_come_back() {
        let problem = Problem::new(Code::QueueFull, "full").limit(10).current(10);
        let (status, retry, body) = written(problem);
        assert_eq!((status, retry.as_deref()), (429, Some("1")));
        assert_eq!(body["retry_after_ms"], 1000);
        assert_eq!((&body["limit"], &body["current"]), (&json!(10), &json!(10)));
    }

    #[test]
    fn a_wait_shorter_than_a_second_is_rounded_up_in_the_header() {
        let (status, retry, body) = written(Problem::new(Code::Overloaded, "busy"));
        assert_eq!((status, retry.as_deref()), (503, Some("1")));
        assert_eq!(body["retry_after_ms"], 100);
    }

    #[test]
    fn every_503_says_when_to_come_back() {
        let (status, retry, _) = written(Problem::new(Code::StorePoisoned, "x").unavailable());
        assert_eq!((status, retry.as_deref()), (503, Some("1")));
    }
}
