//! Looking at single messages, and changing them: `/queue/{id}/peek`, `/queue/{id}/message/…`.

#![expect(unused_qualifications, reason = "written by the macro that describes a call")]

use lanekeeper_actors::queue::{DueCursor, MessageId, PeekDue};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    server::{
        http::{
            code::Code,
            json::{self, PRIORITY_MAX, Priority},
            problem::Problem,
            query::Query,
            request::ApiRequest,
            response::{self, ApiResponse},
        },
        openapi::{MessagePath, Problems, QueuePath},
    },
    wire,
};

/// What a peek is asked.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which is read by hand")]
pub(crate) struct PeekQuery {
    /// Messages at most.
    #[param(minimum = 1, maximum = 100, default = 1)]
    depth: Option<u32>,
    /// Which messages: those that are ready in pop order, those that are scheduled in the order in
    /// which they become ready, or those that are leased in the order in which their leases end.
    #[param(inline, value_type = Option<wire::queue::PeekState>)]
    state: Option<String>,
    /// Only those of this priority; of those that are ready alone.
    #[param(minimum = 0, maximum = 2147483647)]
    priority: Option<u32>,
    /// Only those after this one: the `next` of the page before.
    after: Option<String>,
}

/// Shows messages by priority and arrival without taking them.
///
/// In a queue with `aging_ms` a message that has waited may be popped before others that a peek
/// shows in front of it.
#[utoipa::path(
    get, path = "/queue/{id}/peek", tag = "queue", params(QueuePath, PeekQuery),
    responses(
        (status = 200, description = "A page of messages", body = wire::queue::Page),
        Problems,
    ),
)]
pub(crate) async fn peek(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let limits = call.node.queue_limits();
    let query = call.query(&["depth", "priority", "after", "state"])?;
    let depth = query.number("depth", 1..=limits.depth_max as u64, Code::InvalidDepth)?;
    let depth = depth.unwrap_or(1) as usize;
    let state = query.text("state").unwrap_or("ready");
    let peek_due = match state {
        "ready" => None,
        "scheduled" => Some(call.queue().peek_scheduled(depth)),
        "leased" => Some(call.queue().peek_leased(depth)),
        other => {
            let detail = format!("state must be ready, scheduled or leased, not {other:?}");
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
    };
    if let Some(peek) = peek_due {
        return due(peek, &query, state).await;
    }
    let mut peek = call.queue().peek(depth);
    let bounds = 0..=u64::from(PRIORITY_MAX);
    if let Some(priority) = query.number("priority", bounds, Code::InvalidPriority)? {
        peek = peek.priority(priority as u32);
    }
    if let Some(after) = query.text("after") {
        let named = |error| Problem::new(Code::InvalidRequest, format!("after: {error}"));
        peek = peek.after(after.parse::<MessageId>().map_err(named)?);
    }
    Ok(response::page(&peek.await?))
}

/// A page of messages that wait for a time.
async fn due(mut peek: PeekDue, query: &Query<'_>, state: &str) -> Result<ApiResponse, Problem> {
    if query.text("priority").is_some() {
        let detail = "priority: allowed only with state=ready";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    if let Some(after) = query.text("after") {
        let named = |error| Problem::new(Code::InvalidRequest, format!("after: {error}"));
        peek = peek.after(after.parse::<DueCursor>().map_err(named)?);
    }
    Ok(response::due_page(&peek.await?, state))
}

/// Shows one message without taking it.
#[utoipa::path(
    get, path = "/queue/{id}/message/{mid}", tag = "queue", params(MessagePath),
    responses(
        (status = 200, description = "The message with its state", body = wire::queue::Message),
        Problems,
    ),
)]
pub(crate) async fn message(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let (message, state) = call.queue().message(id_of(&call)?).await?;
    Ok(response::message(&message, state))
}

/// Removes one message.
#[utoipa::path(
    delete, path = "/queue/{id}/message/{mid}", tag = "queue", params(MessagePath),
    responses(
        (status = 200, description = "It is removed", body = wire::queue::Cancelled),
        Problems,
    ),
)]
pub(crate) async fn cancel(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    call.queue().cancel(id_of(&call)?).await?;
    Ok(ApiResponse::json(&wire::queue::Cancelled { cancelled: true }))
}

/// Makes a scheduled message ready now, at its own position by priority and arrival.
#[utoipa::path(
    post, path = "/queue/{id}/message/{mid}/promote", tag = "queue", params(MessagePath),
    responses(
        (status = 200, description = "The message is ready", body = wire::queue::Promoted),
        Problems,
    ),
)]
pub(crate) async fn promote(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    call.no_body().await?;
    let promoted = call.queue().promote(id_of(&call)?).await?;
    Ok(ApiResponse::json(&wire::queue::Promoted { promoted }))
}

/// What to change of a message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageChange {
    /// How urgent it is from now on: 0 is the most urgent.
    #[schema(value_type = u32, maximum = 2147483647)]
    priority: Priority,
}

/// Changes the priority of a message that is ready or scheduled.
///
/// It keeps its id and its arrival, and is ordered among the messages of its new priority as if
/// it had been pushed with it.
#[utoipa::path(
    patch, path = "/queue/{id}/message/{mid}", tag = "queue", params(MessagePath),
    request_body = MessageChange,
    responses(
        (status = 200, description = "The message with its state", body = wire::queue::Message),
        Problems,
    ),
)]
pub(crate) async fn change(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let MessageChange { priority } = json::object(&call.body().await?)?;
    let (message, state) = call.queue().reprioritise(id_of(&call)?, priority.0).await?;
    Ok(response::message(&message, state))
}

/// The message in the path. Ids are opaque, so a text that is none is one that is not there.
fn id_of(call: &ApiRequest<'_>) -> Result<MessageId, Problem> {
    call.message().parse().map_err(|error: lanekeeper_actors::queue::InvalidMessageId| {
        Problem::new(Code::MessageNotFound, error.to_string())
    })
}
