//! One POST: what is sent, and what the answer means.

use std::{
    io,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use lanekeeper_actors::queue::{Lease, SinkHeaders};
use ureq::{
    Agent, Body, Error, Timeout,
    config::{AutoHeaderValue, Config},
    http::{Request, Response, StatusCode},
    tls::{RootCerts, TlsConfig},
    unversioned::{
        resolver::{DefaultResolver, Resolver},
        transport::DefaultConnector,
    },
};

use crate::{
    webhook::{
        address::{policy::AddressPolicy, resolver::CheckedResolver, target::Target},
        retry_after::RetryAfter,
        trusted_cas::TrustedRoots,
    },
    wire::convert::unix_millis,
};

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
pub(crate) struct DeliveryRequest {
    target: Target,
    queue: String,
    id: String,
    priority: u32,
    deliveries: u32,
    headers: SinkHeaders,
    token: String,
    expires_at: SystemTime,
    payload: Bytes,
    timeout: Duration,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryOutcome {
    /// The receiver is done with it.
    Done,
    /// The receiver settles the lease itself.
    Accepted,
    /// Neither.
    Failed(DeliveryFailure),
}

/// Why a delivery failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryFailure {
    pub(crate) reason: String,
    pub(crate) fault: Fault,
    /// How long the receiver asks to be left alone.
    pub(crate) retry_after: Option<RetryAfter>,
}

/// What a failed delivery says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The receiver does not want this message, as far as anybody can tell.
    Message,
    /// The receiver got it and could not answer for it: others would fare no better.
    Receiver,
    /// The receiver got nothing of it.
    Unreachable,
}

impl DeliveryRequest {
    /// A leased message, to be sent within `timeout`.
    pub(crate) fn new(
        (target, headers): (Target, SinkHeaders),
        queue: &str,
        lease: &Lease,
        timeout: Duration,
    ) -> Self {
        Self {
            target,
            headers,
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
pub(crate) struct Client(Agent);

impl Client {
    /// Posts where the policy allows it. Over TLS, receivers are trusted by these roots, or by the
    /// public ones.
    pub(crate) fn new(
        policy: AddressPolicy,
        trusted_cas: Option<TrustedRoots>,
        posts_max: usize,
    ) -> Self {
        let resolver = CheckedResolver::new(policy, DefaultResolver::default());
        Self::looking_up(resolver, trusted_cas, IDLE_MAX.min(posts_max))
    }

    fn looking_up(
        resolver: impl Resolver,
        trusted_cas: Option<TrustedRoots>,
        idle_max: usize,
    ) -> Self {
        let trusted_cas = trusted_cas.map_or(RootCerts::WebPki, TrustedRoots::into_certs);
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy of the environment would look hosts up unchecked.
            .proxy(None)
            .user_agent(USER_AGENT)
            .accept_encoding(AutoHeaderValue::None)
            .max_response_header_size(HEAD_BYTES_MAX)
            .max_idle_connections(idle_max)
            .max_idle_connections_per_host(IDLE_PER_HOST_MAX)
            .timeout_resolve(Some(RESOLVE_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_body(Some(BODY_TIMEOUT))
            .tls_config(TlsConfig::builder().root_certs(trusted_cas).build())
            .build();
        Self(Agent::with_parts(config, DefaultConnector::default(), resolver))
    }

    /// Sends a message and reads what the answer means. Blocks, for `timeout` at most.
    pub(crate) fn post(&self, post: &DeliveryRequest) -> DeliveryOutcome {
        match self.send(post) {
            Ok(mut response) => {
                discard(response.body_mut());
                outcome(response.status(), retry_after(&response))
            }
            Err(error) => DeliveryOutcome::Failed(DeliveryFailure::from(error)),
        }
    }

    /// Cuts every connection: who sends is told that it failed.
    pub(crate) fn shutdown(&self) {
        self.0.clone().shutdown();
    }

    fn send(&self, post: &DeliveryRequest) -> Result<Response<Body>, Error> {
        let mut request = Request::post(post.target.0.clone());
        for (name, value) in post.headers.iter() {
            request = request.header(name, value);
        }
        let request = request
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

impl From<Error> for DeliveryFailure {
    fn from(error: Error) -> Self {
        let fault = fault_of(&error);
        let reason = match error {
            Error::Timeout(_) => "the receiver took too long".to_owned(),
            Error::Other(error) => error.to_string(),
            error => error.to_string(),
        };
        Self { reason, fault, retry_after: None }
    }
}

/// An error is the receiver's fault, unless it is certain that nothing was sent.
fn fault_of(error: &Error) -> Fault {
    use io::ErrorKind as Kind;
    match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect)
        | Error::HostNotFound
        | Error::ConnectionFailed
        | Error::Tls(_)
        | Error::Rustls(_)
        // The address is forbidden.
        | Error::Other(_) => Fault::Unreachable,
        Error::Io(error) => match error.kind() {
            Kind::ConnectionRefused
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::AddrNotAvailable
            // Nobody that is trusted: the TLS handshake says so.
            | Kind::InvalidData => Fault::Unreachable,
            _ => Fault::Receiver,
        },
        _ => Fault::Receiver,
    }
}

/// Reads away what is small: a connection with an unread body is closed.
fn discard(body: &mut Body) {
    if body.content_length().is_some_and(|length| length <= BODY_BYTES_MAX) {
        // The status said all.
        io::copy(&mut body.with_config().limit(BODY_BYTES_MAX).reader(), &mut io::sink()).ok();
    }
}

/// What the receiver says of when to come again, where that is what it is asked.
fn retry_after(response: &Response<Body>) -> Option<RetryAfter> {
    let is_asked = matches!(response.status().as_u16(), 429 | 503);
    let value = response.headers().get("retry-after").filter(|_| is_asked)?;
    RetryAfter::parse(value.to_str().ok()?)
}

fn outcome(status: StatusCode, retry_after: Option<RetryAfter>) -> DeliveryOutcome {
    match status {
        StatusCode::ACCEPTED => DeliveryOutcome::Accepted,
        status if status.is_success() => DeliveryOutcome::Done,
        status => {
            // Too slow, too many: as with 5xx, another message would fare no better.
            let is_receivers =
                status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
            let fault = if is_receivers { Fault::Receiver } else { Fault::Message };
            let reason = format!("the receiver answered {}", status.as_u16());
            DeliveryOutcome::Failed(DeliveryFailure { reason, fault, retry_after })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpListener},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use ureq::{
        http::Uri,
        unversioned::{resolver::ResolvedSocketAddrs, transport::NextTimeout},
    };

    use super::*;

    #[test]
    fn only_2xx_but_202_is_done() {
        for (status, expected) in [(200, true), (201, true), (204, true), (299, true)] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(outcome(status, None) == DeliveryOutcome::Done, expected, "{status}");
        }
        assert_eq!(outcome(StatusCode::ACCEPTED, None), DeliveryOutcome::Accepted);
        for (status, fault) in [
            (301, Fault::Message),
            (307, Fault::Message),
            (400, Fault::Message),
            (404, Fault::Message),
            (408, Fault::Receiver),
            (429, Fault::Receiver),
            (500, Fault::Receiver),
            (503, Fault::Receiver),
        ] {
            let failed = outcome(StatusCode::from_u16(status).expect("a status"), None);
            let reason = format!("the receiver answered {status}");
            let retry_after = None;
            assert_eq!(
                failed,
                DeliveryOutcome::Failed(DeliveryFailure { reason, fault, retry_after })
            );
        }
    }

    /// Names an address the first time, another one each time after that.
    #[derive(Debug)]
    struct Turncoat {
        port: u16,
        asked: Arc<AtomicUsize>,
    }

    impl Resolver for Turncoat {
        fn resolve(
            &self,
            _: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            let last = if self.asked.fetch_add(1, Ordering::SeqCst) == 0 { 1 } else { 2 };
            let mut found = self.empty();
            found.push(SocketAddr::from(([127, 0, 0, last], self.port)));
            Ok(found)
        }
    }

    fn post(port: u16) -> DeliveryRequest {
        DeliveryRequest {
            target: Target::parse(&format!("http://rebinding.test:{port}/")).expect("a target"),
            queue: "q".into(),
            headers: SinkHeaders::default(),
            id: "1".into(),
            priority: 1,
            deliveries: 1,
            token: "t".into(),
            expires_at: SystemTime::now(),
            payload: Bytes::from_static(b"{}"),
            timeout: Duration::from_secs(20),
        }
    }

    #[test]
    fn a_name_that_changes_its_address_is_connected_to_where_it_was_checked() {
        let allowed = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = allowed.local_addr().expect("an address").port();
        let forbidden = TcpListener::bind(("127.0.0.2", port)).expect("the same port");
        forbidden.set_nonblocking(true).expect("a listener");
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = allowed.accept().expect("the delivery");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n{}") {
                let mut bytes = [0; 1_024];
                let count = stream.read(&mut bytes).expect("a request");
                request.extend_from_slice(&bytes[..count]);
            }
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).expect("the client reads");
        });
        let asked = Arc::new(AtomicUsize::new(0));
        let names = Turncoat { port, asked: Arc::clone(&asked) };
        let policy = AddressPolicy { allowed: vec!["127.0.0.1".parse().expect("a network")] };
        let client = Client::looking_up(CheckedResolver::new(policy, names), None, 1);
        assert_eq!(client.post(&post(port)), DeliveryOutcome::Done);
        answering.join().expect("it answered");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "not again between check and connection");
        let DeliveryOutcome::Failed(failure) = client.post(&post(port)) else {
            panic!("it is forbidden")
        };
        assert!(failure.reason.starts_with("127.0.0.2 is loopback"), "{failure:?}");
        assert_eq!(failure.fault, Fault::Unreachable);
        let nobody = forbidden.accept().expect_err("nobody connects");
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_receiver_that_is_not_there_got_nothing() {
        let port = {
            let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
            gone.local_addr().expect("an address").port()
        };
        let names = Turncoat { port, asked: Arc::default() };
        let policy = AddressPolicy { allowed: vec!["127.0.0.1".parse().expect("a network")] };
        let client = Client::looking_up(CheckedResolver::new(policy, names), None, 1);
        let DeliveryOutcome::Failed(failure) = client.post(&post(port)) else {
            panic!("nobody listens")
        };
        assert_eq!(failure.fault, Fault::Unreachable, "{failure:?}");
    }
}
