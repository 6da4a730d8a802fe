//! Who may have a connection that stays, and how it begins.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use actix_http::ws::{HandshakeError, verify_handshake};
use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    body::BoxBody,
    dev,
    http::{
        Method,
        header::{
            ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
        },
    },
    rt, web,
};
use lanekeeper_actors::MemoryBudget;
use tokio::sync::watch;

use crate::server::{
    access::auth,
    http::{code::Code, connection::progress::Progress, problem::Problem},
    options::SocketOptions,
    socket::{
        ClientFrames, FrameSource,
        body::{Flow, SocketBody, Stopping},
        event_source::EventBody,
        frame_limiter::FrameLimiter,
        reader::Reader,
    },
};

/// The subprotocol of every WebSocket here.
const PROTOCOL: &str = "lanekeeper";

/// The connections of a server that stay.
#[derive(Debug)]
pub(crate) struct Connections {
    options: SocketOptions,
    memory: MemoryBudget,
    open: AtomicUsize,
    stopping: watch::Sender<bool>,
}

impl Connections {
    /// None yet.
    pub(crate) fn new(options: SocketOptions, memory: MemoryBudget) -> Self {
        Self { options, memory, open: AtomicUsize::new(0), stopping: watch::Sender::new(false) }
    }

    /// The number of entries in this answer.
    pub(crate) fn open_count(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Lets all of them finish and close.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    fn stopping(&self) -> Stopping {
        let mut stopping = self.stopping.subscribe();
        Box::pin(async move { drop(stopping.wait_for(|is_stopping| *is_stopping).await) })
    }
}

/// The right to one of the connections; given back when dropped.
pub(crate) struct Permit(Arc<Connections>);

impl Permit {
    fn take(connections: &Arc<Connections>, most: usize) -> Result<Self, Problem> {
        let one_more = |open: usize| (open < most).then_some(open + 1);
        if connections.open.fetch_update(Relaxed, Relaxed, one_more).is_err() {
            let detail = format!("all {most} subscribed connections are in use: try again later");
            let problem = Problem::new(Code::TooManyConnections, detail);
            return Err(problem.limit(most as u64).current(most as u64));
        }
        Ok(Self(Arc::clone(connections)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// What sort of connection a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    WebSocket,
    Events,
}

impl Wanted {
    /// Reads it from the head of a request.
    ///
    /// # Errors
    /// `upgrade_required` if it is neither; `invalid_request` if the handshake is broken.
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let has = |name, word: &str| {
            let mut values = request.headers().get_all(name);
            values.any(|value| {
                value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains(word))
            })
        };
        if has(UPGRADE, "websocket") {
            return match verify_handshake(request.head()) {
                Ok(()) => Ok(Self::WebSocket),
                Err(HandshakeError::UnsupportedVersion) => {
                    Err(upgrade_required("Sec-WebSocket-Version must be 13"))
                }
                Err(error) => {
                    Err(Problem::new(Code::InvalidRequest, format!("the upgrade: {error}")))
                }
            };
        }
        if has(ACCEPT, "text/event-stream") && *request.method() == Method::GET {
            return Ok(Self::Events);
        }
        Err(upgrade_required(
            "subscribe with a WebSocket upgrade, or with Accept: text/event-stream",
        ))
    }
}

fn upgrade_required(detail: &'static str) -> Problem {
    Problem::new(Code::UpgradeRequired, detail)
}

/// A client that was let in and is still to be answered.
pub(crate) struct Admission {
    wanted: Wanted,
    request: HttpRequest,
    permit: Permit,
    stopping: Stopping,
    options: SocketOptions,
    memory: MemoryBudget,
}

impl Admission {
    /// Lets a client in, if there is room.
    ///
    /// # Errors
    /// `too_many_connections`, and as [`Wanted::of`].
    pub(crate) fn check(
        request: &HttpRequest,
        connections: &Arc<Connections>,
    ) -> Result<Self, Problem> {
        let options = &connections.options;
        let wanted = Wanted::of(request)?;
        let permit = Permit::take(connections, options.connections_max)?;
        let stopping = connections.stopping();
        let (options, memory) = (options.clone(), connections.memory.clone());
        Ok(Self { wanted, request: request.clone(), permit, stopping, options, memory })
    }

    /// Whether server-sent events are wanted.
    pub(crate) fn is_events(&self) -> bool {
        self.wanted == Wanted::Events
    }

    /// Takes nothing but a WebSocket.
    ///
    /// # Errors
    /// `upgrade_required` if the client wants something else.
    pub(crate) fn web_socket(self) -> Result<Self, Problem> {
        match self.wanted {
            Wanted::WebSocket => Ok(self),
            Wanted::Events => {
                Err(upgrade_required("this call is a WebSocket: connect with an upgrade"))
            }
        }
    }

    /// Begins the connection.
    ///
    /// # Errors
    /// `invalid_request` if there is no connection to begin it on.
    pub(crate) async fn open(
        self,
        payload: Option<web::Payload>,
        source: impl FrameSource,
        incoming: impl ClientFrames,
    ) -> Result<HttpResponse, Problem> {
        let Self { wanted, request, permit, stopping, options, memory } = self;
        let broken = || Problem::new(Code::InvalidRequest, "there is no connection to upgrade");
        let progress = request.conn_data::<Rc<Progress>>().ok_or_else(broken)?;
        let streaming = Rc::clone(progress).streaming();
        let (source, stopping) = (Box::new(source), Some(stopping));
        let flow = Flow { source, streaming, stopping, _permit: permit };
        if wanted == Wanted::Events {
            return Ok(events(EventBody::new(flow, options.ping_interval)));
        }
        let payload = payload.ok_or_else(broken)?;
        let (guard, is_breached) =
            FrameLimiter::new(payload.into_inner(), options.frame_bytes_max as u64, &memory);
        let mut guarded: dev::Payload = dev::Payload::Stream { payload: Box::pin(guard) };
        let payload = web::Payload::from_request(&request, &mut guarded).await;
        let payload = payload.map_err(|_| broken())?;
        let (mut response, session, messages) =
            actix_ws::handle(&request, payload).map_err(|_| broken())?;
        select_protocol(&request, &mut response);
        let messages = messages
            .max_frame_size(options.frame_bytes_max)
            .aggregate_continuations()
            .max_continuation_size(options.frame_bytes_max);
        let ping_interval = options.ping_interval;
        let reader = Reader { session, messages, incoming, is_breached, ping_interval };
        rt::spawn(reader.run());
        Ok(response.map_body(|_, control| BoxBody::new(SocketBody::new(control, flow))))
    }
}

/// Takes the subprotocol that is this server's own: beside it a client may have sent its token.
fn select_protocol(request: &HttpRequest, response: &mut HttpResponse) {
    let mut offered = auth::parts(request.headers(), SEC_WEBSOCKET_PROTOCOL, ',');
    if offered.any(|protocol| protocol == PROTOCOL) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
}

fn events(body: EventBody) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .message_body(BoxBody::new(body))
        .expect("the headers are valid")
}
