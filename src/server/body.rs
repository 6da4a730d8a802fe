//! The body of a request: bounded in size and in time.

use std::time::Duration;

use actix_web::{
    dev::RequestHead,
    error::PayloadError,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    web,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::problem::{Code, Problem};

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Size at most.
    pub(crate) bytes_max: usize,
    /// How long it may take to arrive.
    pub(crate) timeout: Duration,
}

/// Checks what the head of a request says of its body.
///
/// # Errors
/// `too_large`; `unsupported_encoding` if it is compressed, or in another charset than UTF-8.
pub(crate) fn check(head: &RequestHead, bytes_max: usize) -> Result<(), Problem> {
    if declared(head).is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    let headers = head.headers();
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = value.to_str().unwrap_or("?");
        if !text.split(',').all(|one| matches!(one.trim(), "" | "identity" | "Identity")) {
            return Err(unsupported(format!(
                "the body is sent with Content-Encoding: {text}; send it as it is (identity)"
            )));
        }
    }
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match media_type.and_then(charset) {
        Some(charset)
            if !["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|own| charset.eq_ignore_ascii_case(own)) =>
        {
            Err(unsupported(format!("the body is sent with charset={charset}; send it as UTF-8")))
        }
        _ => Ok(()),
    }
}

/// What the head of a request says of the length of its body.
pub(crate) fn declared(head: &RequestHead) -> Option<u64> {
    head.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn charset(media_type: &str) -> Option<&str> {
    media_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

fn unsupported(detail: String) -> Problem {
    Problem::new(Code::UnsupportedEncoding, detail)
}

/// Reads a body to its end. `declared` is what the request's head said of its length.
///
/// # Errors
/// `too_large`, without reading it if the head said so; `request_timeout`; `invalid_request` if it
/// ends early.
pub(crate) async fn read(
    mut payload: web::Payload,
    declared: Option<u64>,
    limits: BodyLimits,
) -> Result<Bytes, Problem> {
    if declared.is_some_and(|length| length > limits.bytes_max as u64) {
        return Err(too_large(limits.bytes_max));
    }
    match tokio::time::timeout(limits.timeout, collect(&mut payload, limits.bytes_max)).await {
        Ok(body) => body,
        Err(_) => {
            let detail =
                format!("the body did not arrive within {} ms", limits.timeout.as_millis());
            Err(Problem::new(Code::RequestTimeout, detail))
        }
    }
}

async fn collect(payload: &mut web::Payload, bytes_max: usize) -> Result<Bytes, Problem> {
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|error| broken(&error))?;
    let Some(second) = payload.next().await else {
        return if first.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(first) };
    };
    let mut body = BytesMut::from(first);
    let mut chunk = second.map_err(|error| broken(&error))?;
    loop {
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        body.extend_from_slice(&chunk);
        match payload.next().await {
            Some(next) => chunk = next.map_err(|error| broken(&error))?,
            None => return Ok(body.freeze()),
        }
    }
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body is larger than {bytes_max} bytes");
    Problem::new(Code::TooLarge, detail).limit(bytes_max as u64)
}

fn broken(error: &PayloadError) -> Problem {
    Problem::new(Code::InvalidRequest, format!("the body could not be read: {error}"))
}
