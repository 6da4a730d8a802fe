//! The verbs that move the messages of a queue: `/queue/{id}/…`.

#![expect(unused_qualifications, reason = "written by the macro that describes a call")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    server::{
        http::{
            code::Code,
            json::{self, Priority, present},
            problem::Problem,
            request::ApiRequest,
            response::{self, ApiResponse},
        },
        openapi::{Problems, QueuePath},
        resource::push::{self, PushRequest, Pushing},
    },
    wire,
};

/// Pushes one message or several, all or none.
#[utoipa::path(
    post, path = "/queue/{id}/push", tag = "queue", params(QueuePath),
    request_body = PushRequest,
    responses(
        (
            status = 200, description = "The messages are accepted, as durable as promised",
            body = wire::queue::Pushed,
        ),
        Problems,
    ),
)]
pub(crate) async fn push(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let body = call.body().await?;
    let queue = call.queue();
    match push::read(&body, &call.node.queue_limits())? {
        Pushing::One(message) => {
            drop(body);
            Ok(response::pushed(&[queue.push_message(message).report().await?]))
        }
        Pushing::All(messages) => {
            drop(body);
            Ok(response::pushed(&queue.push_all(messages).await?))
        }
    }
}

/// What a pop is asked.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which is read by hand")]
pub(crate) struct PopQuery {
    /// Messages at most.
    #[param(minimum = 1, maximum = 100, default = 1)]
    depth: Option<u32>,
    /// How long to wait for a message if there is none.
    #[param(minimum = 0, maximum = 60000, default = 0)]
    wait_ms: Option<u64>,
    /// Answer `messages` with all that is known of them, not the payloads alone.
    #[param(default = false)]
    detail: Option<bool>,
}

/// What a pop answers, without and with `detail`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the answer, which is written by hand")]
enum PopAnswer {
    Payloads(wire::queue::Popped),
    Detailed(wire::queue::Messages),
}

/// Takes the most urgent messages out of the queue; an empty queue answers none.
#[utoipa::path(
    post, path = "/queue/{id}/pop", tag = "queue", params(QueuePath, PopQuery),
    responses(
        (
            status = 200, description = "The payloads, or messages with `detail=true`",
            body = PopAnswer,
        ),
        (status = 204, description = "No messages, if the client sent `Prefer: return=minimal`"),
        Problems,
    ),
)]
pub(crate) async fn pop(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let limits = call.node.queue_limits();
    let query = call.query(&["depth", "wait_ms", "detail"])?;
    let depth = query.number("depth", 1..=limits.depth_max as u64, Code::InvalidDepth)?;
    let wait =
        query.number("wait_ms", 0..=wire::convert::millis(limits.wait_max), Code::InvalidWait)?;
    let is_detailed = query.flag("detail")?;
    call.no_body().await?;
    let mut pop = call.queue().pop(depth.unwrap_or(1) as usize);
    if let Some(wait) = wait.filter(|&wait| wait > 0) {
        pop = pop.wait(Duration::from_millis(wait));
        if let Some(client) = call.client() {
            pop = pop.caller(client);
        }
    }
    let messages = pop.await?;
    if messages.is_empty() && call.prefers_minimal() {
        return Ok(ApiResponse::Nothing);
    }
    Ok(if is_detailed { response::messages(&messages) } else { response::popped(&messages) })
}

/// What to remove.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurgeRequest {
    /// Only messages of this priority; all if it is not given.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, nullable = false, maximum = 2147483647)]
    priority: Option<Priority>,
}

/// Removes all messages, or those of one priority.
#[utoipa::path(
    post, path = "/queue/{id}/purge", tag = "queue", params(QueuePath),
    request_body = Option<PurgeRequest>,
    responses(
        (status = 200, description = "The messages are removed", body = wire::queue::Purged),
        Problems,
    ),
)]
pub(crate) async fn purge(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let request: PurgeRequest = json::object_or_default(&call.body().await?)?;
    let purged = call.queue().purge(request.priority.map(|priority| priority.0)).await?;
    Ok(ApiResponse::json(&wire::queue::Purged { purged }))
}
