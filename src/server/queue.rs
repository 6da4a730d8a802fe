//! The verbs that move the messages of a queue: `/queue/{id}/…`.

#![expect(unused_qualifications, reason = "written by the macro that describes a call")]

use std::time::Duration;

use lanekeeper_actors::queue::MessageId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::{self, Answer},
    call::Call,
    openapi::{MessagePath, Problems, QueuePath},
    parse::{self, PRIORITY_MAX, Priority, present},
    problem::{Code, Problem},
    push::{self, PushRequest, Pushing},
    wire,
};

/// Pushes one message or several, all or none.
#[utoipa::path(
    post, path = "/queue/{id}/push", tag = "queue", params(QueuePath),
    request_body = PushRequest,
    responses(
        (status = 200, description = "As durable as promised", body = wire::Pushed),
        Problems,
    ),
)]
pub(crate) async fn push(mut call: Call<'_>) -> Result<Answer, Problem> {
    call.query(&[])?;
    let body = call.body().await?;
    let queue = call.queue();
    match push::read(&body, &call.node.queue_limits())? {
        Pushing::One(message) => {
            drop(body);
            Ok(answer::pushed(&[queue.push_message(message).report().await?]))
        }
        Pushing::All(messages) => {
            drop(body);
            Ok(answer::pushed(&queue.push_all(messages).await?))
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
    Payloads(wire::Popped),
    Detailed(wire::Messages),
}

/// Takes the most urgent messages out of the queue; an empty queue answers none.
#[utoipa::path(
    post, path = "/queue/{id}/pop", tag = "queue", params(QueuePath, PopQuery),
    responses(
        (status = 200, description = "The payloads alone, or messages", body = PopAnswer),
        (status = 204, description = "None, if the client sent `Prefer: return=minimal`"),
        Problems,
    ),
)]
pub(crate) async fn pop(mut call: Call<'_>) -> Result<Answer, Problem> {
    let limits = call.node.queue_limits();
    let query = call.query(&["depth", "wait_ms", "detail"])?;
    let depth = query.number("depth", 1..=limits.depth_max as u64, Code::InvalidDepth)?;
    let wait = query.number("wait_ms", 0..=wire::millis(limits.wait_max), Code::InvalidWait)?;
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
        return Ok(Answer::Nothing);
    }
    Ok(if is_detailed { answer::messages(&messages) } else { answer::popped(&messages) })
}

/// What a peek is asked.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which is read by hand")]
pub(crate) struct PeekQuery {
    /// Messages at most.
    #[param(minimum = 1, maximum = 100, default = 1)]
    depth: Option<u32>,
    /// Only those of this priority.
    #[param(minimum = 0, maximum = 2147483647)]
    priority: Option<u32>,
    /// Only those after this one: the `next` of the page before.
    after: Option<String>,
}

/// Shows messages in pop order and takes nothing.
///
/// It is the order of priority and arrival. In a queue with `aging_ms` a message that has waited
/// may be popped before others that a peek shows in front of it.
#[utoipa::path(
    get, path = "/queue/{id}/peek", tag = "queue", params(QueuePath, PeekQuery),
    responses((status = 200, description = "A page", body = wire::Page), Problems),
)]
pub(crate) async fn peek(call: Call<'_>) -> Result<Answer, Problem> {
    let limits = call.node.queue_limits();
    let query = call.query(&["depth", "priority", "after"])?;
    let depth = query.number("depth", 1..=limits.depth_max as u64, Code::InvalidDepth)?;
    let mut peek = call.queue().peek(depth.unwrap_or(1) as usize);
    let bounds = 0..=u64::from(PRIORITY_MAX);
    if let Some(priority) = query.number("priority", bounds, Code::InvalidPriority)? {
        peek = peek.priority(priority as u32);
    }
    if let Some(after) = query.text("after") {
        let named = |error| Problem::new(Code::InvalidRequest, format!("after: {error}"));
        peek = peek.after(after.parse::<MessageId>().map_err(named)?);
    }
    Ok(answer::page(&peek.await?))
}

/// Looks one message up, without taking it.
#[utoipa::path(
    get, path = "/queue/{id}/message/{mid}", tag = "queue", params(MessagePath),
    responses((status = 200, description = "With its state", body = wire::Message), Problems),
)]
pub(crate) async fn message(call: Call<'_>) -> Result<Answer, Problem> {
    call.query(&[])?;
    let (message, state) = call.queue().message(id_of(&call)?).await?;
    Ok(answer::message(&message, state))
}

/// Removes one message.
#[utoipa::path(
    delete, path = "/queue/{id}/message/{mid}", tag = "queue", params(MessagePath),
    responses((status = 200, description = "It is gone", body = wire::Cancelled), Problems),
)]
pub(crate) async fn cancel(call: Call<'_>) -> Result<Answer, Problem> {
    call.query(&[])?;
    call.queue().cancel(id_of(&call)?).await?;
    Ok(Answer::json(&wire::Cancelled { cancelled: true }))
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
    responses((status = 200, description = "They are gone", body = wire::Purged), Problems),
)]
pub(crate) async fn purge(mut call: Call<'_>) -> Result<Answer, Problem> {
    call.query(&[])?;
    let request: PurgeRequest = parse::object_or_default(&call.body().await?)?;
    let purged = call.queue().purge(request.priority.map(|priority| priority.0)).await?;
    Ok(Answer::json(&wire::Purged { purged }))
}

/// The message in the path. Ids are opaque, so a text that is none is one that is not there.
fn id_of(call: &Call<'_>) -> Result<MessageId, Problem> {
    call.message().parse().map_err(|error: lanekeeper_actors::queue::InvalidMessageId| {
        Problem::new(Code::MessageNotFound, error.to_string())
    })
}
