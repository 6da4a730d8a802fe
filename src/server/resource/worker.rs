//! `/worker/{id}/…` and `/workers`: signs of life, farewells, and who is there.

#![expect(unused_qualifications, reason = "written by the macro that describes a call")]

use lanekeeper_actors::{
    queue::Item,
    worker::{LivenessError, WorkerStatus},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::{
    server::{
        http::{
            code::Code,
            json::{self, present},
            problem::Problem,
            request::ApiRequest,
            response::ApiResponse,
        },
        openapi::{Problems, WorkerPath},
    },
    wire,
};

/// Workers on one page at most.
const LIMIT_MAX: u64 = 1_000;

/// A sign of life.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeartbeatRequest<'a> {
    /// What the worker says of itself, in place of what it said before; left as it is if it is not
    /// given.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>, nullable = false)]
    meta: Option<&'a RawValue>,
    /// The life to go on with, as an earlier heartbeat was answered. Without it a new one begins:
    /// the process has just started.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    life: Option<u64>,
}

/// A farewell.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeregisterRequest {
    /// The life that ends, with those before it; a later one goes on. All of them if it is not
    /// given.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    life: Option<u64>,
}

/// A heartbeat of the worker. Accepted also while the server drains.
#[utoipa::path(
    post, path = "/worker/{id}/heartbeat", tag = "worker", params(WorkerPath),
    request_body = Option<HeartbeatRequest>,
    responses(
        (status = 200, description = "The worker is online", body = wire::worker::Beat),
        Problems,
    ),
)]
pub(crate) async fn heartbeat(
    mut call: ApiRequest<'_>,
    is_draining: bool,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let body = call.body().await?;
    let request: HeartbeatRequest<'_> = json::object_or_default(&body)?;
    let mut heartbeat = call.worker().heartbeat();
    if let Some(meta) = request.meta {
        heartbeat = heartbeat.meta(Item::from_raw(meta).map_err(LivenessError::from)?);
    }
    if let Some(life) = request.life {
        heartbeat = heartbeat.life(life);
    }
    let beat = wire::worker::Beat::from(heartbeat.await?);
    Ok(ApiResponse::json(&wire::worker::Beat { drain: beat.drain || is_draining, ..beat }))
}

/// Deregisters the worker: its leases and permits are given back. Accepted also while the server
/// drains.
#[utoipa::path(
    post, path = "/worker/{id}/deregister", tag = "worker", params(WorkerPath),
    request_body = Option<DeregisterRequest>,
    responses(
        (status = 200, description = "The worker is offline", body = wire::worker::Deregistered),
        Problems,
    ),
)]
pub(crate) async fn deregister(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let request: DeregisterRequest = json::object_or_default(&call.body().await?)?;
    match request.life {
        Some(life) => call.worker().deregister_life(life).await?,
        None => call.worker().deregister().await?,
    }
    Ok(ApiResponse::json(&wire::worker::Deregistered {
        status: wire::worker::WorkerStatus::Offline,
    }))
}

/// A worker.
#[utoipa::path(
    get, path = "/worker/{id}", tag = "worker", params(WorkerPath),
    responses(
        (status = 200, description = "The present state", body = wire::worker::Worker),
        Problems,
    ),
)]
pub(crate) async fn worker(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    Ok(ApiResponse::json(&wire::worker::Worker::from(call.worker().status().await?)))
}

/// Forgets a worker: it goes offline, its leases and permits are given back, and it is not listed
/// any more.
#[utoipa::path(
    delete, path = "/worker/{id}", tag = "worker", params(WorkerPath),
    responses(
        (status = 200, description = "It is removed", body = wire::service::Deleted),
        Problems,
    ),
)]
pub(crate) async fn delete(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    call.no_body().await?;
    call.worker().delete().await?;
    Ok(ApiResponse::json(&wire::service::Deleted { deleted: true }))
}

/// Which workers to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which is read by hand")]
pub(crate) struct WorkersQuery {
    /// Only workers of this status.
    status: Option<wire::worker::WorkerStatus>,
    /// Only workers after this one: the `next` of the page before.
    after: Option<String>,
    /// Workers on one page at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Lists the workers there are, by id.
#[utoipa::path(
    get, path = "/workers", tag = "worker", params(WorkersQuery),
    responses(
        (status = 200, description = "A page of messages", body = wire::worker::WorkerList),
        Problems,
    ),
)]
pub(crate) async fn workers(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let query = call.query(&["status", "after", "limit"])?;
    let mut list = call.node.workers();
    if let Some(status) = query.text("status") {
        let named = |error| Problem::new(Code::InvalidRequest, format!("status: {error}"));
        list = list.status(status.parse::<WorkerStatus>().map_err(named)?);
    }
    if let Some(limit) = query.number("limit", 1..=LIMIT_MAX, Code::InvalidRequest)? {
        list = list.limit(limit as usize);
    }
    if let Some(after) = query.text("after") {
        list = list.after(after);
    }
    Ok(ApiResponse::json(&wire::worker::WorkerList::from(list.await?)))
}
