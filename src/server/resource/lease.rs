//! Messages under work over HTTP: leased, and the leases settled: `/queue/{id}/…`.

use std::{borrow::Cow, time::Duration};

use lanekeeper_actors::queue::{
    LEASES_MAX, LeaseError, LeaseToken, NackOptions, QueueError, Redrive,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    server::{
        error_mapping,
        http::{
            code::Code,
            json::{self, present},
            problem::Problem,
            request::ApiRequest,
            response::{self, ApiResponse},
            texts::Texts,
        },
        openapi::{Problems, QueuePath},
        router::Route,
    },
    wire,
};

/// Answers a call about messages under work.
pub(crate) async fn answer(route: Route, call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    match route {
        Route::Lease => lease(call).await,
        Route::Ack => ack(call).await,
        Route::Nack => nack(call).await,
        Route::Extend => extend(call).await,
        Route::DeadLetter => dead_letter(call).await,
        Route::Redrive => redrive(call).await,
        route => unreachable!("{route:?} is not about messages under work"),
    }
}

/// Hexadecimal digits of a token.
const TOKEN_DIGITS: usize = 72;

/// What is to be leased.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseRequest {
    /// Messages at most.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 100, default = 1)]
    depth: Option<usize>,
    /// How long the leases last; as the queue says if it is not given.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 1000, maximum = 43200000)]
    ttl_ms: Option<u64>,
    /// How long to wait for a message if there is none.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, maximum = 60000, default = 0)]
    wait_ms: Option<u64>,
    /// Who works on them: should this worker be found dead, the leases end.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    worker: Option<String>,
    /// Which life of the worker it is, as its heartbeats are answered.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    life: Option<u64>,
}

/// Leases whose work is done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckLeases<'a> {
    /// Their tokens.
    #[serde(borrow, default)]
    #[schema(value_type = Vec<String>, required = true, min_items = 1, max_items = 1000)]
    leases: Texts<'a>,
}

/// Leases to be given back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NackLeases<'a> {
    /// Their tokens.
    #[serde(borrow, default)]
    #[schema(value_type = Vec<String>, required = true, min_items = 1, max_items = 1000)]
    leases: Texts<'a>,
    /// How long the messages wait before they are ready again.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, maximum = 31622400000_i64, default = 0)]
    delay_ms: Option<u64>,
    /// Why: kept with the messages.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 1024)]
    reason: Option<String>,
    /// Whether the deliveries count for `max_deliveries`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, default = true)]
    count: Option<bool>,
}

/// Leases to be prolonged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtendLeases<'a> {
    /// Their tokens.
    #[serde(borrow, default)]
    #[schema(value_type = Vec<String>, required = true, min_items = 1, max_items = 1000)]
    leases: Texts<'a>,
    /// How long they last from now; as the queue says if it is not given.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 1000, maximum = 43200000)]
    ttl_ms: Option<u64>,
}

/// Leases whose work is given up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadLetterLeases<'a> {
    /// Their tokens.
    #[serde(borrow, default)]
    #[schema(value_type = Vec<String>, required = true, min_items = 1, max_items = 1000)]
    leases: Texts<'a>,
    /// Why: kept with the dead letters.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_length = 1024)]
    reason: Option<String>,
}

/// Which dead letters are to come back: all if nothing is said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedriveRequest<'a> {
    /// The first so many in pop order.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, nullable = false, minimum = 1)]
    depth: Option<usize>,
    /// These, by their ids in the dead-letter queue; those that are not there are passed over.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schema(
        value_type = Option<Vec<String>>, nullable = false, min_items = 1, max_items = 1000,
    )]
    ids: Option<Texts<'a>>,
}

/// Leases the most urgent messages; closing the connection gives up waiting for them.
#[utoipa::path(
    post, path = "/queue/{id}/lease", tag = "queue", params(QueuePath),
    request_body = Option<LeaseRequest>,
    responses(
        (status = 200, description = "The leased messages", body = wire::lease::Leased),
        (status = 204, description = "No messages, if the client sent `Prefer: return=minimal`"),
        Problems,
    ),
)]
pub(crate) async fn lease(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let request: LeaseRequest = json::object_or_default(&call.body().await?)?;
    let mut lease = call.queue().lease(request.depth.unwrap_or(1));
    if let Some(ttl_ms) = request.ttl_ms {
        lease = lease.ttl(Duration::from_millis(ttl_ms));
    }
    if let Some(wait_ms) = request.wait_ms {
        lease = lease.wait(Duration::from_millis(wait_ms));
    }
    if let Some(worker) = request.worker {
        lease = lease.worker(worker);
    }
    if let Some(life) = request.life {
        lease = lease.life(life);
    }
    let leases = lease.await.map_err(named)?;
    if leases.is_empty() && call.prefers_minimal() {
        return Ok(ApiResponse::Nothing);
    }
    Ok(response::leased(leases))
}

/// Acknowledges leased messages: they are done and removed.
#[utoipa::path(
    post, path = "/queue/{id}/ack", tag = "queue", params(QueuePath), request_body = AckLeases,
    responses(
        (status = 200, description = "At least one lease was valid", body = wire::lease::Acked),
        Problems,
    ),
)]
pub(crate) async fn ack(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let body = call.body().await?;
    let AckLeases { leases } = json::object(&body)?;
    let sent = Sent::read(leases)?;
    let settled = call.queue().ack(&sent.tokens).await.map_err(named)?;
    let failed = sent.failed(settled.failed)?;
    Ok(ApiResponse::json(&wire::lease::Acked { acked: settled.count, failed }))
}

/// Gives messages back: they are ready again at their own positions, at once or after a delay.
#[utoipa::path(
    post, path = "/queue/{id}/nack", tag = "queue", params(QueuePath), request_body = NackLeases,
    responses(
        (status = 200, description = "At least one lease was valid", body = wire::lease::Nacked),
        Problems,
    ),
)]
pub(crate) async fn nack(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let body = call.body().await?;
    let NackLeases { leases, delay_ms, reason, count } = json::object(&body)?;
    let sent = Sent::read(leases)?;
    let delay = Duration::from_millis(delay_ms.unwrap_or(0));
    let options = NackOptions { delay, reason, is_counted: count.unwrap_or(true) };
    let settled = call.queue().nack(&sent.tokens, options).await.map_err(named)?;
    let failed = sent.failed(settled.failed)?;
    Ok(ApiResponse::json(&wire::lease::Nacked { nacked: settled.count, failed }))
}

/// Lets leases end so much later than now.
#[utoipa::path(
    post, path = "/queue/{id}/extend", tag = "queue", params(QueuePath),
    request_body = ExtendLeases,
    responses(
        (
            status = 200, description = "At least one lease was valid",
            body = wire::lease::ExtendedLeases,
        ),
        Problems,
    ),
)]
pub(crate) async fn extend(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let body = call.body().await?;
    let ExtendLeases { leases, ttl_ms } = json::object(&body)?;
    let sent = Sent::read(leases)?;
    let ttl = ttl_ms.map(Duration::from_millis);
    let done = call.queue().extend(&sent.tokens, ttl).await.map_err(named)?;
    let extended = wire::lease::ExtendedLease::all(&done);
    let failed = sent.failed(done.failed)?;
    Ok(ApiResponse::json(&wire::lease::ExtendedLeases { extended, failed }))
}

/// Gives up the work on messages: they go to the dead-letter queue.
#[utoipa::path(
    post, path = "/queue/{id}/dead-letter", tag = "queue", params(QueuePath),
    request_body = DeadLetterLeases,
    responses(
        (
            status = 200, description = "At least one lease was valid",
            body = wire::lease::MovedToDeadLetters,
        ),
        Problems,
    ),
)]
pub(crate) async fn dead_letter(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let body = call.body().await?;
    let DeadLetterLeases { leases, reason } = json::object(&body)?;
    let sent = Sent::read(leases)?;
    let queue = call.queue();
    let reason = reason.unwrap_or_default();
    let settled = queue.dead_letter(&sent.tokens, &reason).await.map_err(named)?;
    let failed = sent.failed(settled.failed)?;
    let (moved, queue) = (settled.count, queue.dead_letter_id()?);
    Ok(ApiResponse::json(&wire::lease::MovedToDeadLetters { moved, queue, failed }))
}

/// Moves dead letters back to the queue they came from, behind its waiting messages.
#[utoipa::path(
    post, path = "/queue/{id}/redrive", tag = "queue", params(QueuePath),
    request_body = Option<RedriveRequest>,
    responses(
        (status = 200, description = "The dead letters are moved", body = wire::lease::Redriven),
        Problems,
    ),
)]
pub(crate) async fn redrive(mut call: ApiRequest<'_>) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let body = call.body().await?;
    let which = match json::object_or_default(&body)? {
        RedriveRequest { depth: Some(_), ids: Some(_) } => {
            let detail = "ids: give either depth or ids, not both";
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        RedriveRequest { depth: Some(0), .. } => {
            let detail = "depth must be 1 or more, not 0; leave it out for all";
            return Err(Problem::new(Code::InvalidDepth, detail));
        }
        RedriveRequest { depth: None, ids: None } => Redrive::All,
        RedriveRequest { depth: Some(depth), .. } => Redrive::First(depth),
        RedriveRequest { ids: Some(ids), .. } => {
            if !(1..=LEASES_MAX).contains(&ids.count) {
                let detail = format!("ids must hold 1 to {LEASES_MAX} ids, not {}", ids.count);
                let problem = Problem::new(Code::InvalidRequest, detail);
                return Err(problem.limit(LEASES_MAX as u64));
            }
            // Ids are opaque, so a text that is none is one that is not there.
            let ids: Vec<_> = ids.kept.iter().filter_map(|id| id.parse().ok()).collect();
            if ids.is_empty() {
                return Ok(ApiResponse::json(&wire::lease::Redriven { moved: 0 }));
            }
            Redrive::Ids(ids)
        }
    };
    let moved = call.queue().redrive(which).await.map_err(named)?;
    Ok(ApiResponse::json(&wire::lease::Redriven { moved }))
}

/// A refusal that names the field as the wire does.
fn named(error: QueueError) -> Problem {
    match error_mapping::field_of(&error) {
        Some(field) => Problem::from(error).at(field),
        None => error.into(),
    }
}

/// The leases of one request.
struct Sent<'a> {
    /// As they were sent, each with its token if it is one.
    leases: Vec<(Cow<'a, str>, Option<LeaseToken>)>,
    /// The tokens among them; if there is none, one that is nobody's: so that the queue is asked,
    /// and refuses what else is wrong.
    tokens: Vec<LeaseToken>,
}

/// A token of no queue.
pub(crate) fn nobodys() -> LeaseToken {
    "0".repeat(TOKEN_DIGITS).parse().expect("so many digits are a token")
}

impl<'a> Sent<'a> {
    /// # Errors
    /// `invalid_leases` if there are none or too many.
    fn read(texts: Texts<'a>) -> Result<Self, Problem> {
        let (count, count_max) = (texts.count, LEASES_MAX);
        if !(1..=count_max).contains(&count) {
            return Err(QueueError::InvalidLeases { count, count_max }.into());
        }
        let read = |text: Cow<'a, str>| {
            let token = text.parse().ok();
            (text, token)
        };
        let leases: Vec<_> = texts.kept.into_iter().map(read).collect();
        let mut tokens: Vec<_> = leases.iter().filter_map(|(_, token)| *token).collect();
        if tokens.is_empty() {
            tokens.push(nobodys());
        }
        Ok(Self { leases, tokens })
    }

    /// All that failed, in the order in which they were sent: those the queue names, and those that
    /// are no tokens.
    ///
    /// # Errors
    /// `lease_expired` or `lease_not_found` if none was good.
    fn failed(
        &self,
        by_queue: Vec<(LeaseToken, LeaseError)>,
    ) -> Result<Vec<wire::lease::FailedLease>, Problem> {
        let mut by_queue = by_queue.into_iter().peekable();
        let mut are_all_expired = true;
        let mut failed = Vec::new();
        for (text, token) in &self.leases {
            let error = match token {
                None => LeaseError::NotFound,
                Some(token) => match by_queue.next_if(|(failed, _)| failed == token) {
                    Some((_, error)) => error,
                    None => continue,
                },
            };
            are_all_expired &= error == LeaseError::Expired;
            failed.push(wire::lease::FailedLease::new(text.as_ref(), error));
        }
        if failed.len() < self.leases.len() {
            return Ok(failed);
        }
        let error = if are_all_expired { LeaseError::Expired } else { LeaseError::NotFound };
        let problem = Problem::from(QueueError::Lease(error));
        let count = failed.len();
        Err(if count > 1 {
            problem.at(format_args!("none of the {count} leases is valid"))
        } else {
            problem
        })
    }
}
