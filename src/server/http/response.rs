//! What is answered when all went well. Payloads are written as they are, never parsed again.

use std::{fmt::Display, io::Write};

use actix_web::{
    HttpResponse,
    body::BoxBody,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderName},
    },
};
use bytes::Bytes;
use lanekeeper_actors::{
    MemoryBudget,
    queue::{DueMessage, DuePage, Lease, Message, MessageState, Page, Pushed},
};
use serde::Serialize;

use crate::{
    server::http::payload_pieces::{PieceBody, Pieces, SENT_BYTES},
    wire::{self, convert::unix_millis},
};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The characters of a lease token, when it ends, and their names.
const LEASE_BYTES: usize = 124;

/// The bytes that surround one payload in a list of messages, generously.
const ENVELOPE_BYTES: usize = 128;

/// The characters of a message id, its quotes and a comma.
const ID_BYTES: usize = 27;

/// What is answered when all went well.
#[derive(Debug)]
pub(crate) enum ApiResponse {
    /// A body with its type and its status.
    Whole { body: Bytes, content_type: &'static str, status: StatusCode },
    /// JSON in pieces: large payloads are sent as they are, never copied.
    Pieces(Vec<Bytes>),
    /// Nothing, as the client wished.
    Nothing,
    /// An answer that was begun already and does not end.
    Begun(HttpResponse),
}

impl ApiResponse {
    /// A value as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        Self::json_text(serde_json::to_vec(value).expect("the types of the wire serialise"))
    }

    /// JSON that was written already.
    pub(crate) fn json_text(text: impl Into<Bytes>) -> Self {
        let (body, status) = (text.into(), StatusCode::OK);
        Self::Whole { body, content_type: "application/json", status }
    }

    /// The exposition format of Prometheus.
    pub(crate) fn metrics(text: String) -> Self {
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        Self::Whole { body: text.into(), content_type, status: StatusCode::OK }
    }

    /// Answers 202: what was asked for is still to come.
    pub(crate) fn accepted(mut self) -> Self {
        if let Self::Whole { status, .. } = &mut self {
            *status = StatusCode::ACCEPTED;
        }
        self
    }

    /// The answer. What is written for it counts until it was sent.
    pub(crate) fn into_response(self, memory: &MemoryBudget) -> HttpResponse {
        match self {
            Self::Whole { body, content_type, status } if body.len() > SENT_BYTES => {
                let body = PieceBody::new(vec![body], memory);
                HttpResponse::build(status)
                    .insert_header((CONTENT_TYPE, content_type))
                    .body(BoxBody::new(body))
            }
            Self::Pieces(pieces) => HttpResponse::Ok()
                .insert_header((CONTENT_TYPE, "application/json"))
                .body(BoxBody::new(PieceBody::new(pieces, memory))),
            Self::Whole { body, content_type, status } => {
                HttpResponse::build(status).insert_header((CONTENT_TYPE, content_type)).body(body)
            }
            Self::Nothing => HttpResponse::NoContent()
                .insert_header((PREFERENCE_APPLIED, "return=minimal"))
                .finish(),
            Self::Begun(response) => response,
        }
    }
}

/// What became of pushed messages.
pub(crate) fn pushed(pushed: &[Pushed]) -> ApiResponse {
    let mut out = Vec::with_capacity(48 + pushed.len() * ID_BYTES);
    let duplicates: Vec<_> = pushed
        .iter()
        .enumerate()
        .filter_map(|(place, one)| Some((place, one.duplicate?)))
        .collect();
    let count = pushed.len() - duplicates.len();
    put(&mut out, format_args!("{{\"success\":true,\"count\":{count},\"ids\":["));
    for (place, Pushed { id, .. }) in pushed.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        put(&mut out, format_args!("{comma}\"{id}\""));
    }
    out.push(b']');
    if !duplicates.is_empty() {
        let row = |&(index, state): &(usize, MessageState)| wire::queue::Duplicate {
            index,
            id: pushed[index].id.to_string(),
            state: state.as_str().to_owned(),
        };
        put_value(&mut out, "duplicates", &duplicates.iter().map(row).collect::<Vec<_>>());
    }
    out.push(b'}');
    ApiResponse::json_text(out)
}

/// The payloads of popped messages, alone.
pub(crate) fn popped(messages: &[Message]) -> ApiResponse {
    let bytes: usize = messages.iter().map(|message| message.item.size_bytes() + 1).sum();
    let mut out = Pieces::with_capacity(bytes + 40);
    out.text.extend_from_slice(b"{\"items\":[");
    for (place, message) in messages.iter().enumerate() {
        if place > 0 {
            out.text.push(b',');
        }
        out.payload(message.item.as_bytes());
    }
    put(&mut out.text, format_args!("],\"count\":{}}}", messages.len()));
    out.into_answer()
}

/// Messages with all that is known of them.
pub(crate) fn messages(messages: &[Message]) -> ApiResponse {
    let mut out = listed(messages.iter().map(|message| (message, ())), |_, ()| {});
    out.text.push(b'}');
    out.into_answer()
}

/// Leased messages. Until they are written, their leases go back if this is given up.
pub(crate) fn leased(leases: Vec<Lease>) -> ApiResponse {
    let bytes: usize =
        leases.iter().map(|lease| lease.item.size_bytes() + ENVELOPE_BYTES + LEASE_BYTES).sum();
    let mut out = Pieces::with_capacity(bytes + 40);
    out.text.extend_from_slice(b"{\"messages\":[");
    for (place, lease) in leases.iter().enumerate() {
        if place > 0 {
            out.text.push(b',');
        }
        put_head(&mut out.text, lease);
        out.payload(lease.item.as_bytes());
        put_lease(&mut out.text, lease);
    }
    put(&mut out.text, format_args!("],\"count\":{}}}", leases.len()));
    leases.into_iter().for_each(|lease| drop(lease.detach()));
    out.into_answer()
}

/// A page of messages.
pub(crate) fn page(page: &Page) -> ApiResponse {
    let messages = page.messages.iter().map(|message| (message, ()));
    paged(listed(messages, |_, ()| {}), page.next)
}

/// A page of messages, and where the next one begins.
fn paged(mut out: Pieces, next: Option<impl Display>) -> ApiResponse {
    match next {
        Some(next) => put(&mut out.text, format_args!(",\"next\":\"{next}\"}}")),
        None => out.text.extend_from_slice(b",\"next\":null}"),
    }
    out.into_answer()
}

/// A page of messages that wait for a time, in this state.
pub(crate) fn due_page(page: &DuePage, state: &str) -> ApiResponse {
    let due = page.messages.iter().map(|due| (&due.message, due));
    let out = listed(due, |out, DueMessage { due_at, worker, .. }| {
        let name = if state == "leased" { "lease_expires_at" } else { "ready_at" };
        let due_at = unix_millis(*due_at);
        put(out, format_args!(",\"state\":\"{state}\",\"{name}\":{due_at}"));
        if let Some(worker) = worker {
            put_value(out, "worker", worker);
        }
    });
    paged(out, page.next)
}

/// One message and what it waits for.
pub(crate) fn message(message: &Message, state: MessageState) -> ApiResponse {
    let mut out = Vec::with_capacity(message.item.size_bytes() + ENVELOPE_BYTES);
    put_message(&mut out, message);
    put(&mut out, format_args!(",\"state\":\"{}\"}}", state.as_str()));
    ApiResponse::json_text(out)
}

/// An object of messages and their count, left open; `put_more` adds what else there is of each.
fn listed<'m, T>(
    messages: impl Iterator<Item = (&'m Message, T)> + Clone,
    put_more: impl Fn(&mut Vec<u8>, T),
) -> Pieces {
    let size = |message: &Message| message.item.size_bytes() + ENVELOPE_BYTES;
    let bytes: usize = messages.clone().map(|(message, _)| size(message)).sum();
    let mut count = 0;
    let mut out = Pieces::with_capacity(bytes + 80);
    out.text.extend_from_slice(b"{\"messages\":[");
    for (message, more) in messages {
        if count > 0 {
            out.text.push(b',');
        }
        count += 1;
        put_head(&mut out.text, message);
        out.payload(message.item.as_bytes());
        put_rest(&mut out.text, message);
        put_more(&mut out.text, more);
        out.text.push(b'}');
    }
    put(&mut out.text, format_args!("],\"count\":{count}"));
    out
}

/// One leased message, as a whole.
pub(crate) fn put_leased(out: &mut Vec<u8>, lease: &Lease) {
    put_head(out, lease);
    out.extend_from_slice(lease.item.as_bytes());
    put_lease(out, lease);
}

/// What follows the payload of a leased message.
fn put_lease(out: &mut Vec<u8>, lease: &Lease) {
    put_rest(out, lease);
    let expires_at = unix_millis(lease.expires_at());
    let token = lease.token();
    put(out, format_args!(",\"lease\":\"{token}\",\"lease_expires_at\":{expires_at}}}"));
}

/// One message as an object, left open.
fn put_message(out: &mut Vec<u8>, message: &Message) {
    put_head(out, message);
    out.extend_from_slice(message.item.as_bytes());
    put_rest(out, message);
}

/// What comes before the payload of a message.
fn put_head(out: &mut Vec<u8>, message: &Message) {
    let (id, priority) = (message.id, message.priority);
    put(out, format_args!("{{\"id\":\"{id}\",\"priority\":{priority},\"item\":"));
}

/// What follows it, left open.
fn put_rest(out: &mut Vec<u8>, message: &Message) {
    let (pushed_at, deliveries) = (unix_millis(message.pushed_at), message.deliveries);
    put(out, format_args!(",\"pushed_at\":{pushed_at},\"deliveries\":{deliveries}"));
    if let Some(expires_at) = message.expires_at {
        put(out, format_args!(",\"expires_at\":{}", unix_millis(expires_at)));
    }
    if let Some(reason) = &message.reason {
        put_value(out, "reason", reason);
    }
    if let Some(letter) = &message.dead_letter {
        put_value(out, "dead_letter", &wire::queue::DeadLetter::from(&**letter));
    }
}

fn put_value(out: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    put(out, format_args!(",\"{name}\":"));
    serde_json::to_writer(&mut *out, value).expect("the types of the wire serialise");
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes every byte");
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use lanekeeper_actors::queue::Item;

    use super::*;

    use crate::wire;

    fn body(answer: ApiResponse) -> Bytes {
        match answer {
            ApiResponse::Whole { body, .. } => body,
            other => panic!("{other:?}"),
        }
    }

    fn message_of(id: &str, payload: &str) -> Message {
        Message {
            id: id.parse().expect("an id"),
            priority: 3,
            item: Item::from_json(payload).expect("an object"),
            pushed_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_234),
            deliveries: 2,
            expires_at: None,
            reason: None,
            dead_letter: None,
        }
    }

    fn pair() -> Vec<Message> {
        let first = message_of("000000000000000000000003", "{ \"a\" : 1.0 }");
        vec![first, message_of("000000000000000100000003", "{}")]
    }

    #[test]
    fn ids_are_written_as_the_wire_says() {
        let new = |message: &Message| Pushed { id: message.id, duplicate: None };
        let mut both: Vec<_> = pair().iter().map(new).collect();
        let read: wire::queue::Pushed = serde_json::from_slice(&body(pushed(&both))).expect("it");
        assert_eq!((read.success, read.count, read.duplicates.len()), (true, 2, 0));
        assert_eq!(read.ids, ["000000000000000000000003", "000000000000000100000003"]);
        both[1].duplicate = Some(MessageState::Done);
        let read: wire::queue::Pushed = serde_json::from_slice(&body(pushed(&both))).expect("it");
        let (index, id, state) = (1, read.ids[1].clone(), "done".to_owned());
        assert_eq!(
            (read.count, read.duplicates),
            (1, vec![wire::queue::Duplicate { index, id, state }])
        );
    }

    #[test]
    fn payloads_are_written_byte_for_byte() {
        let text = body(popped(&pair()));
        assert_eq!(text, r#"{"items":[{ "a" : 1.0 },{}],"count":2}"#);
        assert_eq!(body(popped(&[])), r#"{"items":[],"count":0}"#);
    }

    #[test]
    fn messages_are_written_as_the_wire_says() {
        let page = page(&Page { messages: pair(), next: Some(pair()[1].id) });
        let read: wire::queue::Page = serde_json::from_slice(&body(page)).expect("the type");
        assert_eq!((read.count, read.next.as_deref()), (2, Some("000000000000000100000003")));
        let first = &read.messages[0];
        assert_eq!((first.priority, first.pushed_at, first.deliveries), (3, 1_234, 2));
        assert_eq!(first.item.get(), "{ \"a\" : 1.0 }");
        let one = message(&pair()[0], MessageState::Ready);
        let read: wire::queue::Message = serde_json::from_slice(&body(one)).expect("the type");
        assert_eq!(read.state.as_deref(), Some("ready"));
        let read: wire::queue::Messages =
            serde_json::from_slice(&body(messages(&pair()))).expect("it");
        assert_eq!(read.count, 2);
    }
}
