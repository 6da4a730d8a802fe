//! The head of an HTTP/1.1 answer, read from a buffer that may not hold all of it yet.

/// A whole answer at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    /// The status code.
    pub(crate) status: u16,
    /// Where the body begins.
    pub(crate) body_begin: usize,
    /// Where it ends.
    pub(crate) body_end: usize,
    /// Whether the server closes the connection after it.
    pub(crate) is_last: bool,
}

/// What a buffer holds so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// More must be read; if it is known how much, the buffer must hold so many bytes.
    Partial(Option<usize>),
    /// All of it is there.
    Whole(ResponseHead),
    /// It is no answer that is understood.
    Broken,
}

/// Longer heads are not read.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Reads what is there. An answer must say its length, as Lanekeeper's do.
pub(crate) fn read(buffer: &[u8]) -> Reading {
    let Some(head_end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        let is_hopeless = buffer.len() > HEAD_BYTES_MAX;
        return if is_hopeless { Reading::Broken } else { Reading::Partial(None) };
    };
    let Some((status, length, is_last)) = head(&buffer[..head_end]) else {
        return Reading::Broken;
    };
    let body_begin = head_end + 4;
    let body_end = body_begin + length;
    if buffer.len() < body_end {
        return Reading::Partial(Some(body_end));
    }
    Reading::Whole(ResponseHead { status, body_begin, body_end, is_last })
}

/// Status, length of the body, and whether the connection is closed after it.
fn head(head: &[u8]) -> Option<(u16, usize, bool)> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let status = std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok()?;
    let (mut length, mut is_last) = (None, rest[0] == b'0');
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            length = Some(std::str::from_utf8(value).ok()?.parse().ok()?);
        } else if name.eq_ignore_ascii_case(b"connection") {
            is_last = value.eq_ignore_ascii_case(b"close");
        }
    }
    Some((status, length?, is_last))
}

/// The value of `"code"` in a problem document, or nothing.
pub(crate) fn problem_code(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("\"code\":")?;
    let rest = rest.trim_start().strip_prefix('"')?;
    rest.split_once('"').map(|(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_once_its_body_is() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nconnection: close\r\n\r\nhello";
        for end in 0..text.len() {
            assert!(matches!(read(&text[..end]), Reading::Partial(_)), "{end}");
        }
        let whole = read(text);
        let answer = ResponseHead {
            status: 200,
            body_begin: text.len() - 5,
            body_end: text.len(),
            is_last: true,
        };
        assert_eq!(whole, Reading::Whole(answer));
    }

    #[test]
    fn what_is_no_answer_is_broken() {
        assert_eq!(read(b"SSH-2.0\r\n\r\n"), Reading::Broken);
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\n"), Reading::Broken, "without a length");
        assert_eq!(read(&vec![b'x'; HEAD_BYTES_MAX + 1]), Reading::Broken);
    }

    #[test]
    fn the_code_of_a_problem_is_found() {
        let body = br#"{"type":"about:blank","code":"queue_full","limit":3}"#;
        assert_eq!(problem_code(body), Some("queue_full"));
        assert_eq!(problem_code(b"{}"), None);
    }
}
