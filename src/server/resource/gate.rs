//! Gates over HTTP: `/gate/{id}/…`.

use std::{collections::BTreeMap, time::Duration};

use lanekeeper_actors::gate::{self, Acquire};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    server::{
        http::{
            json::{self, Priority, present},
            problem::Problem,
            request::ApiRequest,
            response::ApiResponse,
        },
        openapi::{ForceQuery, GatePath, Problems, TicketPath},
        resource::settings_patch::{self, MergePatch},
        router::Route,
    },
    wire,
};

/// Answers a call to a gate.
pub(crate) async fn answer(route: Route, call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    match route {
        Route::GateAcquire => acquire(call).await,
        Route::GateRelease => release(call).await,
        Route::GateCancel => cancel(call).await,
        Route::GateExtend => extend(call).await,
        Route::GateTicket => ticket(call).await,
        Route::GateStats => stats(call).await,
        Route::GatePolicy => policy(call).await,
        Route::GateSetPolicy => set_policy(call).await,
        Route::GateChangePolicy => change_policy(call).await,
        Route::GateDropPolicy => drop_policy(call).await,
        Route::GatePause => pause(call).await,
        Route::GateResume => resume(call).await,
        Route::DeleteGate => delete(call).await,
        Route::ActionStats => action_stats(call).await,
        route => unreachable!("{route:?} is none of a gate"),
    }
}

/// What an owner asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcquireRequest {
    /// Who asks: made of `A-Z a-z 0-9 . _ : -`.
    #[schema(min_length = 1, max_length = 128)]
    owner: String,
    /// 0 is the most urgent.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, nullable = false, maximum = 2147483647, default = 1)]
    priority: Option<Priority>,
    /// What the permit is counted against too, where the policy limits the name.
    #[serde(default)]
    group: BTreeMap<String, String>,
    /// How long to wait; as the policy has it if it is not given, not at all if it is 0.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, maximum = 2592000000u64)]
    timeout_ms: Option<u64>,
    /// Whether to wait for the permit: `false` answers at once and keeps the place in the line.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, default = true)]
    wait: Option<bool>,
    /// How long the permit lasts, if not until it is released.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 1000, maximum = 43200000)]
    ttl_ms: Option<u64>,
    /// The worker at whose end the permit ends too.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    worker: Option<String>,
}

/// An owner.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnerRequest {
    /// Its name.
    owner: String,
}

/// How long a permit is to last from now.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtendRequest {
    /// Who holds it.
    owner: String,
    /// How long.
    #[schema(minimum = 1000, maximum = 43200000)]
    ttl_ms: u64,
}

/// Asks for a permit and waits for it; closing the connection gives up the place in the line.
#[utoipa::path(
    post, path = "/gate/{id}/acquire", tag = "gate", params(GatePath),
    request_body = AcquireRequest,
    responses(
        (status = 200, description = "The permit of the owner", body = wire::gate::Ticket),
        (
            status = 202, description = "A position in the wait queue: `wait` was false",
            body = wire::gate::Ticket,
        ),
        Problems,
    ),
)]
pub(crate) async fn acquire(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let request: AcquireRequest = json::object(&call.body().await?)?;
    let gate = call.gate();
    if !request.wait.unwrap_or(true) {
        let ticket = wanted(gate.acquire(&request.owner), &request).ticket().await?;
        let ticket = wire::gate::Ticket::from(ticket);
        let is_granted = ticket.position.is_none();
        let answer = ApiResponse::json(&ticket);
        return Ok(if is_granted { answer } else { answer.accepted() });
    }
    let permit = wanted(gate.acquire(&request.owner), &request).await?;
    Ok(ApiResponse::json(&wire::gate::Ticket::granted(permit.owner(), permit.waited())))
}

fn wanted(mut acquire: Acquire, request: &AcquireRequest) -> Acquire {
    if let Some(Priority(priority)) = request.priority {
        acquire = acquire.priority(priority);
    }
    for (name, value) in &request.group {
        acquire = acquire.group(name, value);
    }
    if let Some(timeout_ms) = request.timeout_ms {
        acquire = acquire.timeout(Duration::from_millis(timeout_ms));
    }
    if let Some(ttl_ms) = request.ttl_ms {
        acquire = acquire.ttl(Duration::from_millis(ttl_ms));
    }
    if let Some(worker) = &request.worker {
        acquire = acquire.worker(worker);
    }
    acquire
}

/// Releases an owner's permit, which is granted to the next owner; no effect without a permit.
#[utoipa::path(
    post, path = "/gate/{id}/release", tag = "gate", params(GatePath),
    request_body = OwnerRequest,
    responses(
        (
            status = 200, description = "The owners granted a permit instead",
            body = wire::gate::Released,
        ),
        Problems,
    ),
)]
pub(crate) async fn release(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let owner = owner_of(&mut call).await?;
    Ok(ApiResponse::json(&wire::gate::Released::from(call.gate().release(&owner).await?)))
}

/// Removes a waiting owner from the wait queue; a holder keeps its permit.
#[utoipa::path(
    post, path = "/gate/{id}/cancel", tag = "gate", params(GatePath),
    request_body = OwnerRequest,
    responses(
        (status = 200, description = "The owner is removed", body = wire::queue::Cancelled),
        Problems,
    ),
)]
pub(crate) async fn cancel(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let owner = owner_of(&mut call).await?;
    call.gate().cancel(&owner).await?;
    Ok(ApiResponse::json(&wire::queue::Cancelled { cancelled: true }))
}

async fn owner_of(call: &mut ApiRequest<'_>) -> Result<String, Problem> {
    call.query(&[])?;
    let request: OwnerRequest = json::object(&call.body().await?)?;
    Ok(request.owner)
}

/// Extends a permit: it ends after the ttl from now.
#[utoipa::path(
    post, path = "/gate/{id}/extend", tag = "gate", params(GatePath),
    request_body = ExtendRequest,
    responses(
        (status = 200, description = "The new end of the permit", body = wire::gate::Extended),
        Problems,
    ),
)]
pub(crate) async fn extend(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let ExtendRequest { owner, ttl_ms } = json::object(&call.body().await?)?;
    let expires_at = call.gate().extend(&owner, Duration::from_millis(ttl_ms)).await?;
    Ok(ApiResponse::json(&wire::gate::Extended::from(expires_at)))
}

/// Shows the permit of an owner, or its position in the wait queue.
#[utoipa::path(
    get, path = "/gate/{id}/ticket/{owner}", tag = "gate", params(TicketPath),
    responses(
        (status = 200, description = "The present state", body = wire::gate::Ticket),
        Problems,
    ),
)]
pub(crate) async fn ticket(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    Ok(ApiResponse::json(&wire::gate::Ticket::from(call.gate().ticket(call.message()).await?)))
}

/// Shows the counts and totals; zeros for a gate that was never used.
#[utoipa::path(
    get, path = "/gate/{id}/stats", tag = "gate", params(GatePath),
    responses(
        (status = 200, description = "The present state", body = wire::gate::GateStats),
        Problems,
    ),
)]
pub(crate) async fn stats(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    Ok(ApiResponse::json(&wire::gate::GateStats::from(call.gate().stats().await?)))
}

/// Shows the counts and totals of an action's gate.
#[utoipa::path(
    get, path = "/api/v1/actions/{id}/queue-stats", tag = "gate", params(GatePath),
    responses(
        (status = 200, description = "The present state", body = wire::gate::ActionStats),
        Problems,
    ),
)]
pub(crate) async fn action_stats(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let data = wire::gate::GateStats::from(call.gate().stats().await?);
    Ok(ApiResponse::json(&wire::gate::ActionStats { data }))
}

/// Shows the policy that applies, and its source.
#[utoipa::path(
    get, path = "/gate/{id}/policy", tag = "gate", params(GatePath),
    responses(
        (status = 200, description = "The policy that applies", body = wire::gate::AppliedPolicy),
        Problems,
    ),
)]
pub(crate) async fn policy(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    Ok(ApiResponse::json(&wire::gate::AppliedPolicy::from(call.gate().policy().await?)))
}

/// What the answer says of a policy beside its rules.
const DERIVED: [&str; 2] = ["source", "source_gate"];

/// Sets the gate's own policy, with immediate effect; it survives a restart. `source` and
/// `source_gate` are ignored.
#[utoipa::path(
    put, path = "/gate/{id}/policy", tag = "gate", params(GatePath),
    request_body = wire::gate::GatePolicy,
    responses(
        (status = 200, description = "The settings in force", body = wire::gate::AppliedPolicy),
        Problems,
    ),
)]
pub(crate) async fn set_policy(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let policy: wire::gate::GatePolicy = settings_patch::settings(&call.body().await?, &DERIVED)?;
    let policy = gate::GatePolicy::from(policy);
    Ok(ApiResponse::json(&wire::gate::AppliedPolicy::from(call.gate().set_policy(policy).await?)))
}

/// Changes the named fields of the policy that applies, from any source, and sets the result as
/// the gate's own policy; `null` means the default.
#[utoipa::path(
    patch, path = "/gate/{id}/policy", tag = "gate", params(GatePath),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The settings in force", body = wire::gate::AppliedPolicy),
        Problems,
    ),
)]
pub(crate) async fn change_policy(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let patch = MergePatch::read(&call.body().await?, &DERIVED)?;
    if patch.is_empty() {
        return policy(call).await;
    }
    let change = move |applied: gate::AppliedPolicy| -> Result<gate::GatePolicy, Problem> {
        Ok(patch.apply(&wire::gate::GatePolicy::from(applied.policy))?.into())
    };
    Ok(ApiResponse::json(&wire::gate::AppliedPolicy::from(
        call.gate().change_policy(change).await?,
    )))
}

/// Removes the gate's own policy.
#[utoipa::path(
    delete, path = "/gate/{id}/policy", tag = "gate", params(GatePath),
    responses(
        (
            status = 200, description = "The policy that applies now",
            body = wire::gate::AppliedPolicy,
        ),
        Problems,
    ),
)]
pub(crate) async fn drop_policy(call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    Ok(ApiResponse::json(&wire::gate::AppliedPolicy::from(call.gate().set_policy(None).await?)))
}

/// Grants no more permits; waiting owners keep their positions.
#[utoipa::path(
    post, path = "/gate/{id}/pause", tag = "gate", params(GatePath),
    responses(
        (status = 200, description = "The gate is paused", body = wire::gate::GatePaused),
        Problems,
    ),
)]
pub(crate) async fn pause(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    call.no_body().await?;
    call.gate().pause().await?;
    Ok(ApiResponse::json(&wire::gate::GatePaused { paused: true }))
}

/// Grants permits again.
#[utoipa::path(
    post, path = "/gate/{id}/resume", tag = "gate", params(GatePath),
    responses(
        (status = 200, description = "The gate is not paused", body = wire::gate::GatePaused),
        Problems,
    ),
)]
pub(crate) async fn resume(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    call.no_body().await?;
    call.gate().resume().await?;
    Ok(ApiResponse::json(&wire::gate::GatePaused { paused: false }))
}

/// Deletes the gate with its policy and totals. Refused as `not_empty` while owners wait or hold
/// permits; with `force=true` waiting owners are refused and permits end first.
#[utoipa::path(
    delete, path = "/gate/{id}", tag = "gate", params(GatePath, ForceQuery),
    responses(
        (status = 200, description = "It is removed", body = wire::service::Deleted),
        Problems,
    ),
)]
pub(crate) async fn delete(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    let is_forced = call.query(&["force"])?.flag("force")?;
    call.no_body().await?;
    let gate = call.gate();
    let deleted = match is_forced {
        true => gate.delete_with_owners().await?,
        false => gate.delete().await?,
    };
    Ok(ApiResponse::json(&wire::service::Deleted { deleted }))
}
