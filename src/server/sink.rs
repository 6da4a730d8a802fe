//! Where the messages of a queue are delivered to: `/queue/{id}/sink`.

use lanekeeper_actors::queue::Sink;

use super::{
    answer::Answer,
    call::Call,
    openapi::{Problems, QueuePath},
    parse,
    problem::{Code, Problem},
    wire,
};
use crate::sink::{AddressPolicy, check_url};

/// Where the messages are delivered to.
#[utoipa::path(
    get, path = "/queue/{id}/sink", tag = "queue", params(QueuePath),
    responses((status = 200, description = "There", body = wire::Sink), Problems),
)]
pub(crate) async fn sink(call: Call<'_>) -> Result<Answer, Problem> {
    call.query(&[])?;
    let sink = call.queue().sink().await?.ok_or_else(not_found)?;
    Ok(Answer::json(&wire::Sink::from(sink)))
}

/// Has the messages delivered from now on, at once and beyond a restart.
#[utoipa::path(
    put, path = "/queue/{id}/sink", tag = "queue", params(QueuePath),
    request_body = wire::Sink,
    responses((status = 200, description = "As it is now", body = wire::Sink), Problems),
)]
pub(crate) async fn set_sink(
    mut call: Call<'_>,
    policy: &AddressPolicy,
) -> Result<Answer, Problem> {
    call.query(&[])?;
    let sink: wire::Sink = parse::object(&call.body().await?)?;
    let sink = Sink::from(sink);
    sink.check()?;
    check_url(&sink.url, policy).await?;
    call.queue().set_sink(sink.clone()).await?;
    Ok(Answer::json(&wire::Sink::from(sink)))
}

/// Ends the delivery; what is under way is finished.
#[utoipa::path(
    delete, path = "/queue/{id}/sink", tag = "queue", params(QueuePath),
    responses((status = 200, description = "It is gone", body = wire::SinkRemoved), Problems),
)]
pub(crate) async fn remove_sink(call: Call<'_>) -> Result<Answer, Problem> {
    call.query(&[])?;
    match call.queue().remove_sink().await? {
        true => Ok(Answer::json(&wire::SinkRemoved { removed: true })),
        false => Err(not_found()),
    }
}

fn not_found() -> Problem {
    Problem::new(Code::SinkNotFound, "the queue has no sink")
}
