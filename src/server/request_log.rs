//! What the server logs of requests.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use actix_web::HttpRequest;
use tracing::Level;

use crate::server::http::problem::Problem;

/// Failures that are logged in one second; the rest is counted.
const FAILURES_MAX: u64 = 10;

/// Logs failures, a bounded number of them: a broken disk fails every request there is.
#[derive(Debug)]
pub(crate) struct FailureLog {
    began: Instant,
    second: AtomicU64,
    logged: AtomicU64,
    suppressed: AtomicU64,
}

impl FailureLog {
    /// A log that has said nothing.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            second: AtomicU64::new(0),
            logged: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Logs a failure of the server. A refusal is none.
    pub(crate) fn record(&self, request: &HttpRequest, problem: &Problem) {
        if !matches!(problem.status().as_u16(), 500 | 507) {
            return;
        }
        if let Some(suppressed) = self.admit(self.began.elapsed().as_secs()) {
            let (method, path) = (request.method(), request.uri().path());
            let code = problem.code().as_str();
            tracing::error!(%method, path, code, suppressed, "{}", problem.detail());
        }
    }

    /// Whether to log in this second; if so, how many were not logged before.
    fn admit(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Relaxed) != second {
            self.logged.store(0, Relaxed);
        }
        if self.logged.fetch_add(1, Relaxed) < FAILURES_MAX {
            return Some(self.suppressed.swap(0, Relaxed));
        }
        self.suppressed.fetch_add(1, Relaxed);
        None
    }
}

/// Logs an answer, for whoever looks closely.
pub(crate) fn answered(request: &HttpRequest, status: u16, took: Duration) {
    if tracing::enabled!(Level::DEBUG) {
        let (method, path, micros) = (request.method(), request.uri().path(), took.as_micros());
        tracing::debug!(%method, path, status, micros, "answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_failures_is_counted_instead() {
        let log = FailureLog::new();
        let logged = (0..100).filter(|_| log.admit(7).is_some()).count();
        assert_eq!(logged as u64, FAILURES_MAX);
        assert_eq!(log.admit(8), Some(90));
        assert_eq!(log.admit(8), Some(0));
    }
}
