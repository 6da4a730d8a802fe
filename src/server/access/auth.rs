//! Who may ask: whoever knows the token, if there is one.

use std::fmt;

use actix_web::http::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, SEC_WEBSOCKET_PROTOCOL,
};
use percent_encoding::percent_decode;
use subtle::ConstantTimeEq;

use crate::server::http::{code::Code, problem::Problem};

/// The subprotocol of a WebSocket that carries the token, before it.
const PROTOCOL: &str = "bearer.";

/// The cookie that carries the token.
const COOKIE_NAME: &str = "lanekeeper_token=";

/// The shared secret that a client sends as `Authorization: Bearer …`. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that cannot be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token must have 1 or more visible ASCII characters, without blanks")]
pub struct InvalidToken;

impl Token {
    /// Takes a secret.
    ///
    /// # Errors
    /// [`InvalidToken`] if it could not be sent in a header.
    pub fn new(secret: impl Into<String>) -> Result<Self, InvalidToken> {
        let secret = secret.into();
        let is_sendable = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sendable { Ok(Self(secret)) } else { Err(InvalidToken) }
    }

    /// The secret itself.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Checks what a client sent, in a time that does not depend on how much of it is right: in
    /// `Authorization`, and where there is none, in a subprotocol or a cookie. Of those, what
    /// cannot be written in them is percent-encoded.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let is_right = match headers.get(AUTHORIZATION).map(|value| value.as_bytes()) {
            Some(sent) => match sent.split_at_checked("Bearer ".len()) {
                Some((scheme, secret)) => {
                    self.is(secret) && scheme.eq_ignore_ascii_case(b"Bearer ")
                }
                None => false,
            },
            None => {
                let mut sent = of_browser(headers).peekable();
                if sent.peek().is_none() {
                    let detail = "a token is required: send the header Authorization: Bearer …";
                    return Err(Problem::new(Code::Unauthorized, detail));
                }
                sent.any(|sent| {
                    self.is(sent.as_bytes())
                        || self.is(&percent_decode(sent.as_bytes()).collect::<Vec<_>>())
                })
            }
        };
        if is_right {
            return Ok(());
        }
        Err(Problem::new(Code::Unauthorized, "the token is wrong"))
    }

    fn is(&self, secret: &[u8]) -> bool {
        bool::from(secret.ct_eq(self.0.as_bytes()))
    }
}

/// The tokens that a page can send with a WebSocket, where it can set no header.
fn of_browser(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let protocols = parts(headers, SEC_WEBSOCKET_PROTOCOL, ',');
    let cookies = parts(headers, COOKIE, ';');
    let protocols = protocols.filter_map(|protocol| protocol.strip_prefix(PROTOCOL));
    protocols.chain(cookies.filter_map(|cookie| cookie.strip_prefix(COOKIE_NAME)))
}

/// The trimmed parts of a header that may be there several times.
pub(crate) fn parts(
    headers: &HeaderMap,
    name: HeaderName,
    separator: char,
) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).filter_map(|value| value.to_str().ok());
    values.flat_map(move |value| value.split(separator)).map(str::trim)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_the_right_token_is_let_in() {
        let token = Token::new("s3cret").expect("sendable");
        let is_in = |sent: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(sent) = sent {
                headers.insert(AUTHORIZATION, HeaderValue::from_static(sent));
            }
            token.check(&headers).is_ok()
        };
        assert!(is_in(Some("Bearer s3cret")) && is_in(Some("bearer s3cret")));
        let others = ["Bearer s3cre", "Bearer s3crets", "Bearer ", "Bearer", "Basic s3cret", ""];
        for sent in others {
            assert!(!is_in(Some(sent)), "{sent}");
        }
        assert!(!is_in(None));
    }

    #[test]
    fn a_page_sends_the_token_in_a_subprotocol_or_a_cookie() {
        let token = Token::new("s3;cret").expect("sendable");
        let is_in = |sent: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                headers.append(name.clone(), HeaderValue::from_static(value));
            }
            token.check(&headers).is_ok()
        };
        assert!(is_in(&[(SEC_WEBSOCKET_PROTOCOL, "lanekeeper, bearer.s3%3Bcret")]));
        assert!(is_in(&[
            (SEC_WEBSOCKET_PROTOCOL, "lanekeeper"),
            (SEC_WEBSOCKET_PROTOCOL, "bearer.s3%3bcret"),
        ]));
        assert!(is_in(&[(COOKIE, "a=b; lanekeeper_token=s3%3Bcret")]));
        assert!(!is_in(&[(SEC_WEBSOCKET_PROTOCOL, "lanekeeper, bearer.s3cret")]));
        assert!(!is_in(&[(COOKIE, "xlanekeeper_token=s3%3Bcret")]));
        let both = [(AUTHORIZATION, "Bearer wrong"), (COOKIE, "lanekeeper_token=s3%3Bcret")];
        assert!(!is_in(&both), "the header comes first");
    }

    #[test]
    fn a_token_can_be_sent_in_a_header_and_is_not_shown() {
        for secret in ["", "a b", "a\n", "é"] {
            assert_eq!(Token::new(secret), Err(InvalidToken), "{secret:?}");
        }
        let token = Token::new("s3cret").expect("sendable");
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
