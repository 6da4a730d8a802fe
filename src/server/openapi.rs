//! `GET /openapi.json`: the calls, described from the types of their handlers.

use std::sync::OnceLock;

use bytes::Bytes;
use utoipa::{
    IntoParams, IntoResponses, Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::{
    server::{
        http::response::Answer,
        resource::{
            consumer::upgrade, gate, lease, message, operation, push::PushMessage, queue,
            queue_config, queues, sink, stream, subscribe, worker,
        },
        router::Route,
    },
    wire,
};

/// The queue in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct QueuePath {
    /// The queue: made of `A-Z a-z 0-9 . _ : -`, no `..`, no dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
}

/// The queue and the message in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct MessagePath {
    /// The queue: made of `A-Z a-z 0-9 . _ : -`, no `..`, no dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
    /// The message, as `ids` of a push named it.
    mid: String,
}

/// The stream in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct TopicPath {
    /// The stream: made of `A-Z a-z 0-9 . _ : -`, no `..`, no dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    topic: String,
}

/// The gate in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct GatePath {
    /// The gate: made of `A-Z a-z 0-9 . _ : -`, no `..`, no dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
}

/// The gate and the owner in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct TicketPath {
    /// The gate: made of `A-Z a-z 0-9 . _ : -`, no `..`, no dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
    /// The owner, made of the same.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    owner: String,
}

/// What is named in the figures besides what is counted together.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which is read by hand")]
pub(crate) struct MetricsQuery {
    /// Also the depth of each queue whose id begins so, and the age of its oldest ready message;
    /// 1,000 of them at most; nothing behind the `=`: any.
    queues: Option<String>,
    /// Also each gate whose id begins so, 1,000 of them at most; nothing behind the `=`: any.
    gates: Option<String>,
    /// Also each worker whose id begins so, 1,000 of them at most; nothing behind the `=`: any.
    workers: Option<String>,
}

/// The worker in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct WorkerPath {
    /// The worker: made of `A-Z a-z 0-9 . _ : -`, no `..`, no dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
}

/// Whether to delete what is in use.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which is read by hand")]
pub(crate) struct ForceQuery {
    /// Whether to delete it whatever is in it, or whoever is at it.
    #[param(default = false)]
    force: Option<bool>,
}

/// What every call may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers, which `Problem` writes")]
pub(crate) enum Problems {
    /// The request was refused; nothing changed. `code` says why.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Refused(wire::service::Problem),
    /// The server could not do it, or not now. `code` says why.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Failed(wire::service::Problem),
}

/// All of it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lanekeeper",
        description = "Durable priority queues, admission gates, streams. Times are integers in \
                       milliseconds, instants Unix milliseconds; errors are problem documents \
                       (RFC 9457) with a `code`.",
    ),
    paths(
        queue::push,
        queue::pop,
        lease::lease,
        lease::ack,
        lease::nack,
        lease::extend,
        lease::dead_letter,
        lease::redrive,
        message::peek,
        message::message,
        message::cancel,
        message::promote,
        message::change,
        queue::purge,
        queue_config::pause,
        queue_config::resume,
        queue_config::config,
        queue_config::configure,
        queue_config::change_config,
        queue_config::stats,
        sink::sink,
        sink::set_sink,
        sink::change_sink,
        sink::remove_sink,
        queue_config::delete,
        queues::queues,
        upgrade::consume,
        subscribe::subscribe,
        stream::publish,
        stream::config,
        stream::configure,
        stream::change_config,
        stream::stats,
        stream::delete,
        gate::acquire,
        gate::release,
        gate::cancel,
        gate::extend,
        gate::ticket,
        gate::stats,
        gate::action_stats,
        gate::policy,
        gate::set_policy,
        gate::change_policy,
        gate::drop_policy,
        gate::pause,
        gate::resume,
        gate::delete,
        worker::heartbeat,
        worker::deregister,
        worker::worker,
        worker::delete,
        worker::workers,
        operation::health,
        operation::live,
        operation::ready,
        operation::metrics,
        operation::openapi,
        operation::version,
    ),
    components(schemas(PushMessage, wire::service::Problem)),
    modifiers(&TokenScheme, &RouteNames),
    security((), ("token" = []))
)]
struct Document;

/// How a token is sent, where one is asked for.
struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// Every operation is called what its route is: functions of several modules have the same name.
struct RouteNames;

impl Modify for RouteNames {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for route in Route::ALL {
            let (method, path) = route.template();
            let Some(item) = document.paths.paths.get_mut(path) else { continue };
            let operation = match method.as_str() {
                "GET" => &mut item.get,
                "PUT" => &mut item.put,
                "PATCH" => &mut item.patch,
                "DELETE" => &mut item.delete,
                _ => &mut item.post,
            };
            if let Some(operation) = operation {
                operation.operation_id = Some(route.name());
            }
        }
    }
}

/// The document, written once.
pub(crate) fn document() -> Answer {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT
        .get_or_init(|| Document::openapi().to_json().expect("the description serialises").into());
    Answer::json_text(text.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = serde_json::to_value(Document::openapi()).expect("it serialises");
        let paths = document["paths"].as_object().expect("an object");
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, calls)| {
                let calls = calls.as_object().expect("an object");
                calls.keys().map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let routed: BTreeSet<(String, String)> = Route::ALL
            .into_iter()
            .map(|route| (route.template().0.to_string(), route.template().1.to_owned()))
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document = serde_json::to_value(Document::openapi()).expect("it serialises");
        let paths = document["paths"].as_object().expect("an object");
        let operations = paths.values().flat_map(|calls| calls.as_object().expect("an object"));
        let names: Vec<_> = operations.map(|(_, call)| call["operationId"].as_str()).collect();
        let different: BTreeSet<_> = names.iter().flatten().collect();
        assert_eq!((different.len(), names.len()), (Route::ALL.len(), Route::ALL.len()));
        let stats = &document["paths"]["/gate/{id}/stats"]["get"];
        assert_eq!(stats["operationId"], "gate_stats");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(Document::openapi()).expect("it serialises");
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field.as_str() {
                        Some(text) if name == "$ref" => references.push(text.to_owned()),
                        _ => collect(field, references),
                    }
                }
            }
            Value::Array(elements) => {
                elements.iter().for_each(|element| collect(element, references));
            }
            _ => {}
        }
    }
}
