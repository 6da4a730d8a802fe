//! `GET /openapi.json`: the calls, described from the types of their handlers.

use std::sync::OnceLock;

use bytes::Bytes;
use utoipa::{
    IntoParams, IntoResponses, Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::{
    server::{
        http::response::ApiResponse,
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
    /// The queue: characters `A-Z a-z 0-9 . _ : -`, without `..` or a dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
}

/// The queue and the message in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct MessagePath {
    /// The queue: characters `A-Z a-z 0-9 . _ : -`, without `..` or a dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
    /// The message id, from `ids` of a push.
    mid: String,
}

/// The stream in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct TopicPath {
    /// The stream: characters `A-Z a-z 0-9 . _ : -`, without `..` or a dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    topic: String,
}

/// The gate in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct GatePath {
    /// The gate: characters `A-Z a-z 0-9 . _ : -`, without `..` or a dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
}

/// The gate and the owner in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct TicketPath {
    /// The gate: characters `A-Z a-z 0-9 . _ : -`, without `..` or a dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
    /// The owner, of the same characters.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    owner: String,
}

/// The ids with figures of their own, besides the totals.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which is read by hand")]
pub(crate) struct MetricsQuery {
    /// Adds the depth and the age of the oldest ready message of queues whose id starts with this
    /// prefix, at most 1,000; an empty prefix selects all.
    queues: Option<String>,
    /// Adds gates whose id starts with this prefix, at most 1,000; an empty prefix selects all.
    gates: Option<String>,
    /// Adds workers whose id starts with this prefix, at most 1,000; an empty prefix selects all.
    workers: Option<String>,
}

/// The worker in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which is read by hand")]
pub(crate) struct WorkerPath {
    /// The worker: characters `A-Z a-z 0-9 . _ : -`, without `..` or a dot at either end.
    #[param(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    id: String,
}

/// Whether to delete what is in use.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which is read by hand")]
pub(crate) struct ForceQuery {
    /// Whether to delete it even if it has messages, waiting owners or permits.
    #[param(default = false)]
    force: Option<bool>,
}

/// What every call may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers, which `Problem` writes")]
pub(crate) enum Problems {
    /// The request was refused, and nothing changed. `code` names the reason.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Refused(wire::service::Problem),
    /// The server failed, or cannot do it now. `code` names the reason.
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
pub(crate) fn document() -> ApiResponse {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT
        .get_or_init(|| Document::openapi().to_json().expect("the description serialises").into());
    ApiResponse::json_text(text.clone())
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
