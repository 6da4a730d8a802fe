//! Where the messages of a queue are delivered to: `/queue/{id}/sink`.

use lanekeeper_actors::queue::Sink;

use crate::{
    server::{
        dispatch::ServerState,
        http::{code::Code, problem::Problem, request::ApiRequest, response::ApiResponse},
        openapi::{Problems, QueuePath},
        resource::settings_patch::{self, MergePatch},
        router::Route,
    },
    webhook::{
        address::target::{check_url, is_same_origin},
        header::check_headers,
        runner::SinkOptions,
    },
    wire,
};

/// Sinks counted at a time.
const PAGE: usize = 1_000;

/// Answers a call about the sink of a queue.
pub(crate) async fn answer(
    route: Route,
    call: ApiRequest<'_>,
    shared: &ServerState,
) -> Result<ApiResponse, Problem> {
    match route {
        Route::Sink => sink(call, shared).await,
        Route::SetSink => set_sink(call, shared).await,
        Route::ChangeSink => change_sink(call, shared).await,
        Route::RemoveSink => remove_sink(call, shared).await,
        route => unreachable!("{route:?} is none of a sink"),
    }
}

/// Shows the webhook of the queue.
#[utoipa::path(
    get, path = "/queue/{id}/sink", tag = "queue", params(QueuePath),
    responses((status = 200, description = "The webhook", body = wire::sink::SinkView), Problems),
)]
pub(crate) async fn sink(
    call: ApiRequest<'_>,
    shared: &ServerState,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let queue = call.queue();
    let sink = queue.sink().await?.ok_or_else(not_found)?;
    let is_waiting = shared.sinks().is_some_and(|figures| figures.is_waiting(queue.id()));
    let sinks_max = shared.options().sink.sinks_max;
    let waiting =
        is_waiting.then(|| format!("the node delivers to at most {sinks_max} sinks (--sinks-max)"));
    Ok(ApiResponse::json(&wire::sink::SinkView { sink: sink.into(), waiting }))
}

/// What the answer says of a sink beside its settings.
const DERIVED: [&str; 1] = ["waiting"];

/// Sets the webhook of the queue, with immediate effect; it survives a restart. `waiting` is
/// ignored.
#[utoipa::path(
    put, path = "/queue/{id}/sink", tag = "queue", params(QueuePath),
    request_body = wire::sink::Sink,
    responses(
        (status = 200, description = "The settings in force", body = wire::sink::Sink),
        Problems,
    ),
)]
pub(crate) async fn set_sink(
    mut call: ApiRequest<'_>,
    shared: &ServerState,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let sink: wire::sink::Sink = settings_patch::settings(&call.body().await?, &DERIVED)?;
    keep(&call, shared, |before| revealed(sink.clone(), before)).await
}

/// Changes the named settings atomically and keeps the others; `null` means the default.
#[utoipa::path(
    patch, path = "/queue/{id}/sink", tag = "queue", params(QueuePath),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The settings in force", body = wire::sink::Sink),
        Problems,
    ),
)]
pub(crate) async fn change_sink(
    mut call: ApiRequest<'_>,
    shared: &ServerState,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let patch = MergePatch::read(&call.body().await?, &DERIVED)?;
    let changed = |before: Option<&Sink>| {
        let known = before.ok_or_else(not_found)?;
        revealed(patch.apply(&wire::sink::Sink::from(known.clone()))?, before)
    };
    keep(&call, shared, changed).await
}

/// Sets the sink that `make` makes of the one there is.
async fn keep(
    call: &ApiRequest<'_>,
    shared: &ServerState,
    make: impl Fn(Option<&Sink>) -> Result<Sink, Problem>,
) -> Result<ApiResponse, Problem> {
    let SinkOptions { policy, sinks_max, .. } = &shared.options().sink;
    let queue = call.queue();
    loop {
        let before = queue.sink().await?;
        let sink = make(before.as_ref())?;
        sink.check()?;
        check_headers(&sink.headers)?;
        check_url(&sink.url, policy).await?;
        // Counted and set by one at a time: otherwise several would take the same last place.
        let _alone = shared.alone_with_sinks().await;
        // While the address was looked up, somebody else may have set another.
        if queue.sink().await? != before {
            continue;
        }
        if before.is_none() {
            check_count(call, *sinks_max).await?;
        }
        queue.set_sink(sink.clone()).await?;
        return Ok(ApiResponse::json(&wire::sink::Sink::from(sink)));
    }
}

/// A sink with the values of headers that are hidden from those who read it. They are not sent to
/// another host than before because somebody changed the address alone.
fn revealed(sink: wire::sink::Sink, before: Option<&Sink>) -> Result<Sink, Problem> {
    let mut sink = Sink::from(sink);
    let is_same_host = before.is_some_and(|before| is_same_origin(&before.url, &sink.url));
    let mut headers = Vec::new();
    for (name, value) in sink.headers.iter() {
        let known = before.and_then(|before| before.headers.get(name));
        let value = match (value == wire::sink::HIDDEN, known) {
            (false, _) => value,
            (true, Some(known)) if is_same_host => known,
            (true, Some(_)) => return Err(hidden(name, "the url names another host")),
            (true, None) => return Err(hidden(name, "the sink has no header of this name")),
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    sink.headers = headers.into_iter().collect();
    Ok(sink)
}

fn hidden(name: &str, reason: &str) -> Problem {
    let name: String = name.chars().take(128).collect();
    let hidden = wire::sink::HIDDEN;
    let detail = format!(
        "headers.{name}: {hidden} stands for the present value, but {reason}: give the value itself"
    );
    Problem::new(Code::InvalidSink, detail)
}

/// Removes the webhook; deliveries under way are finished.
#[utoipa::path(
    delete, path = "/queue/{id}/sink", tag = "queue", params(QueuePath),
    responses(
        (status = 200, description = "It is removed", body = wire::sink::SinkRemoved),
        Problems,
    ),
)]
pub(crate) async fn remove_sink(
    call: ApiRequest<'_>,
    shared: &ServerState,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let _alone = shared.alone_with_sinks().await;
    match call.queue().remove_sink().await? {
        true => Ok(ApiResponse::json(&wire::sink::SinkRemoved { removed: true })),
        false => Err(not_found()),
    }
}

/// Whether a node has a place for one more.
async fn check_count(call: &ApiRequest<'_>, sinks_max: usize) -> Result<(), Problem> {
    let (mut count, mut after) = (0, None::<String>);
    loop {
        let mut list = call.node.sinks().limit(PAGE);
        if let Some(after) = &after {
            list = list.after(after);
        }
        let page = list.await?;
        count += page.sinks.len();
        if count >= sinks_max {
            let detail = format!(
                "the node has {count} sinks, and at most {sinks_max} are allowed (--sinks-max)"
            );
            let problem = Problem::new(Code::TooManySinks, detail);
            return Err(problem.limit(sinks_max as u64).current(count as u64));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

fn not_found() -> Problem {
    Problem::new(Code::SinkNotFound, "the queue has no sink")
}
