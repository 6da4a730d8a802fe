//! The body of a request: bounded in size, in time, and with all others together in memory.

use std::time::Duration;

use actix_web::{
    dev::RequestHead,
    error::PayloadError,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    web,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use lanekeeper_actors::{MemoryBudget, MemoryPermit, MemoryUse};

use crate::server::http::{code::Code, problem::Problem};

/// How many times a body is in memory at most until it is answered: as it grows, as the items in
/// it, as the records of these, on its way to the journal; three of them at a time.
pub(crate) const COPIES: u64 = 3;

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

/// Refuses a body for which there is no memory, before any of it is read.
///
/// # Errors
/// `overloaded`.
pub(crate) fn afford(memory: &MemoryBudget, declared: Option<u64>) -> Result<(), Problem> {
    let mut permit = memory.permit(MemoryUse::Body);
    Ok(permit.grow(declared.unwrap_or(0) * COPIES)?)
}

/// Reads a body to its end. The permit grows with what has arrived; `declared` is what the head of
/// the request said of the length.
///
/// # Errors
/// `too_large`, `overloaded`; `request_timeout`; `invalid_request` if it ends early.
pub(crate) async fn read(
    mut payload: web::Payload,
    declared: Option<u64>,
    limits: BodyLimits,
    permit: &mut MemoryPermit,
) -> Result<Bytes, Problem> {
    let collecting = collect(&mut payload, declared, limits.bytes_max, permit);
    match tokio::time::timeout(limits.timeout, collecting).await {
        Ok(body) => body,
        Err(_) => {
            let detail =
                format!("the body did not arrive within {} ms", limits.timeout.as_millis());
            Err(Problem::new(Code::RequestTimeout, detail))
        }
    }
}

async fn collect(
    payload: &mut web::Payload,
    declared: Option<u64>,
    bytes_max: usize,
    permit: &mut MemoryPermit,
) -> Result<Bytes, Problem> {
    let Some(first) = next(payload, 0, bytes_max, permit).await? else { return Ok(Bytes::new()) };
    let Some(second) = next(payload, first.len(), bytes_max, permit).await? else {
        return Ok(first);
    };
    // Room for all of it is not memory yet, and a body that grew by doubling would leave twice as
    // much behind.
    let length = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = BytesMut::with_capacity(length.min(bytes_max));
    body.extend_from_slice(&first);
    body.extend_from_slice(&second);
    drop((first, second));
    while let Some(chunk) = next(payload, body.len(), bytes_max, permit).await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The next part of a body of which `length` bytes are there.
async fn next(
    payload: &mut web::Payload,
    length: usize,
    bytes_max: usize,
    permit: &mut MemoryPermit,
) -> Result<Option<Bytes>, Problem> {
    let Some(chunk) = payload.next().await else { return Ok(None) };
    let chunk = chunk.map_err(|error| broken(&error))?;
    if length + chunk.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    permit.grow(chunk.len() as u64 * COPIES)?;
    Ok(Some(chunk))
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body is larger than the limit of {bytes_max} bytes");
    Problem::new(Code::TooLarge, detail).limit(bytes_max as u64)
}

fn broken(error: &PayloadError) -> Problem {
    Problem::new(Code::InvalidRequest, format!("the body could not be read: {error}"))
}
