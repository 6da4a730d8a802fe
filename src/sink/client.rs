//! One POST: what is sent, and what the answer means.

use std::{
    io,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use lanekeeper_actors::queue::Lease;
use ureq::{
    Agent, Body, Error,
    config::{AutoHeaderValue, Config},
    http::{Request, Response, StatusCode},
    unversioned::transport::DefaultConnector,
};

use super::{AddressPolicy, resolver::CheckedResolver, target::Target};
use crate::server::wire::unix_millis;

/// How long a host may take to be looked up, and a connection to be made.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of a body that are read away to keep the connection, and how long that may take.
const BODY_BYTES_MAX: u64 = 16 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections kept for the next delivery.
const IDLE_MAX: usize = 64;
const IDLE_PER_HOST_MAX: usize = 16;
const USER_AGENT: &str = concat!("lanekeeper/", env!("CARGO_PKG_VERSION"));

/// A message on its way to its receiver.
#[derive(Debug)]
pub(super) struct Post {
    target: Target,
    queue: String,
    id: String,
    priority: u32,
    deliveries: u32,
    token: String,
    expires_at: SystemTime,
    payload: Bytes,
    timeout: Duration,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver is done with it.
    Done,
    /// The receiver settles the lease itself.
    Accepted,
    /// Neither, for this reason.
    Failed(String),
}

impl Post {
    /// A leased message, to be sent within `timeout`.
    pub(super) fn new(target: Target, queue: &str, lease: &Lease, timeout: Duration) -> Self {
        Self {
            target,
            queue: queue.to_owned(),
            id: lease.id.to_string(),
            priority: lease.priority,
            deliveries: lease.deliveries,
            token: lease.token().to_string(),
            expires_at: lease.expires_at(),
            payload: lease.item.as_bytes().clone(),
            timeout,
        }
    }
}

/// Sends messages, each on the thread that asks for it.
#[derive(Clone, Debug)]
pub(super) struct Client(Agent);

impl Client {
    pub(super) fn new(policy: AddressPolicy) -> Self {
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy of the environment would look hosts up unchecked.
            .proxy(None)
            .user_agent(USER_AGENT)
            .accept_encoding(AutoHeaderValue::None)
            .max_response_header_size(HEAD_BYTES_MAX)
            .max_idle_connections(IDLE_MAX)
            .max_idle_connections_per_host(IDLE_PER_HOST_MAX)
            .timeout_resolve(Some(RESOLVE_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_body(Some(BODY_TIMEOUT))
            .build();
        Self(Agent::with_parts(config, DefaultConnector::default(), CheckedResolver(policy)))
    }

    /// Sends a message and reads what the answer means. Blocks, for `timeout` at most.
    pub(super) fn post(&self, post: &Post) -> Outcome {
        match self.send(post) {
            Ok(mut response) => {
                discard(response.body_mut());
                outcome(response.status())
            }
            Err(Error::Timeout(_)) => Outcome::Failed("the receiver took too long".to_owned()),
            Err(Error::Other(error)) => Outcome::Failed(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Cuts every connection: who sends is told that it failed.
    pub(super) fn shutdown(&self) {
        self.0.clone().shutdown();
    }

    fn send(&self, post: &Post) -> Result<Response<Body>, Error> {
        let request = Request::post(post.target.0.clone())
            .header("content-type", "application/json")
            .header("lanekeeper-queue", &post.queue)
            .header("lanekeeper-message-id", &post.id)
            .header("lanekeeper-priority", post.priority)
            .header("lanekeeper-deliveries", post.deliveries)
            .header("lanekeeper-lease", &post.token)
            .header("lanekeeper-lease-expires-at", unix_millis(post.expires_at))
            .body(&post.payload[..])?;
        let request = self.0.configure_request(request).timeout_global(Some(post.timeout));
        self.0.run(request.build())
    }
}

/// Reads away what is small: a connection with an unread body is closed.
fn discard(body: &mut Body) {
    if body.content_length().is_some_and(|length| length <= BODY_BYTES_MAX) {
        // The status said all.
        io::copy(&mut body.with_config().limit(BODY_BYTES_MAX).reader(), &mut io::sink()).ok();
    }
}

fn outcome(status: StatusCode) -> Outcome {
    match status {
        StatusCode::ACCEPTED => Outcome::Accepted,
        status if status.is_success() => Outcome::Done,
        status => Outcome::Failed(format!("the receiver answered {}", status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_but_202_is_done() {
        for (status, expected) in [(200, true), (201, true), (204, true), (299, true)] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(outcome(status) == Outcome::Done, expected, "{status}");
        }
        assert_eq!(outcome(StatusCode::ACCEPTED), Outcome::Accepted);
        for status in [301, 307, 400, 404, 429, 500, 503] {
            let failed = outcome(StatusCode::from_u16(status).expect("a status"));
            assert_eq!(failed, Outcome::Failed(format!("the receiver answered {status}")));
        }
    }
}
