//! From a request to its answer: admission, the handler, the count.

use std::{
    rc::Rc,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_http::ConnectionType;
use actix_web::{HttpRequest, HttpResponse, dev::RequestHead, web};
use lanekeeper_actors::Node;

use crate::{
    server::{
        access::{
            cors,
            door::{Caller, Door, Forbidden},
        },
        http::{
            body::{self, BodyLimits},
            code::Code,
            connection::{
                client::{Client, GivenUp},
                descriptors::Descriptors,
                progress::Progress,
                slots::Slots,
            },
            header_limits::{self, Local},
            problem::Problem,
            request::{ApiRequest, RawRequest},
            response::ApiResponse,
        },
        metrics::counters::{Counters, Figures},
        options::ServerOptions,
        request_log::{self, FailureLog},
        resource::{
            consumer::upgrade, gate, lease, message, operation, queue, queue_config, queues, sink,
            stream, subscribe, worker,
        },
        router::{self, Missing, Route, RouteMatch},
        socket::admit::Connections,
    },
    webhook::stats::SinkFigures,
};

/// What all workers of a server share.
#[derive(Debug)]
pub(crate) struct ServerState {
    node: OnceLock<Node>,
    is_draining: AtomicBool,
    options: ServerOptions,
    door: Door,
    counters: Mutex<Vec<Arc<Counters>>>,
    failures: FailureLog,
    connections: Arc<Connections>,
    descriptors: Descriptors,
    slots: Arc<Slots>,
    sinks: OnceLock<SinkFigures>,
    /// Held by who sets a sink.
    setting_sinks: tokio::sync::Mutex<()>,
}

impl ServerState {
    /// The state of a server whose node is still to be opened.
    pub(crate) fn new(options: ServerOptions, descriptors: Descriptors) -> Self {
        Self {
            descriptors,
            slots: Arc::new(Slots::new(descriptors.slot_limits(&options))),
            node: OnceLock::new(),
            is_draining: AtomicBool::new(false),
            connections: Arc::new(Connections::new(options.socket.clone(), options.memory.clone())),
            door: Door::new(options.listen, &options.host_names, &options.origins),
            options,
            counters: Mutex::new(Vec::new()),
            failures: FailureLog::new(),
            sinks: OnceLock::new(),
            setting_sinks: tokio::sync::Mutex::default(),
        }
    }

    /// What the server was told.
    pub(crate) fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Lets one at a time set a sink: they are counted before.
    pub(crate) async fn alone_with_sinks(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.setting_sinks.lock().await
    }

    /// Begins to serve; a second node is ignored.
    pub(crate) fn open(&self, node: Node) {
        drop(self.node.set(node));
    }

    /// Refuses what comes from now on, and lets the connections that stay come to their end.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.connections.stop();
    }

    /// Shows what is counted of sinks from now on; others are ignored then.
    pub(crate) fn show_sinks(&self, figures: SinkFigures) {
        drop(self.sinks.set(figures));
    }

    /// What is counted of sinks, if they are delivered to.
    pub(crate) fn sinks(&self) -> Option<&SinkFigures> {
        self.sinks.get()
    }

    /// How its open files are used.
    pub(crate) fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    /// All of its connections.
    pub(crate) fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    /// The connections that stay.
    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// The node, whatever its state, once there is one.
    pub(crate) fn opened(&self) -> Option<&Node> {
        self.node.get()
    }

    /// The node, whether or not it is draining.
    ///
    /// # Errors
    /// `recovering`.
    pub(crate) fn recovered(&self) -> Result<&Node, Problem> {
        let recovering = || Problem::new(Code::Recovering, "the node is still reading its data");
        self.node.get().ok_or_else(recovering)
    }

    /// The node, if it takes requests.
    ///
    /// # Errors
    /// `recovering` or `shutting_down`.
    pub(crate) fn serving(&self) -> Result<&Node, Problem> {
        let node = self.recovered()?;
        if self.is_draining.load(Ordering::Acquire) || node.is_draining() {
            return Err(Problem::new(Code::ShuttingDown, "the node is shutting down"));
        }
        Ok(node)
    }

    /// The figures of all workers together.
    pub(crate) fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.iter().for_each(|worker| worker.add_to(&mut figures));
        figures
    }
}

/// What one worker thread answers with.
#[derive(Clone, Debug)]
pub(crate) struct ServerThread {
    shared: Arc<ServerState>,
    counters: Arc<Counters>,
}

impl ServerThread {
    /// A worker more.
    pub(crate) fn new(shared: Arc<ServerState>) -> Self {
        let counters = Arc::new(Counters::default());
        let mut all = shared.counters.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&counters));
        drop(all);
        Self { shared, counters }
    }
}

/// Answers one request, whatever it is.
pub(crate) async fn answer(
    worker: Rc<ServerThread>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let in_flight = worker.counters.begin();
    let progress = request.conn_data::<Rc<Progress>>();
    let _answering = progress.map(|progress| Rc::clone(progress).answering());
    let shared = &*worker.shared;
    let limits = BodyLimits {
        bytes_max: shared.options.body_bytes_max,
        timeout: shared.options.body_timeout,
    };
    let mut body = RawRequest::new(request.head(), payload, limits, &shared.options.memory);
    let found = router::find(request.method(), request.uri().path());
    let route = found.as_ref().ok().map(|found| found.route);
    let caller = enter(shared, request.head(), request.conn_data::<Local>().copied(), route);
    let is_listed = matches!(caller, Ok(Caller::Listed));
    let is_preflight = is_listed && cors::is_preflight(request.head());
    let admitted = caller.and_then(|_| admit(shared, request.head(), found));
    let handled = match admitted {
        _ if is_preflight => Ok(ApiResponse::Begun(cors::preflight())),
        Ok(found) => carry_out(shared, &request, found, &mut body).await,
        Err(problem) => Err(problem),
    };
    let is_last = matches!(&handled, Err(problem) if problem.is_last());
    if !is_last {
        body.discard().await;
    }
    let mut response = match handled {
        Ok(answer) => answer.into_response(&shared.options.memory),
        Err(problem) => {
            shared.failures.record(&request, &problem);
            problem.into_response()
        }
    };
    if is_listed {
        cors::show(request.head(), &mut response);
    }
    if is_last || body.is_left() || progress.is_some_and(|progress| progress.is_extra()) {
        response.head_mut().set_connection_type(ConnectionType::Close);
        progress.inspect(|progress| progress.close());
    }
    let took = in_flight.end(route, response.status());
    request_log::answered(&request, response.status().as_u16(), took);
    response
}

/// Has a request handled for as long as it has a client: see [`Progress::carry_out`].
async fn carry_out(
    shared: &ServerState,
    request: &HttpRequest,
    found: RouteMatch<'_>,
    body: &mut RawRequest,
) -> Result<ApiResponse, Problem> {
    let Some(progress) = request.conn_data::<Rc<Progress>>() else {
        return handle(shared, request, found, body, None).await;
    };
    let given_up = |detail: &'static str| Err(Problem::new(Code::Cancelled, detail).last());
    if progress.is_closing() {
        return given_up("the connection ended with the answer before this one");
    }
    // Asking for the health displaces nobody, and shows no token.
    let is_health = found.route.is_health();
    let may_stay = !is_health || (shared.options.token.is_none() && !progress.is_extra());
    if may_stay && !progress.let_in().await {
        let most = shared.descriptors.connections_max;
        let detail = format!("all {most} connections are in use: try again later");
        let problem = Problem::new(Code::TooManyConnections, detail).limit(most as u64);
        return Err(problem.last());
    }
    let call = handle(shared, request, found, body, Some(progress.client()));
    match progress.carry_out(call).await {
        Ok(handled) => handled,
        Err(GivenUp::Closed) => {
            given_up("the client closed its side of the connection while the request waited")
        }
        Err(GivenUp::Flooded) => given_up("too many bytes were sent behind a waiting request"),
    }
}

/// Where a request may come from.
fn enter(
    shared: &ServerState,
    head: &RequestHead,
    local: Option<Local>,
    route: Option<Route>,
) -> Result<Caller, Problem> {
    header_limits::check(head, shared.options.head_bytes_max)?;
    let is_lasting = matches!(route, Some(Route::Subscribe | Route::Consume));
    let admitted = shared.door.admit(&header_limits::source(head, local, is_lasting));
    admitted.map_err(|forbidden| {
        let code = match forbidden {
            Forbidden::NoHost => Code::InvalidRequest,
            Forbidden::Host(_) => Code::ForbiddenHost,
            Forbidden::Origin(_) => Code::ForbiddenOrigin,
        };
        Problem::new(code, forbidden.to_string())
    })
}

/// Whether a client that waits with its body should send it.
///
/// # Errors
/// What the request would be refused with once it is there, as far as its head tells.
pub(crate) fn expect(
    shared: &ServerState,
    head: &RequestHead,
    local: Option<Local>,
) -> Result<(), Problem> {
    let found = router::find(&head.method, head.uri.path());
    let route = found.as_ref().ok().map(|found| found.route);
    enter(shared, head, local, route)?;
    let found = admit(shared, head, found)?;
    body::check(head, shared.options.body_bytes_max)?;
    body::afford(&shared.options.memory, body::declared(head))?;
    serving(shared, &found).map(drop)
}

/// Who and what is let in.
fn admit<'p>(
    shared: &ServerState,
    head: &RequestHead,
    found: Result<RouteMatch<'p>, Missing>,
) -> Result<RouteMatch<'p>, Problem> {
    if let Some(token) = &shared.options.token
        && !found.as_ref().is_ok_and(|found| found.route.is_health())
    {
        token.check(head.headers())?;
    }
    found.map_err(|missing| match missing {
        Missing::Path => {
            Problem::new(Code::NotFound, format!("the path {} does not exist", head.uri.path()))
        }
        Missing::Method(methods) => {
            let detail = format!("{} is not one of {methods}", head.method);
            Problem::new(Code::MethodNotAllowed, detail).allow(&methods)
        }
    })
}

/// The node, if it takes requests; a gate says that it is the drain that holds it up.
fn serving<'s>(shared: &'s ServerState, found: &RouteMatch<'_>) -> Result<&'s Node, Problem> {
    shared.serving().map_err(|problem| match problem.code() {
        Code::ShuttingDown if found.is_of_gate() => problem.blocked_by(Some("drain")),
        _ => problem,
    })
}

async fn handle(
    shared: &ServerState,
    request: &HttpRequest,
    found: RouteMatch<'_>,
    body: &mut RawRequest,
    client: Option<&Client>,
) -> Result<ApiResponse, Problem> {
    match found.route {
        Route::Health => return operation::health(shared),
        Route::Live => return operation::live(),
        Route::Ready => return operation::ready(shared),
        Route::Metrics => {
            let query = request.uri().query().unwrap_or_default();
            return operation::metrics(shared, query).await;
        }
        Route::OpenApi => return operation::openapi(),
        Route::Version => return operation::version(),
        _ => {}
    }
    // Who drains still wants to know who is alive.
    let (node, is_draining) = match found.route {
        Route::Heartbeat | Route::Deregister => (shared.recovered()?, shared.serving().is_err()),
        _ => (serving(shared, &found)?, false),
    };
    let call = ApiRequest::new(node, found, request.head(), body)?.of(client);
    match found.route {
        Route::Push => queue::push(call).await,
        Route::Pop => queue::pop(call).await,
        Route::Peek => message::peek(call).await,
        Route::Message => message::message(call).await,
        Route::Cancel => message::cancel(call).await,
        Route::Promote => message::promote(call).await,
        Route::ChangeMessage => message::change(call).await,
        Route::Purge => queue::purge(call).await,
        Route::Queues => queues::queues(call).await,
        route if route.is_of_setting() => queue_config::answer(route, call).await,
        route if route.is_of_sink() => sink::answer(route, call, shared).await,
        route if route.is_of_lease() => lease::answer(route, call).await,
        route if found.is_of_gate() => gate::answer(route, call).await,
        Route::Consume => upgrade::consume(call, request, &shared.connections).await,
        Route::Subscribe => subscribe::subscribe(call, request, &shared.connections).await,
        Route::Publish
        | Route::StreamConfig
        | Route::StreamConfigure
        | Route::StreamChangeConfig
        | Route::StreamStats
        | Route::DeleteStream => stream::answer(found.route, call).await,
        Route::Heartbeat => worker::heartbeat(call, is_draining).await,
        Route::Deregister => worker::deregister(call).await,
        Route::Worker => worker::worker(call).await,
        Route::DeleteWorker => worker::delete(call).await,
        Route::Workers => worker::workers(call).await,
        route => unreachable!("{route:?} was answered above"),
    }
}
