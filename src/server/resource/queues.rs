//! `GET /queues`: which queues there are.

#![expect(unused_qualifications, reason = "written by the macro that describes a call")]

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    server::{
        http::{code::Code, problem::Problem, request::ApiRequest, response::ApiResponse},
        openapi::Problems,
    },
    wire,
};

/// Queues on one page at most.
const LIMIT_MAX: u64 = 1_000;

/// Which queues to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which is read by hand")]
pub(crate) struct QueuesQuery {
    /// Only queues whose id begins so.
    prefix: Option<String>,
    /// Only queues after this one: the `next` of the page before.
    after: Option<String>,
    /// Queues on one page at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Answer what each holds, not the ids alone.
    #[param(default = false)]
    detail: Option<bool>,
}

/// What a list answers, without and with `detail`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the answer, which is chosen by hand")]
enum ListAnswer {
    Ids(wire::queue::QueueList),
    Depths(wire::queue::QueueDepths),
}

/// Lists the queues there are, by id.
#[utoipa::path(
    get, path = "/queues", tag = "queue", params(QueuesQuery),
    responses((status = 200, description = "A page of messages", body = ListAnswer), Problems),
)]
pub(crate) async fn queues(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let query = call.query(&["prefix", "after", "limit", "detail"])?;
    let mut list = call.node.queues();
    if let Some(limit) = query.number("limit", 1..=LIMIT_MAX, Code::InvalidRequest)? {
        list = list.limit(limit as usize);
    }
    if let Some(prefix) = query.text("prefix") {
        list = list.prefix(prefix);
    }
    if let Some(after) = query.text("after") {
        list = list.after(after);
    }
    let list = list.await?;
    if !query.flag("detail")? {
        return Ok(ApiResponse::json(&wire::queue::QueueList::from(list)));
    }
    let depths = call.node.queue_counts(&list.ids).await?;
    Ok(ApiResponse::json(&wire::queue::QueueDepths::new(list, depths)))
}
