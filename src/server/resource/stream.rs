//! `/stream/{topic}/…`: publishing, settings, figures.

use lanekeeper_actors::{
    queue::{InvalidItem, Item},
    stream::{self, StreamError, SubscriberId},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    server::{
        http::{
            code::Code,
            json::{self, present},
            problem::Problem,
            request::ApiRequest,
            response::ApiResponse,
        },
        openapi::{Problems, TopicPath},
        resource::settings_patch::MergePatch,
        router::Route,
    },
    wire,
};

/// Answers a call about a stream but the subscription to it.
pub(crate) async fn answer(route: Route, call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    match route {
        Route::Publish => publish(call).await,
        Route::StreamConfig => config(call).await,
        Route::StreamConfigure => configure(call).await,
        Route::StreamChangeConfig => change_config(call).await,
        Route::StreamStats => stats(call).await,
        Route::DeleteStream => delete(call).await,
        route => unreachable!("{route:?} is none of a stream"),
    }
}

/// A message on its way to the subscribers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishRequest<'a> {
    /// How urgent it is.
    class: wire::stream::Class,
    /// The payload: one JSON object.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(value_type = Object, required = true)]
    data: Option<&'a RawValue>,
    /// Only to this subscriber, as `Lanekeeper-Subscriber` named it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    subscriber: Option<u64>,
}

/// Publishes a message to all subscribers, or to one; never waits for any of them.
#[utoipa::path(
    post, path = "/stream/{topic}/publish", tag = "stream", params(TopicPath),
    request_body = PublishRequest,
    responses(
        (
            status = 200, description = "The numbers of subscribers reached",
            body = wire::stream::Published,
        ),
        Problems,
    ),
)]
pub(crate) async fn publish(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let body = call.body().await?;
    let request: PublishRequest<'_> = json::object(&body)?;
    let Some(data) = request.data else {
        let detail = "data is missing: it must be one JSON object";
        return Err(Problem::new(Code::InvalidRequest, detail));
    };
    let data = Item::from_raw(data).map_err(|error: InvalidItem| StreamError::from(error))?;
    let mut publish = call.stream().publish(request.class.into(), data);
    if let Some(id) = request.subscriber {
        publish = publish.to(SubscriberId(id));
    }
    Ok(ApiResponse::json(&wire::stream::Published::from(publish.await?)))
}

/// Shows the counts and totals; zeros for a stream that was never used.
#[utoipa::path(
    get, path = "/stream/{topic}/stats", tag = "stream", params(TopicPath),
    responses(
        (status = 200, description = "The present state", body = wire::stream::StreamStats),
        Problems,
    ),
)]
pub(crate) async fn stats(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    Ok(ApiResponse::json(&wire::stream::StreamStats::from(call.stream().stats().await?)))
}

/// Shows the settings.
#[utoipa::path(
    get, path = "/stream/{topic}/config", tag = "stream", params(TopicPath),
    responses(
        (status = 200, description = "The settings in force", body = wire::stream::StreamConfig),
        Problems,
    ),
)]
pub(crate) async fn config(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    Ok(ApiResponse::json(&wire::stream::StreamConfig::from(call.stream().config().await?)))
}

/// Replaces the settings, with immediate effect; they survive a restart.
#[utoipa::path(
    put, path = "/stream/{topic}/config", tag = "stream", params(TopicPath),
    request_body = wire::stream::StreamConfig,
    responses(
        (status = 200, description = "The settings in force", body = wire::stream::StreamConfig),
        Problems,
    ),
)]
pub(crate) async fn configure(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let config: wire::stream::StreamConfig = json::object(&call.body().await?)?;
    Ok(ApiResponse::json(&wire::stream::StreamConfig::from(
        call.stream().configure(config.into()).await?,
    )))
}

/// Changes the named settings atomically and keeps the others; `null` means the default.
#[utoipa::path(
    patch, path = "/stream/{topic}/config", tag = "stream", params(TopicPath),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The settings in force", body = wire::stream::StreamConfig),
        Problems,
    ),
)]
pub(crate) async fn change_config(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let patch = MergePatch::read(&call.body().await?, &[])?;
    let change = move |config: stream::StreamConfig| -> Result<_, Problem> {
        Ok(stream::StreamConfig::from(patch.apply(&wire::stream::StreamConfig::from(config))?))
    };
    Ok(ApiResponse::json(&wire::stream::StreamConfig::from(
        call.stream().change_config(change).await?,
    )))
}

/// Deletes the stream with its settings and retained messages; subscribers get the messages
/// queued for them and are closed as `deleted`.
#[utoipa::path(
    delete, path = "/stream/{topic}", tag = "stream", params(TopicPath),
    responses(
        (status = 200, description = "It is removed", body = wire::service::Deleted),
        Problems,
    ),
)]
pub(crate) async fn delete(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    call.no_body().await?;
    Ok(ApiResponse::json(&wire::service::Deleted { deleted: call.stream().delete().await? }))
}
