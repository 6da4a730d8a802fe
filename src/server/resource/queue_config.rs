//! What a queue is told about itself, and what it says of itself: `/queue/{id}/…`.

use lanekeeper_actors::queue::{Paused, QueueConfig};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    server::{
        http::{
            json::{self, present},
            problem::Problem,
            request::ApiRequest,
            response::ApiResponse,
        },
        openapi::{ForceQuery, Problems, QueuePath},
        resource::settings_patch::MergePatch,
        router::Route,
    },
    wire,
};

/// Answers a call about what a queue is told of itself, or says of itself.
pub(crate) async fn answer(route: Route, call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    match route {
        Route::Pause => pause(call).await,
        Route::Resume => resume(call).await,
        Route::Config => config(call).await,
        Route::Configure => configure(call).await,
        Route::ChangeConfig => change_config(call).await,
        Route::Stats => stats(call).await,
        Route::DeleteQueue => delete(call).await,
        route => unreachable!("{route:?} is none of a setting"),
    }
}

/// Which verbs are meant: those that are `true`; both, if none is named.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerbsRequest {
    /// Pushes.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    push: Option<bool>,
    /// Pops.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pop: Option<bool>,
}

impl From<VerbsRequest> for Paused {
    fn from(verbs: VerbsRequest) -> Self {
        let is_for_both = verbs.push.is_none() && verbs.pop.is_none();
        let named = |verb: Option<bool>| verb.unwrap_or(is_for_both);
        Self { push: named(verbs.push), pop: named(verbs.pop) }
    }
}

/// Refuses pushes, pops or both from now on.
#[utoipa::path(
    post, path = "/queue/{id}/pause", tag = "queue", params(QueuePath),
    request_body = Option<VerbsRequest>,
    responses(
        (
            status = 200, description = "The verbs that are paused now",
            body = wire::queue::PauseState,
        ),
        Problems,
    ),
)]
pub(crate) async fn pause(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let verbs = verbs_of(&mut call).await?;
    paused(call.queue().pause(verbs).await?)
}

/// Takes pushes, pops or both again.
#[utoipa::path(
    post, path = "/queue/{id}/resume", tag = "queue", params(QueuePath),
    request_body = Option<VerbsRequest>,
    responses(
        (
            status = 200, description = "The verbs that are paused now",
            body = wire::queue::PauseState,
        ),
        Problems,
    ),
)]
pub(crate) async fn resume(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let verbs = verbs_of(&mut call).await?;
    paused(call.queue().resume(verbs).await?)
}

async fn verbs_of(call: &mut ApiRequest<'_>) -> Result<Paused, Problem> {
    call.query(&[])?;
    let verbs: VerbsRequest = json::object_or_default(&call.body().await?)?;
    Ok(verbs.into())
}

fn paused(paused: Paused) -> Result<ApiResponse, Problem> {
    Ok(ApiResponse::json(&wire::queue::PauseState { paused: paused.into() }))
}

/// Shows the settings.
#[utoipa::path(
    get, path = "/queue/{id}/config", tag = "queue", params(QueuePath),
    responses(
        (status = 200, description = "The settings in force", body = wire::queue::Config),
        Problems,
    ),
)]
pub(crate) async fn config(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    Ok(ApiResponse::json(&wire::queue::Config::from(call.queue().config().await?)))
}

/// Replaces the settings, with immediate effect; they survive a restart.
#[utoipa::path(
    put, path = "/queue/{id}/config", tag = "queue", params(QueuePath),
    request_body = wire::queue::Config,
    responses(
        (status = 200, description = "The settings in force", body = wire::queue::Config),
        Problems,
    ),
)]
pub(crate) async fn configure(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let config: wire::queue::Config = json::object(&call.body().await?)?;
    Ok(ApiResponse::json(&wire::queue::Config::from(call.queue().configure(config.into()).await?)))
}

/// Changes the named settings atomically and keeps the others; `null` means the default.
#[utoipa::path(
    patch, path = "/queue/{id}/config", tag = "queue", params(QueuePath),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The settings in force", body = wire::queue::Config),
        Problems,
    ),
)]
pub(crate) async fn change_config(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let patch = MergePatch::read(&call.body().await?, &[])?;
    let change = move |config: QueueConfig| -> Result<QueueConfig, Problem> {
        Ok(patch.apply(&wire::queue::Config::from(config))?.into())
    };
    Ok(ApiResponse::json(&wire::queue::Config::from(call.queue().change_config(change).await?)))
}

/// Shows the counts and totals; zeros for a queue that was never used.
#[utoipa::path(
    get, path = "/queue/{id}/stats", tag = "queue", params(QueuePath),
    responses(
        (status = 200, description = "The present state", body = wire::queue::Stats),
        Problems,
    ),
)]
pub(crate) async fn stats(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    Ok(ApiResponse::json(&wire::queue::Stats::from(call.queue().stats().await?)))
}

/// Deletes the queue with its settings, sink and totals. Refused as `not_empty` while it has
/// messages, leased ones included; with `force=true` these are removed first.
#[utoipa::path(
    delete, path = "/queue/{id}", tag = "queue", params(QueuePath, ForceQuery),
    responses(
        (status = 200, description = "It is removed", body = wire::service::Deleted),
        Problems,
    ),
)]
pub(crate) async fn delete(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let is_forced = call.query(&["force"])?.flag("force")?;
    call.no_body().await?;
    let queue = call.queue();
    let deleted = match is_forced {
        true => queue.delete_with_messages().await?,
        false => queue.delete().await?,
    };
    Ok(ApiResponse::json(&wire::service::Deleted { deleted }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_those_named_or_both() {
        let paused = |text: &str| {
            let verbs: VerbsRequest = json::object_or_default(text.as_bytes()).expect("verbs");
            Paused::from(verbs)
        };
        let both = Paused { push: true, pop: true };
        assert_eq!((paused(""), paused("{}")), (both, both));
        assert_eq!(paused("{\"push\":true}"), Paused { push: true, pop: false });
        assert_eq!(paused("{\"push\":false,\"pop\":true}"), Paused { push: false, pop: true });
        assert_eq!(paused("{\"pop\":false}"), Paused::default());
    }
}
