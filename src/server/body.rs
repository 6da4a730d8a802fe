//! The body of a request: bounded in size and in time.

use std::time::Duration;

use actix_web::{error::PayloadError, web};
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
