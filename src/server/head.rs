//! The head of a request: bounded in size.

use actix_web::{
    HttpRequest,
    http::header::{HeaderName, HeaderValue},
};

use super::problem::{Code, Problem};

/// Bytes that a header line has besides its name and value.
const LINE_BYTES: usize = ": \r\n".len();

/// Checks the size of a request's target and headers.
///
/// # Errors
/// `headers_too_large`.
pub(crate) fn check(request: &HttpRequest, bytes_max: usize) -> Result<(), Problem> {
    let uri = request.uri();
    let target = uri.path().len() + uri.query().map_or(0, str::len);
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + LINE_BYTES;
    let bytes = target + request.headers().iter().map(line).sum::<usize>();
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail =
        format!("the head of the request has {bytes} bytes; at most {bytes_max} are allowed");
    Err(Problem::new(Code::HeadersTooLarge, detail).limit(bytes_max as u64))
}
