//! What operators ask: `/health*`, `/metrics`, `/openapi.json`, `/version`.

use lanekeeper_actors::CommitError;

use crate::{
    server::{
        dispatch::ServerState,
        error_mapping::remedy_of_commit,
        http::{code::Code, problem::Problem, query::Query, response::ApiResponse},
        metrics as exposition,
        openapi::{self as description, MetricsQuery, Problems},
    },
    wire,
};

/// The health of the server. Requires no token.
#[utoipa::path(
    get, path = "/health", tag = "operation", security(()),
    responses((status = 200, description = "It does", body = wire::service::Health), Problems),
)]
pub(crate) fn health(shared: &ServerState) -> Result<ApiResponse, Problem> {
    not_poisoned(shared)?;
    Ok(status("healthy"))
}

/// Liveness of the process. Requires no token.
#[utoipa::path(
    get, path = "/health/live", tag = "operation", security(()),
    responses((status = 200, description = "It does", body = wire::service::Health), Problems),
)]
pub(crate) fn live() -> Result<ApiResponse, Problem> {
    Ok(status("live"))
}

/// Readiness: 503 while recovering, draining or poisoned. Requires no token.
#[utoipa::path(
    get, path = "/health/ready", tag = "operation", security(()),
    responses((status = 200, description = "Yes", body = wire::service::Health), Problems),
)]
pub(crate) fn ready(shared: &ServerState) -> Result<ApiResponse, Problem> {
    shared.serving()?;
    not_poisoned(shared)?;
    Ok(status("ready"))
}

/// Queues, gates, and workers, named in one answer at most.
const NAMED_MAX: usize = 1_000;

/// The metrics, in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", params(MetricsQuery),
    responses(
        (
            status = 200, description = "The present state",
            body = String, content_type = "text/plain",
        ),
        Problems,
    ),
)]
pub(crate) async fn metrics(shared: &ServerState, query: &str) -> Result<ApiResponse, Problem> {
    let query = Query::parse(query, &["queues", "gates", "workers"])?;
    let status = shared.opened().map(|node| node.status());
    let mut text = exposition::text(&shared.figures(), status.as_ref());
    text += &exposition::connection_text(&shared.slots().figures(), shared.descriptors());
    text += &exposition::memory_text(&shared.options().memory);
    if let Some(node) = shared.opened() {
        text += &exposition::queue_text(&node.queue_totals());
        text += &exposition::gate_text(&node.gate_totals());
        let connection_count = shared.connections().open_count();
        text += &exposition::stream_text(&node.stream_totals(), connection_count);
        text += &exposition::worker_text(&node.liveness().stats());
        if let Some(prefix) = query.text("queues") {
            let list = node.queue_depths().prefix(prefix).limit(NAMED_MAX).await?;
            text += &exposition::each_queue_text(&list.queues, node.clock().now());
        }
        if let Some(prefix) = query.text("gates") {
            let list = node.gates().prefix(prefix).limit(NAMED_MAX).await?;
            text += &exposition::each_gate_text(&list.gates);
        }
        if let Some(prefix) = query.text("workers") {
            let list = node.workers().prefix(prefix).limit(NAMED_MAX).await?;
            text += &exposition::each_worker_text(&list.workers);
        }
    }
    if let Some(figures) = shared.sinks() {
        text += &exposition::sink_text(&figures.stats());
    }
    Ok(ApiResponse::metrics(text))
}

/// The OpenAPI description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1", body = Object), Problems),
)]
pub(crate) fn openapi() -> Result<ApiResponse, Problem> {
    Ok(description::document())
}

/// The name and version of the server.
#[utoipa::path(
    get, path = "/version", tag = "operation",
    responses(
        (status = 200, description = "Name and version", body = wire::service::Version),
        Problems,
    ),
)]
pub(crate) fn version() -> Result<ApiResponse, Problem> {
    let (name, version) = ("lanekeeper".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    Ok(ApiResponse::json(&wire::service::Version { name, version }))
}

fn status(word: &str) -> ApiResponse {
    ApiResponse::json(&wire::service::Health {
        status: word.to_owned(),
        service: "lanekeeper".to_owned(),
    })
}

fn not_poisoned(shared: &ServerState) -> Result<(), Problem> {
    match shared.opened().and_then(|node| node.status().engine.poisoned) {
        Some(reason) => {
            let error = CommitError::Poisoned(reason);
            let detail = format!("{error}{}", remedy_of_commit(&error));
            Err(Problem::new(Code::StorePoisoned, detail).unavailable())
        }
        None => Ok(()),
    }
}
