//! The head of a request: bounded in size, and what it says of where the request comes from.

use std::net::SocketAddr;

use actix_web::{
    dev::RequestHead,
    http::{
        Method, Version,
        header::{HOST, HeaderName, HeaderValue, ORIGIN, UPGRADE},
    },
};

use crate::server::{
    access::door::RequestSource,
    http::{code::Code, problem::Problem},
};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The address at which a connection was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local(pub(crate) SocketAddr);

/// Where a request comes from. `is_lasting` says that what it asks for stays open.
pub(crate) fn source(
    head: &RequestHead,
    local: Option<Local>,
    is_lasting: bool,
) -> RequestSource<'_> {
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    RequestSource {
        host: host(head),
        origin: only(head, ORIGIN),
        fetch_site: only(head, FETCH_SITE),
        local: local.map(|Local(addr)| addr),
        is_guarded: is_lasting || !is_read || head.headers().contains_key(UPGRADE),
    }
}

/// The one name that a request asks for. No browser speaks HTTP/1.0, which may leave it out.
fn host(head: &RequestHead) -> Option<&str> {
    if let Some(authority) = head.uri.authority() {
        return Some(authority.as_str());
    }
    let mut hosts = head.headers().get_all(HOST);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(text(host)),
        (None, _) if head.version < Version::HTTP_11 => Some("localhost"),
        _ => None,
    }
}

/// The value of a header; an empty one, which nobody is let in with, if there are several.
fn only(head: &RequestHead, name: HeaderName) -> Option<&str> {
    let mut values = head.headers().get_all(name);
    let first = values.next()?;
    Some(if values.next().is_some() { "" } else { text(first) })
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// Bytes that a header line has besides its name and value.
const LINE_BYTES: usize = ": \r\n".len();

/// Checks the size of a request's target and headers.
///
/// # Errors
/// `headers_too_large`.
pub(crate) fn check(head: &RequestHead, bytes_max: usize) -> Result<(), Problem> {
    let uri = &head.uri;
    let target = uri.path().len() + uri.query().map_or(0, str::len);
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + LINE_BYTES;
    let bytes = target + head.headers().iter().map(line).sum::<usize>();
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail =
        format!("the head of the request has {bytes} bytes; at most {bytes_max} are allowed");
    Err(Problem::new(Code::HeadersTooLarge, detail).limit(bytes_max as u64))
}
