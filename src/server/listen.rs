//! From options to an actix server that listens.

use std::{
    future::ready,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_http::{ConnectionType, HttpService, KeepAlive, Request, Response, error::DispatchError};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    App, HttpRequest,
    body::BoxBody,
    dev::{AppConfig, Server},
    web,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use crate::server::{
    dispatch::{self, ServerState, ServerThread},
    http::{
        connection::{ConnectionTimeouts, Stream, progress::Progress},
        header_limits::Local,
    },
    options::ServerOptions,
};

/// Seconds that the workers would give open connections at a stop;
/// [`crate::server::lifecycle::ServerHandle::stop`] has its own deadline, which is what counts.
const STOP_SECONDS: u64 = 24 * 60 * 60;

/// Connections that may wait to be accepted.
const BACKLOG: u16 = 1024;

/// Takes the address.
///
/// # Errors
/// As the operating system says.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::from(BACKLOG))?;
    Ok(socket.into())
}

/// Makes a server that answers there once it is awaited.
///
/// # Errors
/// As the operating system says.
pub(crate) fn serve(listener: TcpListener, shared: &Arc<ServerState>) -> io::Result<Server> {
    let options = shared.options().clone();
    let descriptors = *shared.descriptors();
    let builder = Server::build()
        .workers(descriptors.workers)
        .max_concurrent_connections(descriptors.of_worker())
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let shared = Arc::clone(shared);
    let of_worker = move || {
        let patience = ConnectionTimeouts {
            head: options.head_timeout,
            idle: options.keep_alive,
            write: options.write_timeout,
            send: options.socket.send_timeout,
        };
        let stopping = stopping.clone();
        let (expecting, slots) = (Arc::clone(&shared), Arc::clone(shared.slots()));
        let worker = Rc::new(ServerThread::new(Arc::clone(&shared)));
        let handler = move |request: HttpRequest, payload| {
            dispatch::answer(Rc::clone(&worker), request, payload)
        };
        let app = App::new().default_service(web::to(handler)).into_factory();
        let app = app.map_err(|error: actix_web::Error| error.error_response());
        let http = HttpService::build()
            // The stream watches these.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(ServerOptions::CLOSE_TIMEOUT)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .expect(fn_service(move |request: Request| ready(expected(&expecting, request))))
            .on_connect_ext(|stream: &Stream, data| {
                data.insert(stream.progress());
                if let Some(addr) = stream.local_addr() {
                    data.insert(Local(addr));
                }
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |connection: TcpStream| {
            let peer = connection.peer_addr().ok();
            // An answer is written whole: there is nothing that could be waited for.
            connection.set_nodelay(true).ok();
            let slot = slots.enter(peer.map(|peer| peer.ip()));
            // Without one it is closed at once.
            let stream = slot.map(|slot| Stream::new(connection, patience, slot));
            ready(stream.map(|stream| (stream, peer)).ok_or(DispatchError::DisconnectTimeout))
        })
        .and_then(http)
    };
    Ok(builder.listen("http", listener, of_worker)?.run())
}

/// Lets a client that asks first send its body, or refuses it; then nothing more is read of the
/// connection, as the body may be sent all the same.
fn expected(shared: &ServerState, request: Request) -> Result<Request, Response<BoxBody>> {
    let local = request.conn_data::<Local>().copied();
    match dispatch::expect(shared, request.head(), local) {
        Ok(()) => Ok(request),
        Err(problem) => {
            // Nothing is said of a body that is late then.
            request.conn_data::<Rc<Progress>>().inspect(|progress| progress.close());
            let mut response = Response::from(problem.into_response());
            response.head_mut().set_connection_type(ConnectionType::Close);
            Err(response)
        }
    }
}
