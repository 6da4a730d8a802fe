//! What a browser is told of pages from elsewhere: listed origins may read answers, and ask before
//! they send what is more than a form.

use actix_web::{
    HttpResponse,
    dev::RequestHead,
    http::{
        Method,
        header::{
            ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
            ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
            HeaderName, HeaderValue, ORIGIN, VARY,
        },
    },
};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

const HEADERS: &str = "authorization, content-type, last-event-id, prefer";

const EXPOSED: &str = "lanekeeper-subscriber, preference-applied, retry-after";

/// Seconds that a browser may keep what it was told.
const MAX_AGE: &str = "600";

const PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Whether a browser asks what a page may send.
pub(crate) fn is_preflight(head: &RequestHead) -> bool {
    head.method == Method::OPTIONS && head.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a page of a listed origin may send.
pub(crate) fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
        .insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE))
        .insert_header((PRIVATE_NETWORK, "true"))
        .finish()
}

/// Lets the page that asked read the answer.
pub(crate) fn show(head: &RequestHead, response: &mut HttpResponse) {
    let Some(origin) = head.headers().get(ORIGIN) else { return };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(VARY, HeaderValue::from_static("origin"));
}
