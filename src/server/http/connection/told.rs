//! What the server says below the parser, in place of what the parser would say.

use bytes::Bytes;

use crate::server::http::{code::Code, problem::Problem};

/// What the parser answers of itself has no body, while no answer of a handler has none: this is it
/// with a problem document. A part of a larger answer is never taken for one, because the line ends
/// of a head cannot stand in JSON text.
pub(crate) fn problem_for(bare: &[u8]) -> Option<Bytes> {
    let status = bare.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let (code, detail) = match status {
        b"400" => (Code::InvalidRequest, "the request is not valid HTTP"),
        b"431" => (Code::HeadersTooLarge, "the head of the request is too large"),
        _ => return None,
    };
    let head = std::str::from_utf8(bare).ok()?.strip_suffix("\r\n\r\n")?;
    let is_without_body = head.lines().any(|line| line.eq_ignore_ascii_case("content-length: 0"));
    if !is_without_body {
        return None;
    }
    Some(answer(head.lines().next()?, code, detail))
}

/// An answer that is the last of its connection.
pub(crate) fn answer(status_line: &str, code: Code, detail: &'static str) -> Bytes {
    let body = Problem::new(code, detail).to_text();
    let length = body.len();
    let text = format!(
        "{status_line}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &str) -> Option<String> {
        let bytes = problem_for(answer.as_bytes())?;
        Some(String::from_utf8(bytes.to_vec()).expect("text"))
    }

    #[test]
    fn an_answer_of_the_parser_gets_a_body() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\
                    connection: close\r\ndate: Sat, 21 Nov 2026 08:55:53 GMT\r\n\r\n";
        let told = told(bare).expect("a problem");
        assert!(told.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{told}");
        let (head, body) = told.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{told}");
        assert!(body.contains("\"code\":\"headers_too_large\""), "{told}");
    }

    #[test]
    fn an_answer_of_a_handler_is_left_alone() {
        let others = [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n",
            "HTTP/1.1 408",
            "{}",
            "",
        ];
        for answer in others {
            assert_eq!(told(answer), None, "{answer}");
        }
    }
}
