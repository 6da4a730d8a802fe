//! The page: choose a scenario, start and stop it, change it while it runs, and watch it.

pub(crate) mod board;

use std::{io, net::SocketAddr, sync::Arc};

use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer,
    body::{BoxBody, MessageBody},
    dev::{RequestHead, ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::{DefaultHeaders, Next, from_fn},
    web,
};
use lanekeeper::server::{Door, RequestSource};
use serde::Serialize;

use crate::loadtest::{
    page::board::{Change, PageBoard, PageOrder},
    record::result::ResultFile,
    report::{html, locust},
};

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("../report/report.css");
const PAGE_STYLE: &str = include_str!("page.css");

/// Nothing is fetched from anywhere else.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

/// Serves the page until the process ends.
///
/// # Errors
/// When the address cannot be had.
pub(crate) fn serve(addr: SocketAddr, board: Arc<PageBoard>) -> io::Result<SocketAddr> {
    let (sender, bound) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("page".to_owned()).spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let board = web::Data::from(board);
            let door = web::Data::new(Door::new(addr, &[], &[]));
            let server = HttpServer::new(move || {
                let headers = DefaultHeaders::new()
                    .add((header::CONTENT_SECURITY_POLICY, POLICY))
                    .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                    .add((header::CACHE_CONTROL, "no-store"));
                App::new()
                    .app_data(board.clone())
                    .app_data(door.clone())
                    .wrap(from_fn(admit))
                    .wrap(headers)
                    .configure(routes)
            });
            let server = server.workers(1).disable_signals().bind(addr);
            match server {
                Err(error) => drop(sender.send(Err(error))),
                Ok(server) => {
                    let addr = server.addrs().first().copied().unwrap_or(addr);
                    drop(sender.send(Ok(addr)));
                    drop(server.run().await);
                }
            }
        });
    })?;
    bound.recv().map_err(io::Error::other)?
}

fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("")
            .route("/", web::get().to(|| fixed("text/html; charset=utf-8", PAGE)))
            .route("/page.js", web::get().to(|| fixed("text/javascript; charset=utf-8", SCRIPT)))
            .route("/page.css", web::get().to(|| fixed("text/css; charset=utf-8", PAGE_STYLE)))
            .route("/report.css", web::get().to(|| fixed("text/css; charset=utf-8", STYLE)))
            .route("/api/scenarios", web::get().to(scenarios))
            .route("/api/state", web::get().to(state))
            .route("/api/start", web::post().to(start))
            .route("/api/stop", web::post().to(stop))
            .route("/api/change", web::post().to(change))
            .route("/download/{file}", web::get().to(download)),
    );
}

/// Obeys its own page and programs: not a page of somebody else, nor one that made its own name
/// point here.
async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let refusal = request
        .app_data::<web::Data<Door>>()
        .and_then(|door| door.admit(&source(request.head())).err());
    match refusal {
        None => Ok(next.call(request).await?.map_into_boxed_body()),
        Some(_) => Ok(request.into_response(
            HttpResponse::Forbidden().body("this page is served to its own address alone"),
        )),
    }
}

fn source(head: &RequestHead) -> RequestSource<'_> {
    let header = |name: &str| Some(head.headers().get(name)?.to_str().unwrap_or_default());
    RequestSource {
        host: head.uri.authority().map(|authority| authority.as_str()).or(header("host")),
        origin: header("origin"),
        fetch_site: header("sec-fetch-site"),
        local: None,
        is_guarded: !matches!(head.method, Method::GET | Method::HEAD),
    }
}

async fn fixed(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(kind).body(text)
}

#[derive(Serialize)]
struct Choice {
    id: String,
    title: String,
    seconds: u64,
    rate: f64,
}

async fn scenarios(board: web::Data<PageBoard>) -> HttpResponse {
    let choices = board.scenarios().iter().map(|scenario| Choice {
        rate: scenario.shape.mean(),
        id: scenario.id.clone(),
        title: scenario.title.clone(),
        seconds: scenario.seconds,
    });
    HttpResponse::Ok().json(choices.collect::<Vec<_>>())
}

async fn state(board: web::Data<PageBoard>) -> HttpResponse {
    HttpResponse::Ok().json(board.state())
}

async fn start(board: web::Data<PageBoard>, order: web::Json<PageOrder>) -> HttpResponse {
    let order = order.into_inner();
    let is_scale = order.scale.is_none_or(|scale| scale > 0.0 && scale <= 1e6);
    let is_users = order.users.is_none_or(|users| (1..=100_000).contains(&users));
    let is_spawn = order.spawn_rate.is_none_or(|rate| rate > 0.0 && rate <= 1e6);
    if board.scenario(&order.scenario).is_none() {
        return refused("scenario must be the name of one scenario");
    }
    if !(1..=604_800).contains(&order.seconds) || !is_scale || !is_users || !is_spawn {
        return refused(
            "seconds must be from 1 to 604800, scale and spawn_rate above 0 and at most 1000000, \
             users from 1 to 100000",
        );
    }
    if board.order(order) { accepted() } else { refused("a run is under way") }
}

async fn stop(board: web::Data<PageBoard>, _: web::Json<serde_json::Value>) -> HttpResponse {
    board.stop();
    accepted()
}

async fn change(board: web::Data<PageBoard>, change: web::Json<Change>) -> HttpResponse {
    let is_scale = change.scale.is_none_or(|scale| scale > 0.0 && scale <= 1e6);
    let is_users = change.users.is_none_or(|users| (1..=100_000).contains(&users));
    if !is_scale || !is_users {
        return refused("scale must be above 0 and at most 1000000, users from 1 to 100000");
    }
    if board.change(change.into_inner()) {
        accepted()
    } else {
        refused("no run is under way that can be changed so")
    }
}

fn accepted() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"accepted": true}))
}

fn refused(reason: &str) -> HttpResponse {
    HttpResponse::Conflict().json(serde_json::json!({"accepted": false, "reason": reason}))
}

/// The last run's files, and the report of all.
async fn download(board: web::Data<PageBoard>, request: HttpRequest) -> HttpResponse {
    let results = board.results();
    let file = request.match_info().query("file").to_owned();
    let Some(last) = results.last() else {
        return HttpResponse::NotFound().body("no run is over yet");
    };
    let text = match file.as_str() {
        "report.html" => html::page(&results, &[]),
        "result.json" => match serde_json::to_string(&ResultFile::new(results.clone(), Vec::new()))
        {
            Ok(text) => text,
            Err(error) => return HttpResponse::InternalServerError().body(error.to_string()),
        },
        _ => {
            let files = locust::files(last);
            let found = files.into_iter().find(|(name, _)| file == format!("loadtest{name}"));
            match found {
                Some((_, text)) => text,
                None => return HttpResponse::NotFound().body("no such file"),
            }
        }
    };
    let disposition = format!("attachment; filename=\"{file}\"");
    HttpResponse::Ok().insert_header((header::CONTENT_DISPOSITION, disposition)).body(text)
}
