//! One request on its way to the handles.

use std::{borrow::Cow, sync::Arc};

use actix_web::{
    dev::RequestHead,
    http::header::{HeaderName, TRANSFER_ENCODING},
    web,
};
use bytes::Bytes;
use lanekeeper_actors::{
    MemoryBudget, MemoryPermit, MemoryUse, Node, check_id, gate::Gate, queue::Queue, stream::Topic,
    worker::Worker,
};
use percent_encoding::percent_decode_str;

use crate::server::{
    access::auth,
    http::{
        body::{self, BodyLimits},
        code::Code,
        connection::client::Client,
        problem::Problem,
        query::Query,
    },
    options::ServerOptions,
    router::RouteMatch,
};

/// The largest body that is read only to keep the connection of a refused request.
const DISCARDED_BYTES_MAX: usize = 64 * 1024;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// A body that is still to be read.
pub(crate) struct RawRequest {
    payload: Option<web::Payload>,
    declared: Option<u64>,
    limits: BodyLimits,
    /// Why it is not read, as the head of the request tells.
    refusal: Option<Problem>,
    /// Whether there is some of it that was not read.
    is_left: bool,
    /// The memory that it takes until the request is answered.
    permit: MemoryPermit,
}

impl RawRequest {
    /// The body of a request.
    pub(crate) fn new(
        head: &RequestHead,
        payload: web::Payload,
        limits: BodyLimits,
        memory: &MemoryBudget,
    ) -> Self {
        let declared = body::declared(head);
        let refusal = body::check(head, limits.bytes_max).err();
        let is_chunked = head.headers().contains_key(TRANSFER_ENCODING);
        let is_left = is_chunked || declared.is_some_and(|length| length > 0);
        let permit = memory.permit(MemoryUse::Body);
        Self { payload: Some(payload), declared, limits, refusal, is_left, permit }
    }

    /// Reads it; empty if it was read before.
    ///
    /// # Errors
    /// As [`body::check`], [`body::afford`] and [`body::read`].
    async fn read(&mut self) -> Result<Bytes, Problem> {
        match self.refusal.take() {
            Some(refusal) => Err(refusal),
            None => {
                if self.declared.is_some_and(|length| length > DISCARDED_BYTES_MAX as u64) {
                    body::afford(self.permit.budget(), self.declared)?;
                }
                self.take().await
            }
        }
    }

    async fn take(&mut self) -> Result<Bytes, Problem> {
        match self.payload.take() {
            Some(payload) => {
                let permit = &mut self.permit;
                let body = body::read(payload, self.declared, self.limits, permit).await?;
                self.is_left = false;
                Ok(body)
            }
            None => Ok(Bytes::new()),
        }
    }

    /// Whether some of it is still to come: then nothing is understood that follows.
    pub(crate) fn is_left(&self) -> bool {
        self.is_left
    }

    /// Reads away what is small and comes at once: a connection with an unread body has to be
    /// closed.
    pub(crate) async fn discard(&mut self) {
        if self.is_left {
            let bytes_max = self.limits.bytes_max.min(DISCARDED_BYTES_MAX);
            let timeout = self.limits.timeout.min(ServerOptions::CLOSE_TIMEOUT);
            self.limits = BodyLimits { bytes_max, timeout };
            drop(self.take().await);
        }
    }
}

/// What a handler is given.
pub(crate) struct ApiRequest<'a> {
    pub(crate) node: &'a Node,
    /// The id in the path, decoded but not yet checked; empty if the path has none.
    id: Cow<'a, str>,
    /// The message id in the path, decoded; empty if the path has none.
    message: Cow<'a, str>,
    head: &'a RequestHead,
    body: &'a mut RawRequest,
    client: Option<&'a Client>,
}

impl<'a> ApiRequest<'a> {
    /// Takes a request apart.
    ///
    /// # Errors
    /// `invalid_id` if the id in the path breaks a rule.
    pub(crate) fn new(
        node: &'a Node,
        found: RouteMatch<'a>,
        head: &'a RequestHead,
        body: &'a mut RawRequest,
    ) -> Result<Self, Problem> {
        let (id, message) = (decode(found.id), decode(found.message));
        if let Some(name) = found.id_names() {
            let named = |error| Problem::new(Code::InvalidId, format!("{name}: {error}"));
            check_id(&id).map_err(named)?;
        }
        Ok(Self { node, id, message, head, body, client: None })
    }

    /// Says whose call it is.
    pub(crate) fn of(self, client: Option<&'a Client>) -> Self {
        Self { client, ..self }
    }

    /// Whose call it is, where that is known.
    pub(crate) fn client(&self) -> Option<Arc<Client>> {
        self.client.map(|client| Arc::new(client.clone()))
    }

    /// The queue in the path.
    pub(crate) fn queue(&self) -> Queue {
        self.node.queue(&self.id)
    }

    /// The stream in the path.
    pub(crate) fn stream(&self) -> Topic {
        self.node.stream(&self.id)
    }

    /// The gate in the path.
    pub(crate) fn gate(&self) -> Gate {
        self.node.gate(&self.id)
    }

    /// The worker in the path.
    pub(crate) fn worker(&self) -> Worker {
        self.node.worker(&self.id)
    }

    /// The message id in the path, or the owner.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The query, of which the call knows these parameters.
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub(crate) fn query(&self, known: &[&str]) -> Result<Query<'a>, Problem> {
        Query::parse(self.head.uri.query().unwrap_or_default(), known)
    }

    /// Whether the client wants no body where there is nothing to tell (RFC 7240).
    pub(crate) fn prefers_minimal(&self) -> bool {
        auth::parts(self.head.headers(), PREFER, ',').any(is_minimal)
    }

    /// The body.
    ///
    /// # Errors
    /// As [`body::read`].
    pub(crate) async fn body(&mut self) -> Result<Bytes, Problem> {
        self.body.read().await
    }

    /// What the connection carries from now on, to be read by whoever takes it over.
    pub(crate) fn payload(&mut self) -> Option<web::Payload> {
        self.body.payload.take()
    }

    /// Checks that there is no body, or an empty object, as some clients send one always.
    ///
    /// # Errors
    /// `invalid_request` if it says anything; else as [`body::read`].
    pub(crate) async fn no_body(&mut self) -> Result<(), Problem> {
        let body = self.body().await?;
        let mut rest = body.iter().filter(|byte| !byte.is_ascii_whitespace());
        match (rest.next(), rest.next(), rest.next()) {
            (None, ..) | (Some(b'{'), Some(b'}'), None) => Ok(()),
            _ => Err(Problem::new(
                Code::InvalidRequest,
                "the body: this call has no body; its parameters are in the query",
            )),
        }
    }
}

/// Decodes a part of a path. What is no UTF-8 then holds a character that no id has.
fn decode(part: &str) -> Cow<'_, str> {
    if part.contains('%') { percent_decode_str(part).decode_utf8_lossy() } else { part.into() }
}

/// Whether a preference is `return=minimal`: its name and value in any case, quoted or not, with
/// parameters or without (RFC 7240, section 2).
fn is_minimal(preference: &str) -> bool {
    let (preference, _parameters) = preference.split_once(';').unwrap_or((preference, ""));
    let Some((name, value)) = preference.split_once('=') else { return false };
    let value = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("return") && value.eq_ignore_ascii_case("minimal")
}

#[cfg(test)]
mod tests {
    use super::is_minimal;

    #[test]
    fn a_preference_is_read_with_its_parameters_in_any_case() {
        for minimal in ["return=minimal", "RETURN=Minimal", "return = \"minimal\"; foo=1"] {
            assert!(is_minimal(minimal), "{minimal}");
        }
        for other in ["return=representation", "return", "minimal", "wait=1; return=minimal", ""] {
            assert!(!is_minimal(other), "{other}");
        }
    }
}
